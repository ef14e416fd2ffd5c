"""How much of what a write key sends goes ahead of bulk, and what becomes of a flood."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis.asyncio

from pipeline.admission import LOOK_EVERY
from pipeline.clock import ManualClock
from pipeline.ingest import create_app
from pipeline.ingest.shares import TOTAL, Shares, bounds
from pipeline.ingest.write_keys import Grant, grants
from pipeline.lanes import Lane
from pipeline.producer import RAW_HOLD
from pipeline.roles import Role, WriteKey
from pipeline.settings import Settings, load_settings
from pipeline.storage import keys

READ = {"type": "track", "event": "Read", "userId": "u1"}
PAGE = Grant("default", WriteKey("page", Role.BROWSER, 30.0))
SLOW = Grant("default", WriteKey("slow", Role.SERVER, 5.0))
ERP = Grant("default", WriteKey("erp"))
SECOND_S = 10.0
"""Within which a second has passed, whatever else runs here."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    write_keys = "erp,page:browser:30,slow:server:5"
    return load_settings({"SAILPIPE_WRITE_KEYS": write_keys}, directory=tmp_path)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def http(settings: Settings, client: redis.asyncio.Redis) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(settings, client, ManualClock()))
    async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as http:
        yield http


async def classes(client: redis.asyncio.Redis) -> list[str]:
    found: Any = await client.xrange(keys.RAW)
    return [fields.get(b"class", b"live").decode() for _, fields in found]


def batch(key: str, *events: dict[str, Any]) -> dict[str, Any]:
    return {"batch": list(events), "writeKey": key}


def test_a_page_has_half_of_each_lane_and_its_rate_a_server_its_rate(tmp_path: Path) -> None:
    """LIMITS count where they are set."""
    limited = load_settings({"SAILPIPE_LIMITS": "POST /event=100"}, directory=tmp_path)
    assert bounds(PAGE, limited) == {
        "user": 150.0,
        "event": 50.0,
        "purchase": 20.0,
        "page": 20.0,
        TOTAL: 30.0,
    }
    assert bounds(SLOW, limited) == {TOTAL: 5.0}
    assert bounds(ERP, limited) == {}


async def test_what_a_page_sends_beyond_its_share_of_a_lane_is_bulk(
    http: httpx.AsyncClient, client: redis.asyncio.Redis
) -> None:
    """Twenty events a second of forty. Other lanes and keys are what they were."""
    await http.post("/v1/batch", json=batch("page", *[READ] * 20))
    await http.post("/v1/track", json=READ | {"writeKey": "page"})
    await http.post("/v1/identify", json={"userId": "u1", "writeKey": "page"})
    await http.post("/v1/batch", json=batch("erp", *[READ] * 99))
    assert await classes(client) == ["live"] * 20 + ["bulk"] + ["live"] + ["live"] * 99


async def test_a_share_is_counted_over_all_processes(
    settings: Settings, client: redis.asyncio.Redis
) -> None:
    """The second process finds what the first has sent."""
    one, other = (Shares(client, grants(settings), settings) for _ in range(2))
    assert not await one.is_bulk(SLOW, 3, {})
    assert not await other.is_bulk(SLOW, 2, {})
    assert await one.is_bulk(SLOW, 1, {})
    assert await other.is_bulk(SLOW, 1, {})


async def test_a_share_is_there_again_a_second_later(
    settings: Settings, client: redis.asyncio.Redis
) -> None:
    """It is not saved up, and nothing of it stays in Redis."""
    shares = Shares(client, grants(settings), settings)
    lanes = {Lane.PURCHASE: 20}
    assert not await shares.is_bulk(PAGE, 20, lanes)
    assert await shares.is_bulk(PAGE, 1, {Lane.PURCHASE: 1})
    deadline = time.monotonic() + SECOND_S
    while await client.keys("*share*"):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    while await shares.is_bulk(PAGE, 20, lanes):  # this process' own bound has another second
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)


async def test_a_flood_does_not_ask_redis(settings: Settings, client: redis.asyncio.Redis) -> None:
    """What this process alone has had too much of is bulk without a question; a key without bounds asks none."""
    shares = Shares(client, grants(settings), settings)
    assert not await shares.is_bulk(SLOW, 5, {})
    await client.config_resetstat()
    assert all([await shares.is_bulk(SLOW, 4, {}) for _ in range(50)])
    assert not any([await shares.is_bulk(ERP, 4, {}) for _ in range(50)])
    stats: Any = await client.info("commandstats")
    assert not {"cmdstat_evalsha", "cmdstat_hincrby"} & stats.keys()


async def test_bulk_is_asked_to_come_again_while_the_raw_stream_is_long(
    http: httpx.AsyncClient, client: redis.asyncio.Redis
) -> None:
    """As an import waits; what is live is taken."""
    await http.post("/v1/batch", json=batch("erp", *[READ] * RAW_HOLD))
    await http.post("/v1/batch", json=batch("erp", *[READ] * LOOK_EVERY))
    flood = batch("page", *[READ] * 200)
    reply = await http.post("/v1/batch", json=flood)
    assert (reply.status_code, reply.json()["code"]) == (503, "unavailable")
    assert (await http.post("/v1/track", json=READ | {"writeKey": "page"})).status_code == 200
    await client.delete(keys.RAW)
    assert (await http.post("/v1/batch", json=flood)).status_code == 200
