"""Rows around programs of this folder that can also be run by themselves."""

from __future__ import annotations

import asyncio
import importlib
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.figures import Bench, Check, Figures, NotThere, Row, at_least, at_most
from tests.support.redis_server import RedisServer


def program(name: str) -> Any:
    """The module `benchmarks.NAME`. Raises NotThere."""
    try:
        return importlib.import_module(f"benchmarks.{name}")
    except ModuleNotFoundError as error:
        if error.name == f"benchmarks.{name}":
            raise NotThere(error.name) from None
        raise


def splitter(bench: Bench) -> Figures:
    """A backlog of mixed events, split by one process; CPU of it and of Redis."""
    module = program("splitter")
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            found = module.measure(server.url, bench.size("split", 20_000))
        finally:
            server.stop()
    return {
        "per_core": found.per_core,
        "per_second": found.per_second,
        "python_us": found.python_us,
        "redis_us": found.redis_us,
    }


def commands(bench: Bench) -> Figures:
    """Seconds that commands take from start to end."""
    module = program("commands")
    wanted = (("--help",), ("status",))
    found = module.measure(rounds=bench.size("starts", 5), commands=wanted)
    return {f"{one.command.strip('-')}_s": one.wall_s for one in found}


def door(bench: Bench) -> Figures:
    """`sailpipe serve` under single requests and batches, unpaced and at half of the goals."""
    module = program("door")
    found = {one.what: one for one in module.measure(rounds=1, size=0.5 * bench.scale)}
    single, batches = found["single, keep-alive"], found[f"batches of {module.BATCH}"]
    paced = [one for what, one in found.items() if " at " in what]
    return {
        "single_per_core": single.per_core,
        "batched_per_core": batches.per_core,
        "redis_us": single.redis_us,
        "paced_p99_ms": max(one.p99_ms for one in paced),
    }


def http_calls(bench: Bench) -> Figures:
    """One call by the client that delivery uses, and by the bare loop, in µs of CPU."""
    module = program("http_calls")
    found = asyncio.run(module.measure(rounds=3, calls=bench.size("calls", 2_000)))
    ways = {one.way: one.us for one in found}
    return {"call_us": ways["sailpipe"], "bare_us": ways[module.BARE]}


def producers(bench: Bench) -> Figures:
    """What a Python program pays to hand an event over, by itself, in a batch, and by Celery's `apply_async`."""
    module = program("producers")
    # Each round in a process of its own: a program keeps the Redis that it found first.
    with ProcessPoolExecutor(1) as pool:
        found = pool.submit(module.measure, rounds=3, events=bench.size("enqueued", 2_000)).result()
    return {f"{one.what}_us": one.producer_us for one in found}


SPLITTER = Row(
    "splitter",
    "The splitter and Redis, as events/s for which one core is enough",
    {"ours": splitter},
    (
        Check("events/s a core", "ours.per_core", goal=at_least(6_000), unit="/s"),
        Check("Python an event", "ours.python_us", unit="µs"),
        Check("Redis an event", "ours.redis_us", unit="µs"),
    ),
)
COMMANDS = Row(
    "commands",
    "How long a command takes",
    {"ours": commands},
    (
        Check("`sailpipe --help`", "ours.help_s", goal=at_most(0.2), unit="s"),
        Check("`sailpipe status`", "ours.status_s", goal=at_most(0.4), unit="s"),
    ),
    rounds=1,
)
DOOR = Row(
    "door",
    "The HTTP server, by its own CPU",
    {"ours": door},
    (
        Check("single events/s a core", "ours.single_per_core", goal=at_least(3_000), unit="/s"),
        Check(
            "events/s a core in batches of 100",
            "ours.batched_per_core",
            goal=at_least(15_000),
            unit="/s",
        ),
        Check("p99 at half of these rates", "ours.paced_p99_ms", goal=at_most(50), unit="ms"),
    ),
)
HTTP_CALLS = Row(
    "http-calls",
    "One call to Sailthru, without anything around it",
    {"ours": http_calls},
    (
        Check("CPU of our client / httpx.AsyncClient over aiohttp", "ours.call_us", "ours.bare_us"),
        Check("CPU of a call", "ours.call_us", unit="µs"),
    ),
)
PRODUCERS = Row(
    "producers",
    "Handing an event over in Python, by the producer's own CPU",
    {"ours": producers},
    (
        Check(
            "`enqueue_many` / `apply_async`",
            "ours.enqueue_many_us",
            "ours.apply_async_us",
            at_most(1 / 25),
        ),
        Check(
            "`enqueue` / `apply_async`", "ours.enqueue_us", "ours.apply_async_us", at_most(1 / 4)
        ),
    ),
    rounds=1,
)
