"""What the log of outcomes costs, and what it takes in Redis."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import redis.asyncio

from benchmarks.events import Event, mixed_day
from benchmarks.figures import Bench, Check, Figures, Row, at_most
from benchmarks.usage import cost
from benchmarks.world import LIFTED, World, open_world, wait_until
from pipeline.clock import SystemClock
from pipeline.delivery.traces import Settled, settled_records
from pipeline.settings import AccountSettings
from pipeline.storage import keys
from pipeline.storage.redis_client import open_async_redis
from pipeline.trace.queue import TraceQueue
from tests.support.pipe import ACCOUNT, open_pipe
from tests.support.redis_server import RedisServer

WRITTEN_S = 60.0
AT_ONCE = 170
"""Settlements that are written together: what comes in half a second at 340 a second."""
DAYS = 20
"""How often the same day is written, so that clocks of 10 ms measure it."""


def _delivered(bench: Bench, *, keep: str) -> Figures:
    """A mixed day, delivered by one worker with its splitter until its outcomes are written, too."""
    events = mixed_day(bench.size("users", 500))
    with open_world({**LIFTED, "TRACE_KEEP": keep}) as world:
        world.start_workers()
        world.warm()
        before, written = world.snapshot(), log_size(world, "records")
        world.add(events)
        world.wait_delivered(len(events), "all events are delivered")
        if keep != "off":
            wait_until(
                lambda: log_size(world, "records") - written >= len(events),
                "all is written",
                WRITTEN_S,
            )
        spent = cost(before, world.snapshot(), len(events))
        size = log_size(world, "bytes") / max(1, log_size(world, "records"))
        return {**spent, "log_bytes": size}


def log_size(world: World, what: str) -> int:
    """How many `bytes` or `records` it holds."""
    fields: Any = world.redis.hgetall(keys.trace_book("default"))
    return sum(int(value) for name, value in fields.items() if name.startswith(what.encode()))


def _alone(bench: Bench) -> Figures:
    """The log alone: settlements of a mixed day are made into records and written, by a process that does nothing else."""
    events = mixed_day(bench.size("settled", 150))
    settled = asyncio.run(_settlements(events))
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            return {"cpu_ms": asyncio.run(_write(server.url, settled)) * 1000 / len(events)}
        finally:
            server.stop()


async def _settlements(events: Sequence[Event]) -> list[Settled]:
    """What a worker would tell of these events, from a pipeline in this process."""
    async with open_pipe() as pipe:
        await pipe.post(*events)
        await pipe.run(3_600)
        return pipe.settled()


async def _write(url: str, settled: Sequence[Settled]) -> float:
    """CPU seconds that one day takes here and in Redis."""
    client = open_async_redis(url)
    queue = TraceQueue(client, {ACCOUNT: AccountSettings()}, settled_records, SystemClock())

    async def write(days: int) -> None:
        for _ in range(days):
            for start in range(0, len(settled), AT_ONCE):
                queue.pending.extend(settled[start : start + AT_ONCE])
                await queue.flush()

    await write(1)
    before = time.process_time() + await _redis_cpu_s(client)
    await write(DAYS)
    spent = time.process_time() + await _redis_cpu_s(client) - before
    await client.aclose()
    return spent / DAYS


async def _redis_cpu_s(client: redis.asyncio.Redis) -> float:
    info = await client.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])


TRACE = Row(
    "trace",
    "A mixed day, delivered with and without the log of outcomes",
    {
        "with": partial(_delivered, keep="72h"),
        "without": partial(_delivered, keep="off"),
        "alone": _alone,
    },
    (
        # The noise of a whole delivery is larger than the log's part of it.
        Check(
            "CPU of the log alone / of delivery", "alone.cpu_ms", "without.cpu_ms", at_most(0.05)
        ),
        Check("CPU with the log of outcomes / without", "with.cpu_ms", "without.cpu_ms"),
        Check("bytes of the log, an event", "with.log_bytes", unit="B"),
    ),
    rounds=5,
)
