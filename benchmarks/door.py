"""What the HTTP server takes: requests and events per second of CPU, and how long a request waits.

`python -m benchmarks.door`, and with `--against FOLDER` (a work tree of another commit) both in turn. A server
process, a Redis and this client run at once, so that the rate by the clock depends on the cores that are free;
what one core takes is told by the CPU time, of the server and of Redis apart.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import redis

from benchmarks.door_client import Load, run_load
from tests.support.commands import wait_until
from tests.support.redis_server import RedisServer, free_port

HERE = Path(__file__).parents[1]
CONNECTIONS = 32
BATCH = 100
_AUTH = base64.b64encode(b"sandbox:").decode()
_SINGLE_GOAL, _BATCH_GOAL = 3_000, 15_000


@dataclass(frozen=True, slots=True)
class Taken:
    """One kind of load on the server of one tree. Latencies are a request's, in ms; CPU is in µs an event."""

    what: str
    tree: str
    events: int
    seconds: float
    server_us: float
    redis_us: float
    p50_ms: float
    p99_ms: float

    @property
    def per_core(self) -> float:
        """Events that the server takes in a second of CPU."""
        return 1e6 / self.server_us


@dataclass(frozen=True, slots=True)
class Door:
    """A server process and the Redis behind it."""

    tree: Path
    port: int
    process: psutil.Process
    store: redis.Redis

    def take(self, what: str, load: Load, beside: Load | None = None) -> Taken:
        """Send the load, and say what it cost; `beside` is sent over and over meanwhile, and only its cost counts."""
        self.store.delete("sailpipe:raw")
        before, began = self._cpu_s(), time.perf_counter()
        waits = sorted(asyncio.run(run_load(self.port, load, beside)))
        seconds, after = time.perf_counter() - began, self._cpu_s()
        events, found = len(waits) * load.events, int(self.store.xlen("sailpipe:raw"))
        if beside is None and found != events:
            raise SystemExit(f"{what}: {events} events were sent and {found} arrived")
        events = found
        server, store = (
            (now - then) / events * 1e6 for then, now in zip(before, after, strict=True)
        )
        p50, p99 = (waits[int(len(waits) * share)] * 1000 for share in (0.5, 0.99))
        return Taken(what, str(self.tree), events, seconds, server, store, p50, p99)

    def _cpu_s(self) -> tuple[float, float]:
        times, info = self.process.cpu_times(), self.store.info("cpu")
        return times.user + times.system, info["used_cpu_user"] + info["used_cpu_sys"]


@contextmanager
def open_door(tree: Path = HERE) -> Iterator[Door]:
    """`sailpipe serve` of a tree on the packages of this interpreter, for as long as the block lasts."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = RedisServer(folder)
        server.start()
        stack.callback(server.stop)
        port = free_port()
        environment = {
            **os.environ,
            "PYTHONPATH": str(tree),
            "SAILPIPE_REDIS_URL": server.url,
        }
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "pipeline.cli", "serve", "--port", str(port)],
            cwd=folder,
            env=environment,
        )
        stack.callback(process.wait, 15)
        stack.callback(process.terminate)
        wait_until(lambda: _is_ready(port), "the server is ready")
        store = stack.enter_context(redis.Redis.from_url(server.url))
        yield Door(tree, port, psutil.Process(process.pid), store)


def single_requests(door: Door, count: int, *, keep_alive: bool = True) -> Taken:
    """One event a request, over connections that stay or a new one each."""
    what = "single, keep-alive" if keep_alive else "single, new socket each"
    return door.take(
        what, Load(_request("track", sample_event(0)), 1, count, CONNECTIONS, keep_alive)
    )


def batches(door: Door, count: int, size: int = BATCH) -> Taken:
    """`size` events a request."""
    body = {"batch": [sample_event(n) for n in range(size)], "sentAt": "2026-11-26T12:00:00.000Z"}
    return door.take(f"batches of {size}", Load(_request("batch", body), size, count, 8))


def paced_requests(door: Door, rate: float, seconds: float) -> Taken:
    """Single requests at a steady rate, whether or not those before were answered."""
    load = Load(_request("track", sample_event(0)), 1, int(rate * seconds), CONNECTIONS, rate=rate)
    return door.take(f"single at {rate:g}/s", load)


def paced_batches(door: Door, rate: float, seconds: float, size: int = BATCH) -> Taken:
    """Batches at a steady rate of events."""
    body = {"batch": [sample_event(n) for n in range(size)], "sentAt": "2026-11-26T12:00:00.000Z"}
    count = int(rate * seconds / size)
    load = Load(_request("batch", body), size, count, CONNECTIONS, rate=rate / size)
    return door.take(f"batches of {size} at {rate:g}/s", load)


def healthz_beside_heavy_batches(door: Door, seconds: float, senders: int = 8) -> Taken:
    """How long /healthz takes while each of `senders` posts one heavy batch after the other."""
    context = {"note": "x" * 3_000, "numbers": list(range(50))}
    body = {"batch": [sample_event(n) for n in range(900)], "context": context}
    body["sentAt"] = "2026-11-26T12:00:00.000Z"
    heavy = Load(_request("batch", body), 900, 0, senders)
    look = Load(
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 0, int(50 * seconds), 4, rate=50
    )
    return door.take("/healthz beside heavy batches", look, beside=heavy)


def measure(trees: Sequence[Path] = (HERE,), rounds: int = 3, size: float = 1.0) -> list[Taken]:
    """All kinds of load on each tree's server, in turn; `size` scales how much is sent."""
    found: list[Taken] = []
    with ExitStack() as stack:
        doors = [stack.enter_context(open_door(tree)) for tree in trees]
        for door in doors:
            single_requests(door, 500)
            batches(door, 20)
        for _ in range(rounds):
            for door in doors:
                found.append(single_requests(door, int(6_000 * size)))
                found.append(single_requests(door, int(3_000 * size), keep_alive=False))
                found.append(batches(door, int(300 * size)))
                found.append(paced_requests(door, _SINGLE_GOAL / 2, 4 * size))
                found.append(paced_batches(door, _BATCH_GOAL / 2, 4 * size))
                found.append(healthz_beside_heavy_batches(door, 4 * size))
    return found


def sample_event(number: int) -> dict[str, object]:
    """An event as an SDK sends it, some 400 bytes."""
    return {
        "type": "track",
        "event": "Product Viewed",
        "userId": f"user-{number}",
        "anonymousId": "0b1f2f3e-6a0c-4b5d-9c7e-0d1e2f3a4b5c",
        "messageId": f"ajs-next-{number:032d}",
        "timestamp": "2026-11-26T11:59:59.123Z",
        "properties": {"product_id": "507f1f77bcf86cd799439011", "price": 18.99, "quantity": 1},
        "context": {"library": {"name": "analytics.js", "version": "2.1.0"}, "locale": "en-GB"},
    }


def _request(path: str, body: object) -> bytes:
    content = json.dumps(body).encode()
    head = f"POST /v1/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {_AUTH}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return True
    except OSError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, action="append", default=[], metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=float, default=1.0, help="scales how much is sent")
    given = parser.parse_args()
    trees = [HERE, *(one.resolve() for one in given.against)]
    print(
        f"{'what':30} {'events/s':>9} {'per core':>9} {'µs':>6} {'Redis µs':>9} {'p50':>7} {'p99':>7}"
    )
    for one in measure(trees, given.rounds, given.size):
        rate = one.events / one.seconds
        cost = f"{one.per_core:9.0f} {one.server_us:6.0f} {one.redis_us:9.1f}"
        print(f"{one.what:30} {rate:9.0f} {cost} {one.p50_ms:7.1f} {one.p99_ms:7.1f}  {one.tree}")


if __name__ == "__main__":
    main()
