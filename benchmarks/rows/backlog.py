"""A large backlog against a small one: what an event costs to split and to deliver, and what it takes in Redis."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.events import Event, custom
from benchmarks.figures import Bench, Check, Figures, Row, at_most
from benchmarks.usage import cost
from benchmarks.world import LIFTED, TIMED, World, open_world

SMALL = 10_000
_RAW_AT_MOST = 20_000
_STEP = 2_000


def backlog(bench: Bench, count: int) -> Figures:
    """Split `count` events of three a user, then deliver some out of that backlog."""
    delivered = bench.size("delivered", 4_000)
    with open_world(LIFTED) as world:
        world.start_splitter()
        _split(world, 600, 3, "warm")
        before, memory = world.snapshot(), world.used_memory()
        size = _split(world, count, 3, "u")
        split = cost(before, world.snapshot(), count)
        waiting = (world.used_memory() - memory) / count - size
        splitter_mb = world.rss_mb("splitter") or world.rss_mb("worker")
        deliver, worker_mb, grown_mb = _deliver(world, delivered)
    return {
        "split_ms": split["cpu_ms"],
        "split_redis_ms": split["redis_ms"],
        **{f"{name}_us": split[f"{name}_us"] for name in TIMED},
        "deliver_ms": deliver["cpu_ms"],
        "deliver_redis_ms": deliver["redis_ms"],
        "bytes_at_3": waiting,
        "json_bytes": size,
        "splitter_mb": splitter_mb,
        "worker_mb": worker_mb,
        "grown_mb": grown_mb,
    }


def _deliver(world: World, count: int) -> tuple[dict[str, float], float, float]:
    """What an event takes, and the new worker's memory at the end and what of it came late, in MB."""
    old = world.rss_mb("worker")
    world.start("worker")
    world.wait_delivered(count // 4, "the worker works")
    before, early, begun = world.snapshot(), world.rss_mb("worker") - old, world.delivered()
    world.wait_delivered(count, "some of the backlog is delivered")
    after, late, done = world.snapshot(), world.rss_mb("worker") - old, world.delivered()
    return cost(before, after, done - begun), late, late - early


def _split(world: World, count: int, each: int, prefix: str) -> float:
    """Add events as the splitter takes them, and wait until all are split. Returns their mean size in bytes."""
    size, source = 0, _events(count, each, prefix)
    for start in range(0, count, _STEP):
        size += world.add([next(source) for _ in range(min(_STEP, count - start))])
        world.wait_split(_RAW_AT_MOST)
    world.wait_split()
    return size / count


def _events(count: int, each: int, prefix: str) -> Iterator[Event]:
    users = max(1, count // each)
    return (custom(f"{prefix}{number % users}") for number in range(count))


def alone(bench: Bench) -> Figures:
    """Redis' bytes beyond the JSON, where every event is another user's."""
    count = bench.size("alone", 30_000)
    with open_world() as world:
        world.start_splitter()
        _split(world, 600, 1, "warm")
        memory = world.used_memory()
        size = _split(world, count, 1, "u")
        return {"bytes_at_1": (world.used_memory() - memory) / count - size}


BACKLOG = Row(
    "backlog",
    "A large backlog (100,000 unless `--size backlog=1000000`) and one of 10,000",
    {
        "large": lambda bench: backlog(bench, bench.size("backlog", 100_000)),
        "small": lambda bench: backlog(bench, bench.size("small", SMALL)),
        "alone": alone,
    },
    (
        Check(
            "CPU to split an event, large / small",
            "large.split_ms",
            "small.split_ms",
            at_most(1.15),
        ),
        Check(
            "CPU to deliver an event, large / small",
            "large.deliver_ms",
            "small.deliver_ms",
            at_most(1.15),
        ),
        Check(
            "Redis beyond the JSON, three events a user",
            "large.bytes_at_3",
            goal=at_most(200),
            unit="B",
        ),
        Check(
            "Redis beyond the JSON, one event a user",
            "alone.bytes_at_1",
            goal=at_most(450),
            unit="B",
        ),
        Check("resident memory of a worker", "large.worker_mb", goal=at_most(150), unit="MB"),
        Check("of it, what came while it delivered", "large.grown_mb", goal=at_most(5), unit="MB"),
    ),
    rounds=1,
)
