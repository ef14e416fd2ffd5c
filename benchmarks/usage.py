"""What was used up between two moments, and how fast calls arrived. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

OURS = ("worker", "splitter", "redis")
"""What the CPU of a delivered event is made of."""
STAND_IN = "stand_in"
"""Its CPU is no cost of either side; it is measured so that a stand-in that bounds a row is seen."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What has been used up by a moment. `cpu` in seconds by role; `redis` are counters of Redis' own."""

    at: float
    cpu: Mapping[str, float]
    redis: Mapping[str, float]


def cost(before: Snapshot, after: Snapshot, events: int) -> dict[str, float]:
    """What each of `events` took in between: CPU in ms by role, and Redis' counters."""
    spent = used_between(before, after)
    each = {f"{role}_ms": seconds * 1000 / events for role, seconds in spent.items()}
    each["cpu_ms"] = sum(each.get(f"{role}_ms", 0.0) for role in OURS)
    for name, value in after.redis.items():
        each[name] = (value - before.redis[name]) / events
    return each


def cores(before: Snapshot, after: Snapshot) -> dict[str, float]:
    """Share of a core that each role used, and all but the stand-in together."""
    seconds = after.at - before.at
    each = {f"{role}_cores": used / seconds for role, used in used_between(before, after).items()}
    return {**each, "cores": sum(each.values()) - each.get(f"{STAND_IN}_cores", 0.0)}


def used_between(before: Snapshot, after: Snapshot) -> dict[str, float]:
    """CPU seconds by role. A process that was started in between counts from its start."""
    return {role: used - before.cpu.get(role, 0.0) for role, used in after.cpu.items()}


def rate(times: Mapping[str, Sequence[int]]) -> float:
    """Calls a second of everything that arrived, from the first to the last."""
    merged = sorted(time for one in times.values() for time in one)
    return (len(merged) - 1) * 1e9 / (merged[-1] - merged[0]) if len(merged) > 1 else 0.0


def span_s(times: Mapping[str, Sequence[int]]) -> float:
    """Seconds from the first to the last arrival."""
    merged = [time for one in times.values() for time in one]
    return (max(merged) - min(merged)) / 1e9
