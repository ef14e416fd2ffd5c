"""How many calls fell into one window: what a rate limit promises about."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable


def worst_second(times: Iterable[float]) -> int:
    """The most times within any half-open second, wherever it begins."""
    window: deque[float] = deque()
    worst = 0
    for time in sorted(times):
        window.append(time)
        while time - window[0] >= 1.0:
            window.popleft()
        worst = max(worst, len(window))
    return worst


def worst_clock_minute(times: Iterable[float]) -> int:
    """The most times within any minute of the clock, as Sailthru counts."""
    return max(Counter(int(time // 60) for time in times).values(), default=0)
