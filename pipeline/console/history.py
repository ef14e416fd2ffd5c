"""What waited in each lane in the last minutes: for the plot, and for when a lane will be empty."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import redis.asyncio
from redis.exceptions import RedisError

from pipeline.clock import Clock
from pipeline.counters import Count, Counters
from pipeline.events.models import Lane
from pipeline.settings import Settings
from pipeline.storage import keys

EVERY_S: Final = 15.0
KEPT: Final = 60
"""Samples: 15 minutes of them."""
TREND: Final = 8
"""Samples, two minutes, by which it is told whether a lane empties."""
FEW: Final = 20
"""Events that wait are always some; a lane with no more keeps up."""


@dataclass(frozen=True, slots=True)
class Sample:
    """How many events waited in a lane, at a time in Unix seconds."""

    at: float
    waiting: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """When a lane will be empty at its present pace. clears_at: Unix seconds; None when it keeps up, grows, or cannot
    be told. grows: events/s more that come than go."""

    clears_at: float | None = None
    grows: float = 0.0
    keeps_up: bool = False


class History:
    """Samples of all accounts' lanes, taken by this process while it runs."""

    def __init__(self, client: redis.asyncio.Redis, settings: Settings, clock: Clock) -> None:
        self._redis = client
        self._accounts = list(settings.accounts)
        self._clock = clock
        self._samples: dict[tuple[str, str], deque[Sample]] = {}

    async def watch(self) -> None:
        """Take a sample every EVERY_S, for ever. While Redis is away there are none."""
        while True:
            try:
                await self.sample()
            except RedisError:
                self._samples.clear()
            await self._clock.sleep(EVERY_S)

    async def sample(self) -> None:
        """Take one sample of each lane."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in self._accounts:
                pipe.hgetall(keys.counts(name))
            tables = await pipe.execute()
        now = self._clock.now()
        for account, table in zip(self._accounts, tables, strict=True):
            waiting = Counters.read([*chain(*table.items())]).by_part(Count.WAITING)
            for lane in Lane:
                kept = self._samples.setdefault((account, lane), deque(maxlen=KEPT))
                kept.append(Sample(now, waiting.get(lane, 0)))

    def of(self, account: str, lane: str) -> tuple[Sample, ...]:
        """The samples of a lane, oldest first."""
        return tuple(self._samples.get((account, lane), ()))


def outlook(samples: Sequence[Sample], waiting: int, rate: float, now: float) -> Outlook:
    """When `waiting` events will be gone. rate: calls/s that the lane aims at now, 0 behind a closed gate."""
    if waiting <= max(FEW, 2 * rate):
        return Outlook(keeps_up=True)
    recent = samples[-TREND:]
    if len(recent) < TREND or recent[-1].at <= recent[0].at:
        return Outlook()
    change = (recent[-1].waiting - recent[0].waiting) / (recent[-1].at - recent[0].at)
    if change >= 0 or rate == 0:
        return Outlook(grows=round(max(0.0, change), 1))
    return Outlook(clears_at=now - waiting / change)


def points(samples: Sequence[Sample], width: int, height: int) -> str:
    """The points of an SVG line, the newest sample at the right; '' when there are too few to draw one."""
    if len(samples) < 2:
        return ""
    most = max(1, *(one.waiting for one in samples))
    end, span = samples[-1].at, EVERY_S * KEPT
    places = (
        (width - (end - one.at) / span * width, height - 1 - one.waiting / most * (height - 2))
        for one in samples
    )
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
