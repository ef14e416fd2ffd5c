"""Time and randomness as values that are passed in, so that a test can move them."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime
from typing import Protocol

_RUNS_ASLEEP = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Linux' CLOCK_MONOTONIC stands still while the machine is suspended; that of macOS does not."""


class Clock(Protocol):
    """Where a component gets its time from."""

    def now(self) -> float:
        """Wall time in seconds since the epoch."""

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean anything. They pass while the machine sleeps, too:
        leases do not wait for it."""

    async def sleep(self, seconds: float) -> None:
        """Wait. A test clock advances itself instead."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()  # noqa: TID251 - the one place

    def monotonic(self) -> float:
        return time.clock_gettime(_RUNS_ASLEEP)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class ManualClock:
    """A clock that moves when it is told to; sleeping moves it."""

    def __init__(self, start: float = 1_000_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds

    async def sleep(self, seconds: float) -> None:
        self.advance(max(0.0, seconds))
        await asyncio.sleep(0)


def iso(ms: int) -> str:
    """Unix milliseconds as ISO 8601 in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


class Random(Protocol):
    """The one draw that jitter needs."""

    def random(self) -> float:
        """A float in [0, 1)."""


SYSTEM_RANDOM: Random = random.SystemRandom()
