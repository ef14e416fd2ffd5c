"""Refused requests are counted in Redis by code, and by nothing that a stranger may choose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fakeredis
import httpx
import pytest
from redis.exceptions import NoPermissionError, OutOfMemoryError
from structlog.testing import capture_logs

from pipeline.clock import ManualClock
from pipeline.ingest import create_app
from pipeline.ingest.refusals import Refusals
from pipeline.settings import load_settings
from pipeline.storage import keys


@pytest.fixture
async def fake() -> AsyncIterator[fakeredis.FakeAsyncRedis]:
    async with fakeredis.FakeAsyncRedis() as client:
        yield client


async def counted(fake: fakeredis.FakeAsyncRedis) -> dict[bytes, bytes]:
    found: Mapping[Any, Any] = await fake.hgetall(keys.REFUSALS)
    return dict(found)


async def test_each_refusal_is_counted_by_its_code(
    fake: fakeredis.FakeAsyncRedis, tmp_path: Path
) -> None:
    """An operator sees that a key is wrong somewhere; the key itself is nowhere."""
    app = create_app(load_settings({}, directory=tmp_path), fake, ManualClock())
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://ingest"
    ) as http:
        for key in ("mistyped", "mistyped", "hunter2"):
            assert (await http.post("/v1/track", json={}, auth=(key, ""))).status_code == 401
        assert (await http.post("/v1/t", content=b"{")).status_code == 400
        assert (await http.post("/webhook/segment", json={})).status_code == 401
        assert (await http.post("/v1/event", json={})).status_code == 401
        assert (await http.post("/user", data={"api_key": "hunter2"})).status_code == 400
        assert (await http.post("/v1/t", json={"writeKey": "sandbox"})).status_code == 200
    assert await counted(fake) == {
        b"invalid_write_key": b"3",
        b"invalid_json": b"1",
        b"no_webhook_secrets": b"1",
        b"missing_write_key": b"1",
        b"sailthru_2": b"1",
    }


@contextmanager
def failing(error: Exception) -> Iterator[None]:
    """Redis refuses every transaction in this block."""

    async def fail(*_: object, **__: object) -> None:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("redis.asyncio.client.Pipeline.execute", fail)
        yield


async def test_counts_that_redis_does_not_take_are_written_later(
    fake: fakeredis.FakeAsyncRedis,
) -> None:
    """A full Redis is what many are refused for."""
    refusals = Refusals(fake)
    with failing(OutOfMemoryError("full")):
        for _ in range(2):
            refusals.count("unavailable")
            await refusals.write()
    assert await counted(fake) == {}
    refusals.count("too_large")
    await refusals.write()
    assert await counted(fake) == {b"unavailable": b"2", b"too_large": b"1"}


async def test_what_is_counted_while_others_are_written_is_written_with_them(
    fake: fakeredis.FakeAsyncRedis,
) -> None:
    """One writes at a time."""
    refusals = Refusals(fake)
    refusals.count("too_large")
    writing = asyncio.create_task(refusals.write())
    await asyncio.sleep(0)
    refusals.count("too_large")
    await refusals.write()
    await writing
    assert await counted(fake) == {b"too_large": b"2"}


async def test_a_redis_user_that_may_only_append_counts_nothing(
    fake: fakeredis.FakeAsyncRedis,
) -> None:
    """And nothing is kept for it."""
    refusals = Refusals(fake)
    refusals.count("too_large")
    with failing(NoPermissionError()):
        await refusals.write()
    await refusals.write()
    assert await counted(fake) == {}


async def test_six_thousand_refusals_are_one_line_a_minute(
    fake: fakeredis.FakeAsyncRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With their codes, and nothing that who is refused may choose."""
    monkeypatch.setattr("pipeline.observe.minutely.EVERY_S", 0.0)
    refusals = Refusals(fake)
    with capture_logs() as lines:
        for _ in range(3_000):
            refusals.count("unauthorized")
            refusals.count("too_large")
        await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)
    [line] = lines
    assert (line["event"], line["requests"]) == ("requests_refused", 6_000)
    assert line["codes"] == "too_large:3000 unauthorized:3000"
