"""No request keeps the event loop, and so /healthz and everybody else, for long: measured in CPU time, on any machine."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis.asyncio

from pipeline.clock import SystemClock
from pipeline.ingest import create_app
from pipeline.ingest.answers import HttpError
from pipeline.ingest.bodies import MAX_BODY_BYTES, read_object, unpacked
from pipeline.ingest.segment_events import MAX_BATCH_EVENTS
from pipeline.settings import load_settings

STEP_S = 0.05
"""The most that one step may take: /healthz waits for one at a time, and is to be answered within 100 ms."""
KEY = "page"


def _batch(*events: dict[str, Any], **beside: Any) -> bytes:
    return json.dumps({"batch": events, "writeKey": KEY, **beside}).encode()


def _event(**more: Any) -> dict[str, Any]:
    return {"type": "track", "userId": "u", "event": "R", **more}


BODIES = {
    "a context in each of its events": _batch(
        *[_event()] * MAX_BATCH_EVENTS, context={"note": "x" * 2_500}
    ),
    "as many events as a batch may have": _batch(
        *[_event(properties={"a": 1, "b": "x" * 60})] * MAX_BATCH_EVENTS
    ),
    "brackets": b'{"batch":' + b"[" * (MAX_BODY_BYTES - 99),
    "a bomb": gzip.compress(b" " * (50 << 20)),
    "numbers": _batch(*[_event(properties={"n": [1] * 7_000})] * 15),
    "one large event": json.dumps(
        _event(writeKey=KEY, properties={str(n): {} for n in range(40_000)})
    ).encode(),
    "one large event among others": _batch(
        _event(), _event(properties={str(n): {} for n in range(35_000)}), _event()
    ),
    "large texts in place of events": json.dumps(
        {"batch": ["x" * 100_000] * 5, "writeKey": KEY}
    ).encode(),
    "broken texts": _batch(*[_event(properties={"t": "\ud83d" * 9})] * 2_000),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_no_body_keeps_the_loop_for_long(redis_url: str, tmp_path: Path, body: bytes) -> None:
    """By the time that this thread computes between two turns of the others; the better of two tries."""
    settings = load_settings({"SAILPIPE_WRITE_KEYS": f"{KEY}:browser"}, directory=tmp_path)
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        transport = httpx.ASGITransport(create_app(settings, client, SystemClock()))
        async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as http:
            for path in ("/v1/batch", "/v1/track"):
                longest = [await _longest_step(http, path, body) for _ in range(2)]
                assert min(longest) < STEP_S, path


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_no_body_is_read_for_long(body: bytes) -> None:
    """It is read in a thread, which may keep the interpreter while it parses."""
    took: list[float] = []
    for _ in range(3):
        began = time.thread_time()
        with contextlib.suppress(HttpError):
            read_object(unpacked(body))
        took.append(time.thread_time() - began)
    assert min(took) < STEP_S


async def _longest_step(http: httpx.AsyncClient, path: str, body: bytes) -> float:
    steps: list[float] = []

    async def watch() -> None:
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            steps.append(time.thread_time() - began)

    watching = asyncio.create_task(watch())
    reply = await http.post(path, content=body)
    watching.cancel()
    assert reply.status_code in {200, 400, 503}
    return max(steps)
