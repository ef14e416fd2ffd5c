"""What Redis and a worker pay to claim and settle mailboxes, without calls, limits and mapping around it.

`python -m benchmarks.mailbox_trips [MAILBOXES] [RATE]`. Each mailbox holds one identify, which is claimed, held for 50 ms as if
a call were made, and settled as delivered; RATE of them begin in a second, one after the other, or as many as can
be with a hundred in hand. Printed for each delivered event: CPU of Redis and of this process (microseconds), scripts,
commands, requests that Redis read, and bytes that it read and wrote.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.events.models import Lane
from pipeline.mailbox.claim import Settlement
from pipeline.mailbox.store import MailboxStore
from pipeline.storage.redis_client import open_async_redis
from tests.support.mailboxes import Mailboxes, identify
from tests.support.redis_server import RedisServer

MAILBOXES, IN_HAND, CALL_S, BATCH = 6_000, 100, 0.05, 200


@dataclass(frozen=True, slots=True)
class Trips:
    """What one delivered event takes. CPU in microseconds."""

    redis_cpu: float
    worker_cpu: float
    scripts: float
    commands: float
    requests: float
    bytes_in: float
    bytes_out: float


async def _usage(redis: Any) -> dict[str, float]:
    cpu, stats = await redis.info("cpu"), await redis.info("stats")
    commands = await redis.info("commandstats")
    return {
        "redis_cpu": (cpu["used_cpu_user"] + cpu["used_cpu_sys"]) * 1e6,
        "worker_cpu": time.process_time() * 1e6,
        "scripts": commands.get("cmdstat_evalsha", {}).get("calls", 0),
        "commands": sum(one["calls"] for one in commands.values()),
        "requests": stats.get("total_reads_processed", 0),
        "bytes_in": stats["total_net_input_bytes"],
        "bytes_out": stats["total_net_output_bytes"],
    }


async def _fill(boxes: Mailboxes, count: int) -> None:
    for start in range(0, count, BATCH):
        await boxes.accept(
            *(
                identify(f"m{n}", f"u{n}", email=f"u{n}@example.org")
                for n in range(start, min(count, start + BATCH))
            )
        )
        await boxes.split()


async def _deliver(store: MailboxStore, held: set[str], box: str) -> None:
    claim = await store.claim(Lane.USER, box, most=40)
    if claim is None:
        raise LookupError(box)
    held.add(box)
    await asyncio.sleep(CALL_S)
    learn = {"identified": str(claim.now), "newest:identify": str(claim.now)}
    wake = (Lane.EVENT, Lane.PURCHASE, Lane.PAGE)
    count = {"delivered": 1}
    settlement = Settlement(claim, pop=1, count=count, intent="", learn=learn, wake=wake, back=True)
    await store.settle(settlement)
    held.remove(box)


async def _deliver_all(
    store: MailboxStore, held: set[str], boxes: Sequence[str], rate: int
) -> None:
    if rate:
        async with asyncio.TaskGroup() as group:
            began = time.monotonic()
            for n, box in enumerate(boxes):
                await asyncio.sleep(began + n / rate - time.monotonic())
                group.create_task(_deliver(store, held, box))
        return
    queue = iter(boxes)

    async def work() -> None:
        for box in queue:
            await _deliver(store, held, box)

    await asyncio.gather(*(work() for _ in range(IN_HAND)))


async def measure(count: int = MAILBOXES, rate: int = 0) -> Trips:
    """Fill, lease and deliver that many mailboxes, `rate` a second or as fast as it goes, on a Redis of their own."""
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            return await _measure(server.url, count, rate)
        finally:
            server.stop()


async def _measure(url: str, count: int, rate: int) -> Trips:
    redis, held = open_async_redis(url), set[str]()
    boxes = Mailboxes(redis)
    store = MailboxStore(redis, "default", time_ms=boxes.now_ms, in_hand=held)
    await _fill(boxes, count)
    leased = await store.wake(Lane.USER, bound=count, max_queue_length=1, own_tick=0)
    before = await _usage(redis)
    await _deliver_all(store, held, leased.boxes, rate)
    after = await _usage(redis)
    counts = await boxes.counts()
    await redis.aclose()
    if counts != {"delivered": count}:
        msg = f"not everything was delivered: {counts}"
        raise RuntimeError(msg)
    return Trips(**{name: (after[name] - before[name]) / count for name in before})


def main(arguments: list[str]) -> None:
    """Measure and print."""
    trips = asyncio.run(measure(*(int(one) for one in arguments)))
    for name in Trips.__slots__:
        print(f"{name:12s} {getattr(trips, name):8.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
