"""How much one worker process delivers, what an event costs, and what a backlog does to others.

`make bench`, or `python -m benchmarks.pipeline --events 2000 --backlog 5000`. Everything real: Redis,
a sandbox process, a Celery worker. A table on stdout, progress on stderr, JSON in `--out`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import redis

from benchmarks.machine import machine
from pipeline.storage import keys
from pipeline.storage.redis_client import open_redis
from tests.support.commands import wait_until

_PATIENCE_S = 900.0
_NO_LIMIT = "POST /user=100000"


@dataclass(frozen=True, slots=True)
class Throughput:
    """One lane with its limit out of the way, or at it. CPU is the worker's, in ms an event."""

    what: str
    events: int
    seconds: float
    per_second: float
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class Latency:
    """From XADD to the sandbox, in ms, of page views sent at a steady pace."""

    what: str
    probes: int
    p50_ms: float
    p99_ms: float


def identifies(count: int, prefix: str) -> Iterable[dict[str, Any]]:
    for number in range(count):
        email = f"{prefix}{number}@example.com"
        yield {"type": "identify", "userId": f"{prefix}{number}", "traits": {"email": email}}


def customs(count: int, prefix: str) -> Iterable[dict[str, Any]]:
    for number in range(count):
        yield {"type": "track", "event": "Clicked", "userId": f"{prefix}{number}"}


def add(client: redis.Redis, events: Iterable[dict[str, Any]]) -> None:
    """Put events into the raw stream."""
    pipe = client.pipeline(transaction=False)
    for event in events:
        pipe.xadd(keys.RAW, {"event": json.dumps(event)})
    pipe.execute()


def counter(client: redis.Redis, name: str, account: str = "default") -> int:
    return int(client.hget(keys.counts(account), name) or 0)


def throughput(what: str, count: int, limits: str) -> Throughput:
    """Deliver `count` identifies of as many users."""
    settings = {"LIMITS": limits} if limits else {}
    with (
        machine(1, **settings) as running,
        open_redis(running.redis_url) as client,
    ):
        add(client, identifies(1, "warm"))
        wait_until(lambda: counter(client, "delivered") == 1, "the worker works", 60)
        if limits:
            running.sandbox("options", {"limits": {"POST /user": 10**8}})
        cpu, began = running.worker_cpu_s(), time.monotonic()
        add(client, identifies(count, "u"))
        wait_until(lambda: counter(client, "delivered") > count, what, _PATIENCE_S)
        seconds = time.monotonic() - began
        cpu_ms = (running.worker_cpu_s() - cpu) / count * 1000
    return Throughput(what, count, round(seconds, 2), round(count / seconds, 1), round(cpu_ms, 3))


def latency(what: str, backlog: int, probes: int, account: str = "default") -> Latency:
    """Send page views to `account` while `backlog` custom events wait in the default account."""
    with machine() as running, open_redis(running.redis_url) as client:
        add(client, identifies(1, "warm"))
        wait_until(lambda: counter(client, "delivered") == 1, "the worker works", 60)
        add(client, customs(backlog, "b"))
        wait_until(lambda: client.xlen(keys.RAW) == 0, "the backlog is split", _PATIENCE_S)
        sent = _probe(client, probes, account)
        wait_until(
            lambda: counter(client, "delivered", account) >= probes, "probes arrived", _PATIENCE_S
        )
        wait_until(
            lambda: counter(client, "waiting:page", account) == 0, "probes arrived", _PATIENCE_S
        )
        views = running.sandbox("state", account=account)["pageviews"]
    arrived = {view["params"]["userIdValue"]: view["at"] for view in views}
    delays = sorted((arrived[user] - at) * 1000 for user, at in sent.items())
    return Latency(what, probes, round(_share(delays, 0.5), 1), round(_share(delays, 0.99), 1))


def _probe(client: redis.Redis, probes: int, account: str) -> dict[str, float]:
    """One page view every 50 ms, half of what the lane may send."""
    sent: dict[str, float] = {}
    for number in range(probes):
        user = f"probe{number}"
        url = f"https://shop.example.com/{number}"
        event = {"type": "page", "userId": user, "properties": {"url": url}}
        sent[user] = time.time()  # noqa: TID251 - compared with the sandbox's wall clock
        client.xadd(keys.RAW, {"event": json.dumps(event), "account": account})
        time.sleep(0.05)
    return sent


def _share(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _table(rows: Iterable[Throughput | Latency]) -> str:
    lines = []
    for row in rows:
        values = ", ".join(
            f"{name} {value}" for name, value in asdict(row).items() if name != "what"
        )
        lines.append(f"{row.what:44} {values}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000, help="events a throughput run")
    parser.add_argument("--backlog", type=int, default=100_000, help="events waiting in a lane")
    parser.add_argument("--probes", type=int, default=400, help="page views whose latency counts")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    given = parser.parse_args()
    rows: list[Throughput | Latency] = []
    steps: tuple[Callable[[], Throughput | Latency], ...] = (
        lambda: throughput("identifies, no limit", given.events, _NO_LIMIT),
        lambda: throughput("identifies at 300/s", min(given.events, 6_000), ""),
        lambda: latency("page views, nothing else", 0, given.probes),
        lambda: latency(f"page views, {given.backlog} events waiting", given.backlog, given.probes),
        lambda: latency(
            "the same, page views of another account", given.backlog, given.probes, "other"
        ),
    )
    for number, step in enumerate(steps, 1):
        print(f"step {number} of {len(steps)} ...", file=sys.stderr, flush=True)
        rows.append(step())
        print(_table(rows[-1:]), file=sys.stderr, flush=True)
    print(_table(rows))
    if given.out:
        given.out.write_text(json.dumps([asdict(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()
