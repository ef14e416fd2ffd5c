"""One reading of the status for all who look at the same time."""

from __future__ import annotations

import asyncio
from typing import Any

import redis.asyncio

from pipeline.clock import Clock
from pipeline.settings import Settings
from pipeline.status.report import read_status

FRESH_S = 1.0
"""Seconds for which one reading serves everybody: it looks at some thousand mailboxes, which many open pages
must not multiply."""


class StatusReader:
    """Reads the status of everything, at most once in FRESH_S."""

    def __init__(
        self, client: redis.asyncio.Redis, settings: Settings, redis_url: str, clock: Clock
    ) -> None:
        self._redis = client
        self._settings = settings
        self._url = redis_url
        self._clock = clock
        self._reading = asyncio.Lock()
        self._last: tuple[float, dict[str, Any]] | None = None

    async def read(self) -> dict[str, Any]:
        """The shape of `status --json`; not to be changed. Connection errors propagate."""
        async with self._reading:
            now = self._clock.monotonic()
            if self._last is None or not 0 <= now - self._last[0] < FRESH_S:
                found = await read_status(self._redis, self._settings, self._url)
                self._last = (now, found)
            return self._last[1]
