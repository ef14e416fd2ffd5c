"""How long each Lua script keeps Redis from all others at its largest batch, and how long its reply is.

`python -m benchmarks.script_times [CASE...] [--rounds N]`, all cases and two rounds unless told. Each case fills a real
Redis of its own and lets the real callers run, one script at a time. On Linux the times are CPU of the server's main
thread, which no other load makes longer, else those of a clock. A script's time is that of the slowest call of a round,
in the round in which that is shortest. Exit code 1 when a script takes longer than MAX_MS, answers more than
MAX_REPLY_BYTES, or was not run.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import redis.asyncio

from benchmarks.script_cases import CASES
from benchmarks.script_shop import Shop
from pipeline.storage import scripts as storage_scripts
from pipeline.storage.scripts import Batcher, read_script, sha1, source
from tests.support.redis_server import RedisServer

PATIENCE_S = 120.0
"""For one reply: a case fills Redis with hundreds of megabytes, on a machine that may be busy."""
MAX_MS = 20.0
MAX_REPLY_BYTES = 1_100_000
"""One megabyte of what is asked for, and what stands around it."""
ROOT = Path(__file__).parents[1] / "pipeline"
_LIBRARY = "storage/lib"
_RUNS = (b"EVALSHA", "EVALSHA")
Case = Callable[[Shop], Awaitable[None]]


def scripts() -> list[str]:
    """All of them, as PACKAGE/NAME."""
    found = sorted(ROOT.glob("*/lua/*.lua"))
    names = (f"{path.parents[1].name}/{path.stem}" for path in found)
    return [name for name in names if name != _LIBRARY]


@dataclass(slots=True)
class Found:
    """One script: its slowest call of a case, and its longest reply there."""

    ms: float = 0.0
    case: str = ""
    reply_bytes: int = 0
    reply_case: str = ""

    def see(self, ms: float, reply_bytes: int, case: str) -> None:
        if ms >= self.ms:
            self.ms, self.case = ms, case
        if reply_bytes >= self.reply_bytes:
            self.reply_bytes, self.reply_case = reply_bytes, case

    @property
    def is_bounded(self) -> bool:
        return self.ms <= MAX_MS and self.reply_bytes <= MAX_REPLY_BYTES


@dataclass(slots=True)
class Round:
    """What one run of one case took, by script: the slowest call, the longest reply."""

    ms: dict[str, float] = field(default_factory=dict)
    reply_bytes: dict[str, int] = field(default_factory=dict)

    def see(self, name: str, ms: float, reply: Any) -> None:
        self.ms[name] = max(self.ms.get(name, 0.0), ms)
        self.reply_bytes[name] = max(self.reply_bytes.get(name, 0), _size(reply))


def _size(reply: Any) -> int:
    """About as many bytes as a reply has on its way: those of its texts, and eight for what stands around each."""
    if isinstance(reply, list | tuple):
        return sum(map(_size, reply)) + 8
    return 8 + (len(reply) if isinstance(reply, bytes) else 0)


def measure(cases: Mapping[str, Case], rounds: int) -> dict[str, Found]:
    """Every script that these cases run, by name."""
    found: dict[str, Found] = {}
    for name, case in cases.items():
        results = [run_once(case) for _ in range(rounds)]
        for script in {script for one in results for script in one.ms}:
            ms = min(one.ms[script] for one in results if script in one.ms)
            longest = max(one.reply_bytes.get(script, 0) for one in results)
            found.setdefault(script, Found()).see(ms, longest, name)
        print(f"{name}: done", file=sys.stderr, flush=True)
    return found


def run_once(case: Case) -> Round:
    """In a Redis of its own."""
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            return asyncio.run(_run(server.url, case))
        finally:
            server.stop()


async def _run(url: str, case: Case) -> Round:
    async with redis.asyncio.Redis.from_url(url, socket_timeout=PATIENCE_S) as client:
        pid = int((await client.info("server"))["process_id"])
        for name in scripts():
            await client.script_load(source(f"pipeline.{name}"))
        with _measured(client, _clock_of(pid)) as found:
            await case(Shop(client))
    return found


def _clock_of(pid: int) -> Callable[[], float]:
    """Milliseconds of CPU that the server's main thread has used, or of the clock where that is not said."""
    used = Path(f"/proc/{pid}/task/{pid}/schedstat")
    if not used.exists():
        return lambda: time.perf_counter() * 1000
    return lambda: int(used.read_text().split()[0]) / 1e6


@contextmanager
def _measured(client: redis.asyncio.Redis, clock_ms: Callable[[], float]) -> Iterator[Round]:
    """While it lasts, scripts run one at a time, and each is noted."""
    found, one_at_a_time = Round(), asyncio.Lock()
    send: Any = Batcher._send  # noqa: SLF001 - nothing else sees each command
    execute: Any = client.execute_command

    async def measured_send(batcher: Batcher, batch: list[Any]) -> None:
        async with one_at_a_time:
            began = clock_ms()
            await send(batcher, batch)
            took, (command,) = clock_ms() - began, batch
        if command.script is not None and not command.reply.exception():
            found.see(command.script.removeprefix("pipeline."), took, command.reply.result())

    async def measured_execute(*words: Any, **options: Any) -> Any:
        if words[0] not in _RUNS:
            return await execute(*words, **options)
        async with one_at_a_time:
            began = clock_ms()
            reply = await execute(*words, **options)
            found.see(_HASHES[words[1]], clock_ms() - began, reply)
        return reply

    with (
        patch.object(storage_scripts, "MAX_COMMANDS", 1),
        patch.object(Batcher, "_send", measured_send),
        patch.object(client, "execute_command", measured_execute),
    ):
        yield found


def _hashes() -> Iterator[tuple[str, str]]:
    for name in scripts():
        package, _, script = name.partition("/")
        yield sha1(f"pipeline.{name}"), name
        alone = read_script(f"pipeline.{package}", script)  # as two are sent: without the library
        yield hashlib.sha1(alone.encode(), usedforsecurity=False).hexdigest(), name


_HASHES = dict(_hashes())


def rows(found: Mapping[str, Found]) -> Iterator[str]:
    """The table, the slowest first."""
    yield f"{'script':<26}{'ms':>8}{'kB of reply':>13}  in"
    for name, one in sorted(found.items(), key=lambda item: -item[1].ms):
        over = "" if one.is_bounded else "  BEYOND THE BOUND"
        where = one.case if one.case == one.reply_case else f"{one.case}, {one.reply_case}"
        yield f"{name:<26}{one.ms:>8.1f}{one.reply_bytes / 1000:>13.1f}  {where}{over}"


def main() -> int:
    """Measure; 0 when every script keeps to its bounds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cases", nargs="*", choices=[*CASES, []])
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    found = measure({name: CASES[name] for name in given.cases or CASES}, given.rounds)
    print("\n".join(rows(found)))
    missing = [] if given.cases else sorted({*scripts()} - found.keys())
    if missing:
        print(f"Not run: {', '.join(missing)}")
    return 0 if not missing and all(one.is_bounded for one in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
