"""Whether anything works on an account: signs of life of workers and splitter."""

from __future__ import annotations

from dataclasses import dataclass

import redis.asyncio

from pipeline.events.models import Lane
from pipeline.storage import keys

SILENT_MS = 30_000
"""A worker that serves an account looks at each of its lanes several times in a LEASE, idle ones included."""


@dataclass(frozen=True, slots=True)
class Signs:
    """splitter: one holds the lease. workers: by lane, whether one looked into it in the last SILENT_MS."""

    splitter: bool
    workers: dict[str, bool]


async def read_signs(client: redis.asyncio.Redis, account: str) -> Signs:
    """How lately splitter and workers were seen, by Redis' clock."""
    async with client.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.exists(keys.SPLITTER)
        for lane in Lane:
            pipe.hget(keys.lane(account, lane), "tick")
        (seconds, micros), lease, *ticks = await pipe.execute()
    now_ms = seconds * 1000 + micros // 1000
    seen = {
        str(lane): now_ms - int(tick or 0) < SILENT_MS
        for lane, tick in zip(Lane, ticks, strict=True)
    }
    return Signs(bool(lease), seen)
