"""How fast a lane goes, as measured, and when it will be empty. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pipeline.processes.history import EVERY_MS, Sample

WINDOW: Final = 4
"""Samples, 45 seconds, by which it is told how fast a lane goes: so late is a burst seen to end."""
STALE_MS: Final = 4 * EVERY_MS
"""Samples that end longer ago say nothing of now: no process took any since."""
FEW: Final = 20
"""Events that wait are always some: a lane with no more keeps up."""
FOREVER_MS: Final = 30 * 86_400_000


class Prospect(StrEnum):
    """Whether a lane will be empty."""

    KEEPS_UP = "keeps_up"
    CLEARS = "clears"
    GROWS = "will_not_clear"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a lane went in the last WINDOW: calls/s, and by how many events/s what waits has grown."""

    calls: float
    growth: float

    @property
    def inflow(self) -> float:
        """Events/s that came, if each call took one away. A call that takes several hides as many."""
        return max(0.0, self.growth + self.calls)


@dataclass(frozen=True, slots=True)
class Outlook:
    """clears_at_ms: when the lane will be empty, if prospect is CLEARS; Unix ms by Redis' clock."""

    prospect: Prospect
    clears_at_ms: int | None = None


def delivered_per_minute(samples: Sequence[Sample], now_ms: int) -> float | None:
    """Events that an account delivered in a minute; None while there is nothing to tell it from."""
    recent = _recent(samples, now_ms)
    if recent is None:
        return None
    first, last = recent
    return _rate(last.delivered - first.delivered, first, last, 60_000)


def measure(samples: Sequence[Sample], lane: str, now_ms: int) -> Pace | None:
    """The pace of a lane, by an account's newest samples (oldest first); None while there is nothing to tell it from."""
    recent = _recent(samples, now_ms)
    if recent is None:
        return None
    first, last = recent
    calls = _rate(last.calls[lane] - first.calls[lane], first, last, 1000)
    growth = (last.waiting[lane] - first.waiting[lane]) * 1000 / (last.at_ms - first.at_ms)
    return None if calls is None else Pace(calls, growth)


def outlook(
    due: int, pace: Pace | None, allowed: float, *, opens_at_ms: int | None, now_ms: int
) -> Outlook:
    """When the lane will be empty if all goes on as in the last WINDOW.

    due: events that wait for nothing but their turn. allowed: calls/s that the lane may make when its gates are open.
    opens_at_ms: when they open: now or earlier if they are open, None if only a person opens them.
    """
    if due <= 0:
        return Outlook(Prospect.KEEPS_UP)
    if opens_at_ms is None:
        return Outlook(Prospect.STOPPED)
    starts = max(now_ms, opens_at_ms)
    is_open = starts == now_ms
    if is_open and due <= max(FEW, 2 * allowed):
        return Outlook(Prospect.KEEPS_UP)
    if pace is None:
        return Outlook(Prospect.UNKNOWN)
    # What it does, if it does anything; else what it may.
    shrinks = -pace.growth if is_open and pace.calls > 0 else allowed - pace.inflow
    waits = due + pace.inflow * (starts - now_ms) / 1000
    if shrinks <= 0 or waits / shrinks * 1000 > FOREVER_MS:
        return Outlook(Prospect.GROWS)
    return Outlook(Prospect.CLEARS, starts + round(waits / shrinks * 1000))


def _recent(samples: Sequence[Sample], now_ms: int) -> tuple[Sample, Sample] | None:
    """The first and the last sample of the window."""
    window = samples[-WINDOW:]
    newest = window[-1].at_ms if window else 0
    window = [one for one in window if newest - one.at_ms <= WINDOW * EVERY_MS]
    if len(window) < 2 or now_ms - newest > STALE_MS or newest <= window[0].at_ms:
        return None
    return window[0], window[-1]


def _rate(difference: int, first: Sample, last: Sample, unit_ms: int) -> float | None:
    """A counter that went back was begun anew: by `reset`, or by a Redis that forgot."""
    return None if difference < 0 else difference * unit_ms / (last.at_ms - first.at_ms)
