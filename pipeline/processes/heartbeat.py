"""Says every few seconds that this process lives, and samples the counters when it is its turn."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection
from dataclasses import replace

import redis.asyncio
import redis.exceptions

from pipeline.clock import Clock
from pipeline.processes.history import EVERY_MS, take_samples
from pipeline.processes.records import HeadersSeen, Process
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts

BEAT_S = 5.0
ALIVE_MS = 20_000
"""A process whose last sign is older is gone, or stands still: three beats, and one that is late."""
KEPT_MS = 60_000
"""A record without a sign of life is removed by the next process that beats."""
END_WITHIN_S = 1.0


class Heartbeat:
    """This process's record in Redis, for as long as `run` is not cancelled."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        process: Process,
        accounts: Collection[str],
        clock: Clock,
        headers: Callable[[], Collection[HeadersSeen]] = tuple,
    ) -> None:
        """`accounts`: whose counters it samples in its turn. `headers`: what a worker has seen of Sailthru's by now."""
        self._redis = client
        self._process = process
        self._accounts = tuple(accounts)
        self._clock = clock
        self._headers = headers
        self._scripts = Scripts(client, "pipeline.processes")

    async def run(self) -> None:
        """Beat until cancelled. While Redis is away there is nothing to say: others log it."""
        try:
            while True:
                with contextlib.suppress(redis.exceptions.RedisError):
                    await self.beat()
                await self._clock.sleep(BEAT_S)
        finally:
            with contextlib.suppress(redis.exceptions.RedisError, TimeoutError):
                async with asyncio.timeout(END_WITHIN_S):
                    await self._say("")

    async def beat(self) -> None:
        """Say it once. Raises redis.exceptions.RedisError."""
        if await self._say(replace(self._process, headers=tuple(self._headers())).encode()):
            await take_samples(self._redis, self._accounts)

    async def _say(self, record: str) -> bool:
        args = [self._process.id, record, KEPT_MS, EVERY_MS, *self._process.parts]
        return bool(await self._scripts.run("beat", [keys.PROCESSES, keys.LAST_SEEN], args))
