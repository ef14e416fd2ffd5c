"""The real parts that a row runs: Redis, the stand-in for Sailthru, processes of sailpipe; and what they use up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil
import redis

from benchmarks.events import Event, identifies
from benchmarks.usage import STAND_IN, Snapshot
from pipeline.storage import keys
from pipeline.storage.redis_client import open_redis
from tests.support.redis_server import RedisServer, free_port

ROOT = Path(__file__).parents[1]
PATIENCE_S = 900.0
WARM_EVENTS = 300
"""Delivered before anything is measured: imports, connections and caches are there by then."""
LIFTED = {
    "LIMITS": ",".join(
        f"{bucket}=100000"
        for bucket in (
            "POST /user",
            "POST /event",
            "POST /purchase",
            "POST /v1/track/event/pageview",
            "GET /user",
            "GET /purchase",
        )
    )
}
"""Settings without limits."""
TIMED = ("rpush", "sadd", "sismember")
"""Commands by which a split event is put into its mailbox and into what repeats are told by: one of each an event."""
_CHUNK = 500
_POLL_S = 0.1
_STOP_S = 20.0


class StandIn:
    """The control side of a running stand-in."""

    def __init__(self, port: int, pid: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.process = psutil.Process(pid)

    def forget(self) -> None:
        self._ask("forget")

    def times(self) -> dict[str, list[int]]:
        """Sorted arrivals in ns by `METHOD PATH`."""
        return {bucket: sorted(times) for bucket, times in self._ask("times").items()}

    def said(self) -> list[tuple[str, str, str, int]]:
        """Method, target, body and arrival of every call, if it records."""
        return [tuple(call) for call in self._ask("said")]

    def profiles(self) -> dict[str, dict[str, Any]]:
        """`vars` by id and `carts` by email, if it keeps them."""
        return dict(self._ask("profiles"))

    def _ask(self, what: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/_stand_in/{what}", timeout=60) as answer:  # noqa: S310 - loopback
            return json.load(answer)


class World:
    """Everything that runs. Use `open_world`."""

    def __init__(
        self, stack: ExitStack, folder: Path, stand_in: StandIn, settings: Mapping[str, str]
    ) -> None:
        self.stand_in = stand_in
        self.folder = folder
        self.redis: redis.Redis
        self.environment = {
            **{name: value for name, value in os.environ.items() if "SAILPIPE" not in name},
            "PYTHONPATH": str(ROOT),
            "SAILPIPE_DATA_DIR": str(folder),
            "SAILPIPE_API_KEY": "bench",
            "SAILPIPE_API_SECRET": "bench",
            "SAILPIPE_CUSTOMER_ID": "bench",
            "SAILPIPE_WRITE_KEYS": "bench",
            "SAILPIPE_API_URL": stand_in.url,
            "SAILPIPE_PAGEVIEW_URL": stand_in.url,
            **{f"SAILPIPE_{name}": value for name, value in settings.items()},
        }
        self._stack = stack
        self._started: list[subprocess.Popen[bytes]] = []
        self._delivered = 0
        self._added = 0

    def connect(self, redis_url: str) -> None:
        self.environment["SAILPIPE_REDIS_URL"] = redis_url
        self.redis = self._stack.enter_context(open_redis(redis_url))

    def start(self, *words: str) -> None:
        """Run `sailpipe WORDS…` until the world ends."""
        self.start_python("-m", "pipeline.cli", *words)

    def start_workers(self, count: int = 1) -> None:
        """Processes that deliver, and what splits."""
        if has_splitter():
            self.start("splitter")
        for _ in range(count):
            self.start("worker")

    def start_splitter(self) -> None:
        """A process that splits and delivers nothing of what the suite sends."""
        self.start(*(("splitter",) if has_splitter() else ("worker", "--lanes", "page")))

    def start_python(self, *words: str) -> None:
        """Run this interpreter; its CPU counts, and its output is shown if the world fails."""
        process = _start(
            self._stack, [sys.executable, *words], self.environment, self.folder / "log"
        )
        self._started.append(process)

    def up(self) -> None:
        """`sailpipe up` with a Redis of its own, as a user starts it."""
        self.environment.pop("SAILPIPE_REDIS_URL", None)
        self.start("up", "--port", str(free_port()))
        address = self.folder / "redis.url"
        self._wait_until(address.exists, "`up` starts a Redis", 60)
        self.connect(address.read_text().strip())

    def add(self, events: Iterable[Event]) -> int:
        """Put events into the raw stream, each with a messageId as SDKs send it. Returns their bytes."""
        pipe, size = self.redis.pipeline(transaction=False), 0
        for event in events:
            self._added += 1
            named = {**event, "messageId": f"bench-2026-11-26-{self._added:019}"}
            raw = json.dumps(named, separators=(",", ":"))
            size += len(raw)
            pipe.xadd(keys.RAW, {"event": raw})
            if len(pipe) >= _CHUNK:
                pipe.execute()
        pipe.execute()
        return size

    def warm(self) -> None:
        """Deliver some events, then forget them."""
        self.add(identifies(WARM_EVENTS, "warm"))
        self.wait_delivered(WARM_EVENTS, "the workers work", 60)
        self.stand_in.forget()

    def wait_delivered(self, more: int, why: str, patience_s: float = PATIENCE_S) -> None:
        """Return when `more` events were delivered since the last such wait, and count from there."""
        wanted = self._delivered + more
        self._wait_until(lambda: self._count() >= wanted, why, patience_s)
        self._delivered = wanted

    def wait_split(self, at_most: int = 0) -> None:
        """Return when no more than so many events are in the raw stream."""
        self._wait_until(
            lambda: self.redis.xlen(keys.RAW) <= at_most, "events are split", PATIENCE_S
        )

    def _wait_until(self, what: Callable[[], bool], why: str, patience_s: float) -> None:
        """As `wait_until`; RuntimeError as soon as a process that was started has ended."""

        def is_so() -> bool:
            ended = [one for one in self._started if one.poll() is not None]
            if ended:
                msg = f"{ended[0].args!r} ended: {why}"
                raise RuntimeError(msg)
            return what()

        wait_until(is_so, why, patience_s)

    def delivered(self) -> int:
        return int(self.redis.hget(keys.counts("default"), "delivered") or 0)

    def _count(self) -> int:
        """Delivered so far. RuntimeError if anything died: what is measured would not be what is said."""
        counts: Mapping[Any, Any] = dict(self.redis.hgetall(keys.counts("default")))
        gone = {name: int(value) for name, value in counts.items() if b"dead" in name}
        if any(gone.values()):
            msg = f"events died: {gone}"
            raise RuntimeError(msg)
        return int(counts.get(b"delivered", 0))

    def snapshot(self) -> Snapshot:
        return Snapshot(time.monotonic(), self._cpu(), self._redis_counters())

    def rss_mb(self, role: str) -> float:
        """Resident memory of all processes of a role."""
        found = [one.memory_info().rss for name, one in self.processes() if name == role]
        return float(sum(found)) / 1e6

    def used_memory(self) -> int:
        return int(self.redis.info("memory")["used_memory"])

    def processes(self) -> Iterator[tuple[str, psutil.Process]]:
        """Every process of ours with its role; Redis is asked itself."""
        for process in self._started:
            yield from _with_roles(psutil.Process(process.pid), "")

    def _cpu(self) -> dict[str, float]:
        used: dict[str, float] = {}
        for role, process in (*self.processes(), (STAND_IN, self.stand_in.process)):
            times = process.cpu_times()
            used[role] = used.get(role, 0.0) + times.user + times.system
        info = self.redis.info("cpu")
        used["redis"] = float(info["used_cpu_sys"]) + float(info["used_cpu_user"])
        return used

    def _redis_counters(self) -> dict[str, float]:
        stats = self.redis.info("stats")
        commands = self.redis.info("commandstats")
        scripts = ("cmdstat_evalsha", "cmdstat_eval", "cmdstat_fcall", "cmdstat_evalsha_ro")
        return {
            "round_trips": float(stats["total_reads_processed"]),
            "scripts": float(sum(commands.get(name, {}).get("calls", 0) for name in scripts)),
            "commands": float(sum(one["calls"] for one in commands.values())),
            "bytes_in": float(stats["total_net_input_bytes"]),
            "bytes_out": float(stats["total_net_output_bytes"]),
            **{
                f"{name}_us": float(commands.get(f"cmdstat_{name}", {}).get("usec", 0))
                for name in TIMED
            },
        }


@contextmanager
def open_world(
    settings: Mapping[str, str] = MappingProxyType({}),
    *,
    answer_ms: float = 50.0,
    keep: Sequence[str] = (),
    redis_server: bool = True,
) -> Iterator[World]:
    """Start Redis and the stand-in; all that is started later ends with the block, newest first.

    settings: SAILPIPE_ names without the prefix. keep: `record` or `profiles`, what the stand-in keeps beside times.
    redis_server: False when `up` brings its own.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stand_in = _start_stand_in(stack, answer_ms, keep, folder)
        world = World(stack, folder, stand_in, settings)
        if redis_server:
            server = RedisServer(folder)
            server.start()
            stack.callback(server.stop)
            world.connect(server.url)
        try:
            yield world
        except (AssertionError, RuntimeError, OSError):
            log = folder / "log"
            print(log.read_text()[-3_000:] if log.exists() else "", file=sys.stderr)
            raise


def wait_until(what: Callable[[], bool], why: str, patience_s: float) -> None:
    """Return when `what()` is true; TimeoutError that says `why`."""
    deadline = time.monotonic() + patience_s
    while not what():
        if time.monotonic() > deadline:
            msg = f"waited {patience_s:g} s in vain: {why}"
            raise TimeoutError(msg)
        time.sleep(_POLL_S)


@cache
def has_splitter() -> bool:
    """Whether a command of its own splits; in older checkouts every worker does."""
    command = [sys.executable, "-m", "pipeline.cli", "splitter", "--help"]
    return subprocess.run(command, capture_output=True, cwd=ROOT, check=False).returncode == 0  # noqa: S603 - our own command


def role_of(command: Sequence[str], parent: str) -> str:
    """What a process of sailpipe is, by its command line; one without a name is its parent's helper."""
    words = set(command)
    if {"-Q", "split"} <= words or "splitter" in words:
        return "splitter"
    for word, role in (
        ("worker", "worker"),
        ("serve", "http"),
        ("sandbox", "sandbox"),
        ("up", "up"),
    ):
        if word in words:
            return role
    return "splitter" if parent == "worker" else parent or "program"


def _with_roles(process: psutil.Process, parent: str) -> Iterator[tuple[str, psutil.Process]]:
    try:
        command, children = process.cmdline(), process.children()
    except psutil.NoSuchProcess:
        return
    if any("redis-server" in word or "valkey-server" in word for word in command[:1]):
        return
    role = role_of(command, parent)
    yield role, process
    for child in children:
        yield from _with_roles(child, role)


def _start_stand_in(
    stack: ExitStack, answer_ms: float, keep: Sequence[str], folder: Path
) -> StandIn:
    command = [sys.executable, "-m", "benchmarks.stand_in", "--answer-ms", str(answer_ms)]
    command += [f"--{one}" for one in keep]
    process = _start(stack, command, {**os.environ, "PYTHONPATH": str(ROOT)}, None)
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    return StandIn(int(process.stdout.readline()), process.pid)


def _start(
    stack: ExitStack, command: list[str], environment: Mapping[str, str], log: Path | None
) -> subprocess.Popen[bytes]:
    """Start a process that ends with the stack. Its output goes to `log`, or stdout to a pipe."""
    where = stack.enter_context(log.open("ab")) if log else subprocess.PIPE
    process = subprocess.Popen(  # noqa: S603 - our own command
        command,
        env=dict(environment),
        cwd=log.parent if log else None,
        stdout=where,
        stderr=where if log else None,
    )
    stack.callback(_end, process)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
