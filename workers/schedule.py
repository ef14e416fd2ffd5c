"""When which lane is looked at next. No I/O."""

from __future__ import annotations

import math
from collections.abc import Iterable

from pipeline.events.models import Lane

AccountLane = tuple[str, Lane]


class WakeSchedule:
    """Lanes to be looked at, each once it has rested. Times are those of one monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._wanted: dict[AccountLane, float] = {}
        self._rests_until: dict[AccountLane, float] = {}

    def add(self, lanes: Iterable[AccountLane], at: float = -math.inf) -> float:
        """Have these looked at, no sooner than `at` unless they are to be already; returns when the first will be."""
        first = math.inf
        for lane in lanes:
            self._wanted[lane] = min(at, self._wanted.get(lane, math.inf))
            first = min(first, self._ready_at(lane))
        return first

    def rest(self, lanes: Iterable[AccountLane], until: float) -> None:
        """Look at these lanes no sooner, whatever they were added for."""
        for lane in lanes:
            self._rests_until[lane] = until

    def take(self, now: float) -> list[AccountLane]:
        """The lanes that are to be looked at by now; and take them off the schedule."""
        ready = [lane for lane in self._wanted if self._ready_at(lane) <= now]
        for lane in ready:
            del self._wanted[lane]
        return ready

    def next_at(self) -> float:
        """When the first lane is to be looked at; infinity when there is none."""
        return min(map(self._ready_at, self._wanted), default=math.inf)

    def _ready_at(self, lane: AccountLane) -> float:
        return max(self._wanted[lane], self._rests_until.get(lane, -math.inf))
