"""/metrics: who may read it, and that it says when Redis is away."""

from __future__ import annotations

from typing import Any

import fakeredis
import httpx
import pytest
import redis.asyncio
from prometheus_client.parser import text_string_to_metric_families

from pipeline.guard.credentials import Credentials
from pipeline.ingest.app import create_app
from pipeline.settings import AccountSettings, Settings

TOKEN = "a-token-for-metrics-alone"
OTHER = "a-token-for-the-whole-api"


async def get(
    path: str = "/metrics",
    *,
    client: redis.asyncio.Redis | None = None,
    peer: str = "127.0.0.1",
    host: str = "localhost",
    method: str = "GET",
    token: str | None = None,
    **fields: Any,
) -> httpx.Response:
    accounts = {"default": AccountSettings()}
    app = create_app(Settings(accounts=accounts, **fields), client or fakeredis.FakeAsyncRedis())
    transport = httpx.ASGITransport(app, client=(peer, 1))
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as http:
        return await http.request(method, path, headers=headers)


async def test_prometheus_reads_it_from_this_machine(redis_url: str) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        response = await get(client=client)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    names = {family.name for family in text_string_to_metric_families(response.text)}
    assert {"sailpipe_redis_up", "sailpipe_lane_backlog"} <= names


@pytest.mark.parametrize("token", [TOKEN, OTHER])
async def test_from_elsewhere_a_token_shows_it(token: str) -> None:
    """Its own, or one of `/api`."""
    settings: Any = {"metrics_token": TOKEN, "console_token": OTHER, "console_hosts": ["pipe"]}
    response = await get(peer="10.0.0.9", host="pipe", token=token, **settings)
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("status", "asked"),
    [
        (400, {"host": "evil.example.com"}),
        (403, {"peer": "10.0.0.9"}),
        (401, {"token": "wrong"}),
        (401, {"console_password": "long enough"}),
        (405, {"method": "POST"}),
    ],
)
async def test_nobody_else_sees_it(status: int, asked: dict[str, Any]) -> None:
    response = await get(metrics_token=TOKEN, **asked)
    assert response.status_code == status
    assert "sailpipe_" not in response.text


async def test_its_token_is_for_nothing_else() -> None:
    """Prometheus' configuration is read by more people than may see dead letters."""
    credentials = Credentials(Settings(metrics_token=TOKEN))
    assert credentials.by_token(TOKEN) is None
    assert credentials.by_token(TOKEN, metrics=True) is not None


async def test_a_redis_that_is_away_is_said_with_status_200() -> None:
    """Else a scrape fails, and an alert could not say of what."""
    async with redis.asyncio.Redis.from_url("redis://127.0.0.1:1") as away:
        response = await get(client=away)
    assert response.status_code == 200
    assert "sailpipe_redis_up 0.0" in response.text
