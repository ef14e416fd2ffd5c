"""What the default `sailpipe up` uses while events come in as they happen, and how soon it delivers them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks import events as made
from benchmarks.events import Event
from benchmarks.figures import Bench, Check, Figures, Row, at_most, percentile
from benchmarks.rows.delivery import calls_of, run_program
from benchmarks.usage import cores, cost
from benchmarks.world import World, open_world, wait_until
from pipeline.lanes import PAGEVIEW_ENDPOINT

LIMITS = "POST /user=304,POST /event=41,POST /v1/track/event/pageview=200"
"""A little more than comes in, so that nothing piles up."""
A_SECOND = 340
PAGES_A_SECOND = 150
PAGES_BESIDE = 30
_PATIENCE_S = 120.0
_EARLY_S = 4.0
_STEP_S = 0.02


def live(bench: Bench) -> Figures:
    """300 identifies and 40 custom events a second; then page views whose way is timed, in the same processes."""
    seconds = bench.size("live_s", 20)
    with open_world({"LIMITS": LIMITS}, keep=["record"], redis_server=False) as world:
        world.up()
        world.warm()
        _feed(world, _EARLY_S, "early")
        before, delivered = world.snapshot(), world.delivered()
        _feed(world, seconds, "live")
        after = world.snapshot()
        count = world.delivered() - delivered
        fed = int(_EARLY_S * A_SECOND) + int(seconds * A_SECOND)
        world.wait_delivered(fed, "what was fed is delivered")
        used = cores(before, after)
        each = cost(before, after, count)
        per_second = count / (after.at - before.at)
        bench.handed_on["calls"] = calls_of(world.stand_in.said())
        latency = _latency(world, seconds, PAGES_A_SECOND)
    return {
        **used,
        "cores_at_340": used["cores"] * A_SECOND / per_second,
        "delivered_per_second": per_second,
        **{name: each[name] for name in ("round_trips", "scripts", "commands")},
        **latency,
    }


def bare(bench: Bench) -> Figures:
    """A loop makes the calls that ours made in this round, at the same pace."""
    with open_world(redis_server=False) as world:
        calls = bench.handed_on["calls"]
        found = run_program(world, "benchmarks.others.bare_loop", calls, str(A_SECOND))
    return {"cores_at_340": found["cpu_s"] / len(calls) * A_SECOND}


def _feed(world: World, seconds: float, prefix: str) -> None:
    """Add events at an even pace, some every 20 ms."""
    source, began, added = _events(prefix), time.monotonic(), 0
    total = int(seconds * A_SECOND)
    while added < total:
        time.sleep(_STEP_S)
        due = min(total, int((time.monotonic() - began) * A_SECOND))
        world.add([next(source) for _ in range(due - added)])
        added = due


def _events(prefix: str) -> Iterator[Event]:
    number = 0
    while True:
        user = f"{prefix}{number}"
        yield made.custom(user) if number % 17 in {0, 9} else made.identify(user)
        number += 1


def beside(bench: Bench, waiting: int) -> Figures:
    """Page views at three quarters of their limit, while custom events wait for theirs."""
    with open_world(keep=["record"], redis_server=False) as world:
        world.up()
        world.warm()
        world.add(made.custom(f"waits{number}") for number in range(waiting))
        world.wait_split()
        return _latency(world, bench.size("beside_s", 15), PAGES_BESIDE)


def _latency(world: World, seconds: float, a_second: float) -> dict[str, float]:
    """From right before XADD to the packet's arrival, in ms, of page views at a steady pace."""
    world.stand_in.forget()
    sent: dict[str, int] = {}
    began = time.monotonic()
    for number in range(int(seconds * a_second)):
        time.sleep(max(0.0, began + number / a_second - time.monotonic()))
        user = f"page{number}"
        sent[user] = time.time_ns()
        world.add([made.page(user)])
    wait_until(lambda: len(_pages(world)) >= len(sent), "the page views are delivered", _PATIENCE_S)
    arrived = _pages(world)
    delays = sorted((arrived[user] - at) / 1e6 for user, at in sent.items())
    return {"p50_ms": percentile(delays, 0.5), "p99_ms": percentile(delays, 0.99)}


def _pages(world: World) -> dict[str, int]:
    """When each user's page view arrived, in ns."""
    said = [call for call in world.stand_in.said() if call[1] == PAGEVIEW_ENDPOINT]
    users = (params["userIdValue"] for _, _, params in calls_of(said))
    return dict(zip(users, (at for *_, at in said), strict=True))


LIVE = Row(
    "live",
    "The default `up`, fed live: 300 identifies and 40 custom events a second, then 150 page views a second",
    {"ours": live, "bare": bare},
    (
        Check(
            "all of ours and Redis at 340/s", "ours.cores_at_340", goal=at_most(0.35), unit="cores"
        ),
        Check("the same / bare loop at that pace", "ours.cores_at_340", "bare.cores_at_340"),
        Check("bare loop at that pace", "bare.cores_at_340", unit="cores"),
        Check("enqueue to Sailthru at 150/s, p50", "ours.p50_ms", goal=at_most(30), unit="ms"),
        Check("enqueue to Sailthru at 150/s, p99", "ours.p99_ms", goal=at_most(90), unit="ms"),
        Check("delivered", "ours.delivered_per_second", unit="/s"),
        Check("round trips to Redis an event", "ours.round_trips", unit=""),
        Check("script calls an event", "ours.scripts", unit=""),
    ),
    rounds=2,
)
BESIDE = Row(
    "beside",
    "Page views, while 20,000 custom events wait for their limit and without them",
    {
        "waiting": lambda bench: beside(bench, bench.size("waiting", 20_000)),
        "alone": lambda bench: beside(bench, 0),
    },
    (
        Check("p50 while others wait / alone", "waiting.p50_ms", "alone.p50_ms"),
        Check("p99 while others wait", "waiting.p99_ms", unit="ms"),
        Check("p99 alone", "alone.p99_ms", unit="ms"),
    ),
    rounds=1,
)
