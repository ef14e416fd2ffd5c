"""One worker process of the benchmark: sends as fast as its limiter lets it.

`python -m benchmarks.limits_worker REDIS_URL SERVER_URL FILE BEGIN-END…`: says `ready`, reads the common
start (Unix seconds) from stdin, and in each span of seconds from there many tasks call both endpoints;
in between it idles. Every send is written down at once, `PATH NANOSECONDS`, so that nothing is lost
when the process is killed. Prints how many slots it dropped.
"""

from __future__ import annotations

import asyncio
import json
import sys
from io import FileIO
from pathlib import Path

import httpx
from redis.asyncio import Redis

from pipeline.clock import SystemClock
from pipeline.ratelimit.limiter import Limiter, SlotTooFar
from pipeline.ratelimit.store_redis import RedisSlotStore
from pipeline.sailthru.transport import open_http

TASKS = {"/user": 40, "/event": 8}
"""Calls per endpoint that one process has in hand at once."""

_CLOCK = SystemClock()


async def _saturate(
    limiter: Limiter, http: httpx.AsyncClient, path: str, end: float, sent: FileIO
) -> None:
    while _CLOCK.now() < end:
        try:
            await limiter.acquire("default", f"POST {path}")
        except SlotTooFar as too_far:
            await _CLOCK.sleep(min(too_far.wait_s, 0.5))
            continue
        sent.write(f"{path} {_CLOCK.now() * 1e9:.0f}\n".encode())
        await http.post(path, data={"json": '{"id":"someone"}'})


async def _work(redis_url: str, server_url: str, sent: FileIO, spans: list[str]) -> None:
    async with (
        Redis.from_url(redis_url) as redis,
        httpx.AsyncClient(transport=open_http(), base_url=server_url, trust_env=False) as http,
    ):
        limiter = Limiter(RedisSlotStore(redis))
        await redis.ping()
        print("ready", flush=True)
        start = float(sys.stdin.readline())
        for span in spans:
            begin, end = (float(moment) for moment in span.split("-"))
            await _CLOCK.sleep(start + begin - _CLOCK.now())
            async with asyncio.TaskGroup() as group:
                for path, tasks in TASKS.items():
                    for _ in range(tasks):
                        group.create_task(_saturate(limiter, http, path, start + end, sent))
        print(json.dumps({path: limiter.late("default", f"POST {path}") for path in TASKS}))
        await limiter.aclose()


def main() -> None:
    """Work through the spans."""
    redis_url, server_url, record, *spans = sys.argv[1:]
    with FileIO(Path(record), "w") as sent:
        asyncio.run(_work(redis_url, server_url, sent, spans))


if __name__ == "__main__":
    main()
