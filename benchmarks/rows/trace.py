"""What the log of outcomes costs, and what it takes in Redis."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.events import mixed_day
from benchmarks.figures import Bench, Check, Figures, Row, at_most
from benchmarks.usage import cost
from benchmarks.world import LIFTED, World, open_world, wait_until
from pipeline.storage import keys

WRITTEN_S = 60.0


def _delivered(bench: Bench, *, keep: str) -> Figures:
    """A mixed day, delivered by one worker with its splitter until its outcomes are written, too."""
    events = mixed_day(bench.size("users", 500))
    with open_world({**LIFTED, "TRACE_KEEP": keep}) as world:
        world.start_workers()
        world.warm()
        before, written = world.snapshot(), log_size(world, "records")
        world.add(events)
        world.wait_delivered(len(events), "all events are delivered")
        if keep != "off":
            wait_until(
                lambda: log_size(world, "records") - written >= len(events),
                "all is written",
                WRITTEN_S,
            )
        spent = cost(before, world.snapshot(), len(events))
        size = log_size(world, "bytes") / max(1, log_size(world, "records"))
        return {**spent, "log_bytes": size}


def log_size(world: World, what: str) -> int:
    """How many `bytes` or `records` it holds."""
    fields: Any = world.redis.hgetall(keys.trace_book("default"))
    return sum(int(value) for name, value in fields.items() if name.startswith(what.encode()))


TRACE = Row(
    "trace",
    "A mixed day, delivered with and without the log of outcomes",
    {"with": partial(_delivered, keep="72h"), "without": partial(_delivered, keep="off")},
    (
        Check(
            "CPU with the log of outcomes / without", "with.cpu_ms", "without.cpu_ms", at_most(1.05)
        ),
        Check("bytes of the log, an event", "with.log_bytes", unit="B"),
    ),
    rounds=5,
)
