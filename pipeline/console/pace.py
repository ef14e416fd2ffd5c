"""How fast letters are sent again: what the slider of a re-send offers, and when it would be done. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipeline.deadletters.runner import LETTERS_A_TICK, TICK_S

FASTEST: Final = int(LETTERS_A_TICK / TICK_S)
"""Letters a second that a job sends at most, whatever the limits let."""


def most_a_second(lanes: Mapping[str, int], limits: Mapping[str, float]) -> int:
    """The right end of the slider: how fast letters go on average until those of the slowest lane are sent, at least 1.

    lanes: how many letters are of each. limits: calls a second of each lane. What the splitter refused has no lane yet,
    and may come into any.
    """
    times = [n / limits.get(lane, sum(limits.values())) for lane, n in lanes.items() if n]
    total = sum(lanes.values()) / max(times) if times and limits else FASTEST
    return max(1, min(FASTEST, int(total)))


def done_at(count: int, rate: float, now: float) -> float:
    """When so many letters are sent at this rate; Unix seconds."""
    return now + count / rate
