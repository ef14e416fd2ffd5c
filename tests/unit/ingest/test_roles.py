"""What the HTTP server takes with a key of role `browser`, and what it says of the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import fakeredis
import httpx
import pytest

from pipeline.clock import ManualClock
from pipeline.ingest import create_app
from pipeline.settings import load_settings
from pipeline.storage import keys

PAGE, SERVER = {"writeKey": "page"}, {"writeKey": "erp"}
READ = {"type": "track", "event": "Read", "userId": "u1"}
BOUGHT = {"type": "track", "event": "Order Completed", "userId": "u1"}
STOPPED = {**READ, "integrations": {"Sailthru": {"optoutValue": "all"}}}


@pytest.fixture
async def fake() -> AsyncIterator[fakeredis.FakeAsyncRedis]:
    async with fakeredis.FakeAsyncRedis() as client:
        yield client


@pytest.fixture
async def http(fake: fakeredis.FakeAsyncRedis, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = load_settings({"SAILPIPE_WRITE_KEYS": "erp,page:browser"}, directory=tmp_path)
    transport = httpx.ASGITransport(create_app(settings, fake, ManualClock()))
    async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as client:
        yield client


async def entries(fake: fakeredis.FakeAsyncRedis) -> list[dict[bytes, bytes]]:
    found: Any = await fake.xrange(keys.RAW)
    return [fields for _, fields in found]


async def refused(fake: fakeredis.FakeAsyncRedis) -> int:
    return int(await fake.hget(keys.counts("default"), "ignored:refused_by_role") or 0)


async def test_the_role_of_a_key_rides_in_the_raw_entry(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis
) -> None:
    """A server's says nothing, as an XADD of before roles."""
    for body in (READ | PAGE, READ | SERVER, {"batch": [READ, READ]} | PAGE):
        path = "batch" if "batch" in body else "track"
        assert (await http.post(f"/v1/{path}", json=body)).status_code == 200
    assert [one.get(b"role") for one in await entries(fake)] == [b"browser", None] + [
        b"browser"
    ] * 2


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("track", BOUGHT),
        ("track", {**BOUGHT, "event": "Order Refunded"}),
        ("track", {**BOUGHT, "event": "User Deleted"}),
        ("track", STOPPED),
        ("alias", {"userId": "u1", "previousId": "u2"}),
        ("track", {**BOUGHT, "properties": {"note": "x" * 9_000}}),
    ],
)
async def test_an_event_that_a_page_may_not_send_is_403_and_a_server_sends_it(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis, path: str, body: dict[str, Any]
) -> None:
    """The answer says why, in the shape that SDKs read, and nothing is enqueued."""
    reply = await http.post(f"/v1/{path}", json=body | PAGE)
    assert (reply.status_code, reply.json()["code"]) == (403, "refused_by_role")
    assert "server key only" in reply.json()["message"]
    assert await entries(fake) == []
    assert (await http.post(f"/v1/{path}", json=body | SERVER)).status_code == 200
    assert len(await entries(fake)) == 1


async def test_a_batch_goes_on_without_what_a_page_may_not_send(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis
) -> None:
    """An SDK would throw the whole batch away. What is left out is counted."""
    batch = [READ, BOUGHT, STOPPED, {"type": "nonsense"}, READ]
    reply = await http.post("/v1/batch", json={"batch": batch} | PAGE)
    assert (reply.status_code, reply.json()) == (200, {"success": True})
    assert len(await entries(fake)) == 3
    assert await refused(fake) == 2
    reply = await http.post("/v1/batch", json={"batch": [BOUGHT]} | PAGE)
    assert (reply.status_code, len(await entries(fake)), await refused(fake)) == (200, 3, 3)


async def test_a_large_body_behind_an_unknown_key_is_not_read(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What costs the most is done for those who may ask for it."""

    def fail(_: bytes) -> None:
        raise AssertionError

    monkeypatch.setattr("pipeline.ingest.segment.read_object", fail)
    reply = await http.post("/v1/batch", content=b"{" * 99_000, auth=("nobodys", ""))
    assert (reply.status_code, reply.json()["code"]) == (401, "invalid_write_key")
