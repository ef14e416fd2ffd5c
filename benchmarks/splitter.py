"""What the splitter costs: events a second, and CPU per event in Python and in Redis.

`python -m benchmarks.splitter [--events N] [--rounds N] [--against TREE]`. A raw stream of mixed events, about
three a user, is split by one process. With `--against` the same is done with the `pipeline` package of another
checkout, in turns, so that the neighbours' load meets both. Medians on stdout.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import redis

from pipeline.clock import SystemClock
from pipeline.settings import AccountSettings, Settings
from pipeline.splitter.loop import Splitter
from pipeline.storage import keys
from pipeline.storage.redis_client import open_async_redis, open_redis
from tests.support.redis_server import RedisServer

HERE = Path(__file__).resolve().parents[1]
CHUNK = 500
WARM_UP = 400
"""Events that are split before the clock starts: imports, scripts, connections."""
LIVE_RATE = 340
"""Events a second that come one by one."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run; CPU in µs an event. Redis' share has what the events' XADD costs when they
    come live. per_core: events a second for which one core is enough, Redis included."""

    events: int
    per_second: float
    python_us: float
    redis_us: float

    @property
    def per_core(self) -> float:
        return 1e6 / (self.python_us + self.redis_us)


def events(count: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Mixed events of a shop in random order: half of them custom, as SDKs send them."""
    dice = random.Random(seed)
    for number in range(count):
        user = f"user-{dice.randrange(max(1, count // 3))}"
        yield {
            "messageId": f"ajs-{seed}-{number:08d}-5b2e",
            "userId": user,
            "anonymousId": f"anonymous-{user}",
            "timestamp": "2026-11-26T10:00:00.000Z",
            "context": {
                "ip": "192.0.2.1",
                "library": {"name": "analytics.js", "version": "2.11.1"},
                "page": {"url": "https://shop.example.org/a", "title": "A", "referrer": ""},
                "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
            },
            **_what(dice.random(), user, number),
        }


def _what(dice: float, user: str, number: int) -> dict[str, Any]:
    item = {"product_id": f"p{number % 97}", "name": "Mug", "price": 12.5, "quantity": 1}
    if dice < 0.5:
        return _track("Article Read", {"title": "A", "section": "Sports", "words": 950})
    if dice < 0.7:
        return {"type": "identify", "traits": {"email": f"{user}@example.org", "plan": "gold"}}
    if dice < 0.85:
        return _track("Product Added", item)
    if dice < 0.9:
        return _track("Order Completed", {"order_id": f"o{number}", "products": [item]})
    return {"type": "page", "name": "A", "properties": {"url": "https://shop.example.org/a"}}


def _track(event: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "track", "event": event, "properties": properties}


def measure(url: str, count: int, *, live: bool = False) -> Figures:
    """Split `count` events in an empty Redis. live: they come one by one, not as one backlog."""
    with open_redis(url) as client:
        client.flushall()
        _add(client, [json.dumps(event) for event in events(WARM_UP, seed=2)])
        asyncio.run(_split(client, url, WARM_UP))
        raws = [json.dumps(event) for event in events(count)]
        if live:
            with ThreadPoolExecutor(1) as feeder:
                fed = feeder.submit(_feed, url, raws)
                figures = asyncio.run(_split(client, url, count))
                fed.result()
        else:
            _add(client, raws)
            figures = asyncio.run(_split(client, url, count))
        _check(client)
    return figures


def compare(
    trees: Sequence[Path], count: int, rounds: int, *, live: bool = False
) -> list[list[Figures]]:
    """The runs of each checkout's splitter, made in turns, each in a process of its own."""
    found: list[list[Figures]] = [[] for _ in trees]
    with tempfile.TemporaryDirectory() as directory:
        server = RedisServer(Path(directory))
        server.start()
        try:
            for number in range(rounds):
                for runs, tree in zip(found, trees, strict=True):
                    runs.append(_run_apart(tree, server.url, count, live=live))
                print(f"\rround {number + 1} of {rounds}", end="", file=sys.stderr)
            print(file=sys.stderr)
        finally:
            server.stop()
    return found


def median(runs: Sequence[Figures]) -> Figures:
    """Each figure's own median."""
    rows = [asdict(run) for run in runs]
    return Figures(**{name: statistics.median(row[name] for row in rows) for name in rows[0]})


async def _split(client: redis.Redis, url: str, count: int) -> Figures:
    """Run a splitter as a worker does until `count` events have left the raw stream."""
    settings = Settings(accounts={"default": AccountSettings(customer_id="benchmark")})
    done = asyncio.Event()
    before = _waiting(client)
    async with open_async_redis(url) as connection:
        splitter = Splitter(
            connection, settings, "benchmark", lambda *_due: done.set(), SystemClock()
        )
        used, began, cpu = _redis_cpu(client), time.perf_counter(), time.thread_time()
        work = asyncio.create_task(splitter.run())
        while _waiting(client) - before < count:
            done.clear()
            await done.wait()
        python_s, seconds = time.thread_time() - cpu, time.perf_counter() - began
        redis_s = _redis_cpu(client) - used
        work.cancel()
        await asyncio.wait([work])
    return Figures(count, count / seconds, python_s / count * 1e6, redis_s / count * 1e6)


def _feed(url: str, raws: Sequence[str]) -> None:
    began = time.perf_counter()
    with open_redis(url) as client:
        for number, raw in enumerate(raws):
            time.sleep(max(0.0, began + number / LIVE_RATE - time.perf_counter()))
            client.xadd(keys.RAW, {"event": raw})


def _add(client: redis.Redis, raws: Sequence[str]) -> None:
    for start in range(0, len(raws), CHUNK):
        pipe = client.pipeline(transaction=False)
        for raw in raws[start : start + CHUNK]:
            pipe.xadd(keys.RAW, {"event": raw})
        pipe.execute()


def _waiting(client: redis.Redis) -> int:
    counts = client.hgetall(keys.counts("default"))
    return sum(int(number) for name, number in counts.items() if "waiting:" in str(name))


def _redis_cpu(client: redis.Redis) -> float:
    used = client.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def _check(client: redis.Redis) -> None:
    counts = {str(name) for name in client.hgetall(keys.counts("default"))}
    if client.xlen(keys.RAW) or any("waiting:" not in name for name in counts):
        msg = f"not every event lies in a mailbox: {counts}"
        raise AssertionError(msg)


def _run_apart(tree: Path, url: str, count: int, *, live: bool) -> Figures:
    # -P: or `pipeline` would be benchmarks/pipeline.py.
    command = [sys.executable, "-P", __file__, "--once", url, "--events", str(count)]
    answer = subprocess.run(  # noqa: S603 - our own command
        command + ["--live"] * live,
        env={**os.environ, "PYTHONPATH": str(tree)},
        check=True,
        stdout=subprocess.PIPE,
    )
    return Figures(**json.loads(answer.stdout))


def _row(what: str, runs: Sequence[Figures]) -> str:
    one = median(runs)
    return (
        f"{what:12s} {one.per_second:8,.0f}/s {one.python_us:8.1f} µs Python"
        f" {one.redis_us:8.1f} µs Redis {one.per_core:8,.0f}/s a core"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--live", action="store_true", help=f"{LIVE_RATE} events a second")
    parser.add_argument("--once", metavar="URL", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.once:
        print(json.dumps(asdict(measure(chosen.once, chosen.events, live=chosen.live))))
        return
    trees = [HERE, *([chosen.against.resolve()] if chosen.against else [])]
    found = compare(trees, chosen.events, chosen.rounds, live=chosen.live)
    for what, runs in zip(("this tree", "the other"), found, strict=False):
        print(_row(what, runs))
    if chosen.against:
        ours, theirs = median(found[0]), median(found[1])
        print(
            f"the other / this tree: Python {theirs.python_us / ours.python_us:.2f},"
            f" Redis {theirs.redis_us / ours.redis_us:.2f}"
        )


if __name__ == "__main__":
    main()
