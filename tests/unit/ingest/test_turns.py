"""Whatever one request brings, others are answered meanwhile: heavy bodies are read one at a time, and in pieces."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import fakeredis
import httpx
import pytest

from pipeline.clock import Clock, ManualClock
from pipeline.ingest import create_app
from pipeline.ingest.bodies import read_object
from pipeline.ingest.segment import LIGHT_BYTES
from pipeline.settings import load_settings
from pipeline.storage import keys

EVENT = {"userId": "u1", "event": "Registered", "writeKey": "sandbox"}
BATCH = json.dumps({"batch": [{**EVENT, "type": "track"}] * 50, "writeKey": "sandbox"}).encode()
SINGLE = json.dumps(EVENT).encode()
LARGE = json.dumps({**EVENT, "properties": {"note": "x" * LIGHT_BYTES}}).encode()


class TickingClock(ManualClock):
    """Every look at it takes a second."""

    def monotonic(self) -> float:
        self.advance(1.0)
        return super().monotonic()


@pytest.fixture
async def fake() -> AsyncIterator[fakeredis.FakeAsyncRedis]:
    async with fakeredis.FakeAsyncRedis() as client:
        yield client


def open_client(
    fake: fakeredis.FakeAsyncRedis, folder: Path, clock: Clock | None = None
) -> httpx.AsyncClient:
    app = create_app(load_settings({}, directory=folder), fake, clock or ManualClock())
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ingest")


class Slow:
    """In place of a body's reading: begins, and ends when it is told to."""

    def __init__(self, read: Callable[[bytes], Any]) -> None:
        self._read = read
        self.begun = 0
        self.go_on = threading.Event()

    def __call__(self, body: bytes) -> Any:
        if body == SINGLE:
            return self._read(body)
        self.begun += 1
        assert self.go_on.wait(30)
        return self._read(body)


@pytest.mark.parametrize(
    ("path", "body"),
    [("batch", BATCH), ("track", LARGE), ("track", gzip.compress(SINGLE + b" " * 99_000))],
)
async def test_a_light_request_is_answered_while_a_heavy_one_is_read(
    fake: fakeredis.FakeAsyncRedis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    body: bytes,
) -> None:
    """A batch, a large event and a packed body are heavy; of those, one is read at a time."""
    slow = Slow(read_object)
    monkeypatch.setattr("pipeline.ingest.segment.read_object", slow)
    async with open_client(fake, tmp_path) as http:
        heavy = [asyncio.create_task(http.post(f"/v1/{path}", content=body)) for _ in range(3)]
        try:
            while not slow.begun:
                await asyncio.sleep(0.001)
            assert (await http.get("/healthz")).status_code == 200
            assert (await http.post("/v1/track", content=SINGLE)).status_code == 200
            assert slow.begun == 1
            assert await fake.xlen(keys.RAW) == 1
        finally:
            slow.go_on.set()
        assert {reply.status_code for reply in await asyncio.gather(*heavy)} == {200}
        assert slow.begun == 3


async def test_others_have_a_turn_between_the_pieces_of_a_batch(
    fake: fakeredis.FakeAsyncRedis, tmp_path: Path
) -> None:
    """By the time a piece took; here each of its events takes too long."""
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with open_client(fake, tmp_path, TickingClock()) as http:
        counting = asyncio.create_task(count_turns())
        reply = await http.post("/v1/batch", content=BATCH)
        counting.cancel()
    assert reply.status_code == 200
    assert turns >= 50


async def test_a_batch_that_is_refused_lets_the_next_have_its_turn(
    fake: fakeredis.FakeAsyncRedis, tmp_path: Path
) -> None:
    """Whatever ended it."""
    async with open_client(fake, tmp_path) as http:
        for refused in (b"{", b'{"writeKey": "sandbox", "batch": 1}', b'{"batch": []}'):
            assert (await http.post("/v1/batch", content=refused)).status_code in {400, 401}
        assert (await http.post("/v1/batch", content=BATCH)).status_code == 200


async def test_more_than_the_memory_may_hold_is_asked_to_come_again(
    fake: fakeredis.FakeAsyncRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bodies that wait for their turn and batches that wait for Redis count; light events are still taken."""
    monkeypatch.setattr("pipeline.ingest.segment.MAX_HELD_BYTES", 3 * len(BATCH))
    slow = Slow(read_object)
    monkeypatch.setattr("pipeline.ingest.segment.read_object", slow)
    async with open_client(fake, tmp_path) as http:
        held = [asyncio.create_task(http.post("/v1/batch", content=BATCH)) for _ in range(3)]
        while not slow.begun:
            await asyncio.sleep(0.001)
        refused = await http.post("/v1/batch", content=BATCH)
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert int(refused.headers["Retry-After"]) > 0
        assert (await http.post("/v1/track", content=SINGLE)).status_code == 200
        slow.go_on.set()
        await asyncio.gather(*held)
        monkeypatch.setattr("pipeline.ingest.segment.MAX_HELD_BYTES", 99 * len(BATCH))
        assert (await http.post("/v1/batch", content=BATCH)).status_code == 200
