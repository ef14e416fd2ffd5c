"""A burst into the default `sailpipe up`: both limits used from the second second on, and never exceeded."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import events
from benchmarks.figures import (
    Bench,
    Check,
    Figures,
    Row,
    at_least,
    at_most,
    by_second,
    largest_window,
    mean_rate,
)
from benchmarks.world import open_world

SECOND_NS = 10**9
LIMITS = {"POST /user": 300, "POST /event": 40}


def burst(bench: Bench) -> Figures:
    """20,000 events at once at the real limits, as the stand-in received them."""
    found = events.burst(bench.size("burst", 20_000))
    with open_world(redis_server=False) as world:
        world.up()
        world.add(events.identifies(1, "warm"))
        world.wait_delivered(1, "`up` works", 60)
        world.stand_in.forget()
        world.add(found)
        world.wait_delivered(len(found), "the burst is delivered")
        times = world.stand_in.times()
    start = min(one[0] for one in times.values())
    bench.series["by_second"] = {name: by_second(one, start) for name, one in times.items()}
    return {
        **_use("user", times["POST /user"], 300, start),
        **_use("event", times["POST /event"], 40, start),
    }


def _use(name: str, times: Sequence[int], limit: int, start: int) -> dict[str, float]:
    """Worst sliding second of all, and the share of the limit that is used after the first second: until the lane
    is empty, and until ten seconds are over, while most of the burst is still being split."""
    begin, end = start + SECOND_NS, start + 10 * SECOND_NS
    return {
        f"{name}_use": 100 * mean_rate(times, begin, times[-1]) / limit,
        f"{name}_early": 100 * mean_rate(times, begin, min(end, times[-1])) / limit,
        f"{name}_worst": largest_window(times, SECOND_NS),
    }


BURST = Row(
    "burst",
    "20,000 mixed events into the default `up`, at the real limits",
    {"ours": burst},
    (
        Check("of 300/s, from second 2 on", "ours.user_use", goal=at_least(98.5), unit="%"),
        Check("of 40/s, from second 2 on", "ours.event_use", goal=at_least(97.5), unit="%"),
        Check("of 300/s, in seconds 2 to 10", "ours.user_early", unit="%"),
        Check("of 40/s, in seconds 2 to 10", "ours.event_early", unit="%"),
        Check(
            "worst second of POST /user, as received", "ours.user_worst", goal=at_most(300), unit=""
        ),
        Check(
            "worst second of POST /event, as received",
            "ours.event_worst",
            goal=at_most(40),
            unit="",
        ),
    ),
    rounds=1,
)
