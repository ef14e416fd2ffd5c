"""How long dead letters take to be listed, counted, grouped and replayed when there are many, and how much memory.

`python -m benchmarks.dead_letters [LETTERS]`, 1,000,000 unless told. The store is filled by the real script, with
letters of 40 causes in three lanes and of 100,000 users; each holds an event of about a kilobyte and the call that was
made. A table on stdout. Exit code 1 when a page or an indexed count takes more than MAX_MS.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import redis.asyncio
from pydantic_core import to_json

from pipeline.deadletters.filters import Cursor, Filter
from pipeline.deadletters.letter import Header
from pipeline.deadletters.store import DeadLetters
from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.packed import pack
from pipeline.splitter.entries import ActionKind, DedupeKey, SplitAction
from pipeline.storage import keys
from pipeline.storage.redis_client import open_async_redis
from pipeline.storage.scripts import Scripts
from tests.support.redis_server import RedisServer

MAX_MS = 100.0
REPLAYED = 10_000
USERS = 100_000
RARE = 97
"""Letters of the rare reason, spread over the whole store."""
BATCH = 500
LANES = (Lane.EVENT, Lane.PURCHASE, Lane.USER)
RUNS = 7


def _event(number: int) -> bytes:
    body = {
        "type": "track",
        "event": "Order Completed" if number % 3 == 1 else f"Custom Event {number % 40}",
        "userId": f"user-{number % USERS:08d}",
        "anonymousId": f"3f6d1c52-8a41-4d3f-9b0e-{number:012d}",
        "messageId": f"ajs-next-1764238000-{number:012d}",
        "timestamp": "2026-11-27T10:04:11.123Z",
        "context": {
            "ip": f"10.{number % 256}.{number // 256 % 256}.7",
            "userAgent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Safari/605.1.15",
            "library": {"name": "analytics.js", "version": "2.1.9"},
            "page": {
                "path": f"/p/{number % 977}",
                "url": f"https://shop.example.org/p/{number % 977}",
            },
        },
        "properties": {
            "order_id": f"o-{number}",
            "total": round(number % 9973 / 7, 2),
            "currency": "EUR",
            "products": [
                {
                    "product_id": f"p{number * k % 7919}",
                    "name": f"Lamp {number % 31} no. {k}",
                    "price": 10 + k,
                    "quantity": k,
                }
                for k in range(1, 4)
            ],
        },
    }
    return json.dumps(body).encode()


def _letters(count: int) -> Iterator[tuple[str, Header, bytes]]:
    every = max(1, count // RARE)
    for number in range(count):
        raw, lane = _event(number), LANES[number % 3]
        reason = Reason.MISSING_EMAIL if number % every == 0 else Reason.REJECTED
        user = f"user-{number % USERS:08d}"
        params = {
            "email": f"{user}@example.org",
            "items": json.loads(raw)["properties"]["products"],
        }
        yield f"ajs-next-1764238000-{number:012d}", Header(
            account="default", lane=lane, user=user, type="track", event=f"Custom Event {number % 40}", reason=reason,
            detail=f"Invalid vars {chr(97 + number % 13)}", endpoint=f"POST /{lane}", status=400, error=99, attempts=1,
            first_seen_ms=1_764_238_000_000 + number, died_at=1_764_238_100_000 + number // 3, key=str(number * 7919),
            calls=[{"method": "POST", "endpoint": f"/{lane}", "params": params}],
        ), raw  # fmt: skip


async def _fill(client: redis.asyncio.Redis, count: int, *, packed: bool) -> None:
    scripts, prefix = Scripts(client, "pipeline.splitter"), keys.account_prefix("default")
    await client.set(keys.SPLITTER, "bench")
    batch: list[Any] = []
    for identity, header, raw in _letters(count):
        body = pack(raw) if packed else None
        line = replace(header, packed=body is not None).as_line()
        key = DedupeKey(prefix, identity, header.key, window=0, replay=False)
        action = to_json(SplitAction(key, ActionKind.DEAD, keep=1))
        batch += ["1-1", action, line.encode() + b"\n" + (body.encode() if body else raw)]
        if len(batch) >= 3 * BATCH:
            await scripts.run(
                "split", [keys.RAW, keys.SPLITTER], ["", "bench", 600_000, "{}", *batch]
            )
            batch = []
    if batch:
        await scripts.run("split", [keys.RAW, keys.SPLITTER], ["", "bench", 600_000, "{}", *batch])


async def _ms(work: Callable[[], Awaitable[object]], runs: int = RUNS) -> float:
    took = []
    for _ in range(runs):
        begin = time.perf_counter()
        await work()
        took.append(1000 * (time.perf_counter() - begin))
    return statistics.median(took)


async def _bytes_a_letter(
    client: redis.asyncio.Redis, *, packed: bool, count: int = 20_000
) -> float:
    command: Any = client.execute_command
    await command("FLUSHALL", "SYNC")  # Valkey frees memory later by itself
    before = int((await client.info("memory"))["used_memory"])
    await _fill(client, count, packed=packed)
    return (int((await client.info("memory"))["used_memory"]) - before) / count


async def _measure(url: str, count: int) -> bool:
    async with open_async_redis(url) as client:
        plain = await _bytes_a_letter(client, packed=False)
        print(f"{'bytes a letter, event as it came':<48}{plain:>10.0f}")
        print(f"{'bytes a letter, packed':<48}{await _bytes_a_letter(client, packed=True):>10.0f}")
        await client.flushall()
        await _fill(client, count, packed=True)
        letters, good = DeadLetters(client, "default"), True
        middle = Cursor(1_764_238_100_000 + count // 6, "ajs-next")
        user = Filter(user="user-00000007")
        rows: list[tuple[str, Callable[[], Awaitable[object]]]] = [
            ("list 50, newest", lambda: letters.page(Filter(), limit=50)),
            ("list 50, from the middle", lambda: letters.page(Filter(), limit=50, after=middle)),
            ("list 50 of a reason of 97", lambda: letters.page(Filter(reason=Reason.MISSING_EMAIL), limit=50)),
            ("list 50 of a lane", lambda: letters.page(Filter(lane=Lane.EVENT), limit=50, after=middle)),
            ("list of a user", lambda: letters.page(user, limit=50)),
            ("count all", lambda: letters.count(Filter())),
            ("count of a lane and reason", lambda: letters.count(Filter(lane=Lane.EVENT, reason=Reason.REJECTED))),
            ("groups, all", lambda: letters.groups(Filter())),
        ]  # fmt: skip
        print(f"{f'{count:,} letters':<48}{'ms':>10}")
        for name, work in rows:
            took = await _ms(work)
            good = good and took <= MAX_MS
            print(f"{name:<48}{took:>10.1f}", flush=True)
        await _replay(letters, count)
    return good


async def _replay(letters: DeadLetters, count: int) -> None:
    """10,000 by a filter: those of one lane that died in a stretch of time in the middle."""
    begin = 1_764_238_100_000 + count // 6
    wanted = Filter(lane=Lane.EVENT, since_ms=begin, until_ms=begin + REPLAYED - 1)
    chosen = await letters.select(wanted)
    took = await _ms(lambda: letters.select(wanted), 3)
    print(f"{f'select {len(chosen.ids):,} by lane and time':<48}{took:>10.0f}")
    took = await _ms(lambda: letters.replay(chosen.ids), 1)
    print(f"{f'replay {len(chosen.ids):,} of them':<48}{took:>10.0f}")


def main() -> int:
    """Measure; 0 when pages and counts keep to the bound."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("letters", nargs="?", type=int, default=1_000_000)
    count = parser.parse_args().letters
    with tempfile.TemporaryDirectory() as directory:
        server = RedisServer(Path(directory))
        server.start()
        try:
            return 0 if asyncio.run(_measure(server.url, count)) else 1
        finally:
            server.kill()  # to free a gigabyte takes it long


if __name__ == "__main__":
    sys.exit(main())
