"""Rows around programs of this folder that can also be run by themselves."""

from __future__ import annotations

import importlib
import tempfile
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
