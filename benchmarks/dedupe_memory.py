"""How many bytes of Redis' memory dedupe takes for each event that it remembers.

`python -m benchmarks.dedupe_memory [EVENTS ...]`, 100,000 and 1,000,000 unless told. The events
arrive evenly over one window, as they do in steady state. A table on stdout, progress on stderr.
Exit code 1 when an event takes more than 16 bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

import redis.asyncio

from tests.support.dedupe import START_MS, WINDOW_MS, Dedupe
from tests.support.redis_server import RedisServer

MAX_BYTES = 16.0
STEP = 5_000
"""Events that arrive together."""


async def bytes_per_event(url: str, events: int) -> float:
    """Remember so many events in an empty Redis; returns what each of them took."""
    async with redis.asyncio.Redis.from_url(url) as client:
        await client.flushall()
        dedupe = Dedupe(client)
        await dedupe.duplicates(["warm-up"])
        before = await _used_memory(client)
        for start in range(0, events, STEP):
            dedupe.now = START_MS + WINDOW_MS * start // events
            ids = [f"event-{n}" for n in range(start, min(events, start + STEP))]
            if await dedupe.duplicates(ids):
                msg = "an event was taken for a duplicate that was none"
                raise AssertionError(msg)
            print(f"\r{start + len(ids):,} of {events:,}", end="", file=sys.stderr)
        print(file=sys.stderr)
        return (await _used_memory(client) - before) / events


async def _used_memory(client: redis.asyncio.Redis) -> int:
    return int((await client.info("memory"))["used_memory"])


async def _measure(url: str, sizes: list[int]) -> bool:
    print(f"{'events':>10}  bytes per event")
    good = True
    for events in sizes:
        measured = await bytes_per_event(url, events)
        good = good and measured <= MAX_BYTES
        print(f"{events:>10,}  {measured:.1f}")
    return good


def main() -> int:
    """Measure; 0 when every size keeps to the bound."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("events", nargs="*", type=int, default=[100_000, 1_000_000])
    sizes = parser.parse_args().events
    with tempfile.TemporaryDirectory() as directory:
        server = RedisServer(Path(directory))
        server.start()
        try:
            return 0 if asyncio.run(_measure(server.url, sizes)) else 1
        finally:
            server.stop()


if __name__ == "__main__":
    sys.exit(main())
