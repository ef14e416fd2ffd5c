"""What a delivered event costs, and how many a worker delivers, with every limit lifted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from benchmarks.events import Event, identifies, mixed_day
from benchmarks.figures import Bench, Check, Figures, Row, at_least, at_most
from benchmarks.rows.trace import log_size
from benchmarks.usage import cores, cost, rate
from benchmarks.world import LIFTED, ROOT, World, open_world, wait_until

_PLAIN = "benchmarks.others.plain_celery"
_WARM_PLAIN = 200


def ours(bench: Bench, events: Sequence[Event]) -> Figures:
    """One worker with its splitter delivers a backlog of raw events. Leaves the calls it made in `bench`."""
    with open_world(LIFTED, keep=["record"]) as world:
        world.start_workers()
        world.warm()
        before, memory = world.snapshot(), world.used_memory()
        world.add(events)
        world.wait_delivered(len(events), "all events are delivered")
        after = world.snapshot()
        spent = cost(before, after, len(events))
        left = (world.used_memory() - log_size(world, "bytes") - memory) / len(events)
        bench.handed_on["calls"] = calls_of(world.stand_in.said())
        per_second = rate(world.stand_in.times())
        calls = len(bench.handed_on["calls"]) / len(events)
        return {
            **spent,
            "calls_per_event": calls,
            "per_second": per_second / calls,
            "left_bytes": left,
            "stand_in_share": cores(before, after)["stand_in_cores"],
        }


def bare(bench: Bench) -> Figures:
    """A loop makes the calls that ours made in this round; CPU is given per event of ours."""
    calls, events = bench.handed_on["calls"], bench.handed_on["events"]
    with open_world(redis_server=False) as world:
        found = run_program(world, "benchmarks.others.bare_loop", calls)
        per_second = events / found["wall_s"]
        return {"cpu_ms": found["cpu_s"] * 1000 / events, "per_second": per_second}


def plain(bench: Bench) -> Figures:
    """A Celery task an event: the worker and Redis."""
    count = bench.size("plain", 3_000)
    events = identifies(count + _WARM_PLAIN, "p")
    with open_world() as world:
        world.environment |= {
            "PLAIN_BROKER": world.environment["SAILPIPE_REDIS_URL"],
            "PLAIN_API": world.stand_in.url,
        }
        words = ["-m", "celery", "-A", _PLAIN, "worker", "-P", "threads", "-c", "64"]
        world.start_python(*words, "--without-gossip", "--without-mingle", "--without-heartbeat")
        _deliver_plain(world, events[:_WARM_PLAIN])
        world.stand_in.forget()
        before = world.snapshot()
        _deliver_plain(world, events[_WARM_PLAIN:])
        spent = cost(before, world.snapshot(), count)
        return {**spent, "per_second": rate(world.stand_in.times())}


def _deliver_plain(world: World, events: Sequence[Event]) -> None:
    """Publish while no worker looks, then give them all at once, as a backlog would lie there."""
    publish = (
        "import json, sys; from benchmarks.others.plain_celery import PARKED, deliver\n"
        "for event in json.load(sys.stdin): deliver.apply_async((event,), queue=PARKED)"
    )
    subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", publish],
        input=json.dumps(list(events)).encode(),
        env=world.environment,
        check=True,
    )
    world.redis.rename("plain-parked", "plain")
    wait_until(lambda: _plain_is_done(world), "plain Celery delivers", 300.0)


def _plain_is_done(world: World) -> bool:
    return not (world.redis.llen("plain") or world.redis.hlen("unacked"))


def calls_of(said: Sequence[tuple[str, str, str, int]]) -> list[list[Any]]:
    """Recorded calls as `[METHOD, PATH, PARAMS]`."""
    calls = []
    for method, target, body, _ in said:
        path, _, query = target.partition("?")
        fields = parse_qs(query or body) if not body.startswith("{") else {}
        calls.append([method, path, json.loads(fields["json"][0] if fields else body)])
    return calls


def run_program(world: World, module: str, given: Any, *words: str) -> Any:
    """Run a comparison program to its end over a file of what it is given; what it printed, read as JSON."""
    file = world.folder / "given.json"
    file.write_text(json.dumps(given))
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", module, world.stand_in.url, str(file), *words],
        cwd=Path(ROOT),
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


def _identifies(bench: Bench) -> Figures:
    events = identifies(bench.size("events", 10_000))
    bench.handed_on["events"] = len(events)
    return ours(bench, events)


def _mixed(bench: Bench) -> Figures:
    events = mixed_day(bench.size("users", 700))
    bench.handed_on["events"] = len(events)
    return ours(bench, events)


CPU = Row(
    "cpu",
    "A delivered identify, no limits, from the raw stream to the answer",
    {"ours": _identifies, "bare": bare, "plain": plain},
    (
        Check(
            "CPU of worker, splitter and Redis / bare loop",
            "ours.cpu_ms",
            "bare.cpu_ms",
            at_most(1.6),
        ),
        Check("events/s / plain Celery", "ours.per_second", "plain.per_second", at_least(4.0)),
        Check("CPU / plain Celery", "ours.cpu_ms", "plain.cpu_ms"),
        Check("events/s, one worker", "ours.per_second", unit="/s"),
        Check("of a core, used by the stand-in", "ours.stand_in_share", unit=""),
        Check("round trips to Redis an event", "ours.round_trips", unit=""),
        Check("script calls an event", "ours.scripts", unit=""),
        Check("Redis commands an event, in scripts too", "ours.commands", unit=""),
        Check("bytes to Redis an event", "ours.bytes_in", unit="B"),
        Check("bytes from Redis an event", "ours.bytes_out", unit="B"),
    ),
)
MIXED = Row(
    "mixed",
    "A mixed day: carts with look-ups, orders with intents, pages, no limits",
    {"ours": _mixed, "bare": bare},
    (
        Check("CPU / one bare call per call made", "ours.cpu_ms", "bare.cpu_ms", at_most(2.0)),
        Check("events/s, one worker", "ours.per_second", unit="/s"),
        Check("round trips to Redis an event", "ours.round_trips", unit=""),
        Check("script calls an event", "ours.scripts", unit=""),
    ),
    rounds=2,
)
