"""How fast letters are sent again: what the slider of a re-send offers, and when it would be done. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from pipeline.deadletters.runner import LETTERS_A_TICK, TICK_S

FASTEST: Final = int(LETTERS_A_TICK / TICK_S)
"""Letters a second that a job sends at most, whatever the limits let."""


def most_a_second(lanes: Collection[str], limits: Mapping[str, float]) -> int:
    """The right end of the slider: what the limits of these lanes (calls a second) let together, at least 1.

    What the splitter refused has no lane yet, and may come into any.
    """
    known = [limits[lane] for lane in lanes if lane in limits]
    total = sum(known) if len(known) == len(lanes) else sum(limits.values())
    return max(1, min(FASTEST, int(total)))


def done_at(count: int, rate: float, now: float) -> float:
    """When so many letters are sent at this rate; Unix seconds."""
    return now + count / rate
