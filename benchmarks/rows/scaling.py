"""Two worker processes against one.

A machine with two cores cannot show it by CPU, since the stand-in, Redis and two workers share them. So each call is
answered after a second: a worker then delivers as many mailboxes a second as it may have in hand, far below what a
core can do, and what is seen is whether two of them get in each other's way. Beside it stands what an event costs.
"""

from __future__ import annotations

from benchmarks.events import identifies
from benchmarks.figures import Bench, Check, Figures, Row, at_least, at_most
from benchmarks.usage import cost, rate
from benchmarks.world import LIFTED, open_world

ANSWER_MS = 1_000.0


def deliver(bench: Bench, workers: int) -> Figures:
    """Events/s, and CPU an event, of so many workers over one Redis."""
    events = identifies(bench.size("events", 4_000) * workers)
    with open_world(LIFTED, answer_ms=ANSWER_MS) as world:
        world.start_workers(workers)
        world.warm()
        world.add(identifies(len(events) // 4, "early"))
        world.wait_split()
        world.wait_delivered(len(events) // 4, "the workers are at it")
        world.stand_in.forget()
        before = world.snapshot()
        world.add(events)
        world.wait_delivered(len(events), "all events are delivered")
        spent = cost(before, world.snapshot(), len(events))
        return {"cpu_ms": spent["cpu_ms"], "per_second": rate(world.stand_in.times())}


SCALING = Row(
    "scaling",
    "Two workers and one, no limits, an answer takes a second",
    {"two": lambda bench: deliver(bench, 2), "one": lambda bench: deliver(bench, 1)},
    (
        Check("events/s, two workers / one", "two.per_second", "one.per_second", at_least(1.7)),
        Check("CPU an event, two workers / one", "two.cpu_ms", "one.cpu_ms", at_most(1.18)),
        Check("events/s of two workers", "two.per_second", unit="/s"),
    ),
    rounds=2,
)
