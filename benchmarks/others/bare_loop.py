"""The least that making these calls can cost with httpx: `python -m benchmarks.others.bare_loop URL CALLS_FILE [RATE]`.

One asyncio loop over one httpx client on aiohttp's connection pool (httpx's own pool takes several times that). It
has no queue, no retries and no limits; a call is signed, sent, and its answer read as JSON. CALLS_FILE has a JSON
list of `[METHOD, PATH, PARAMS]`; with RATE so many a second begin, at an even pace, else IN_FLIGHT at a time. Prints
its CPU seconds and wall seconds from the first call to the last answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from pipeline.lanes import PAGEVIEW_ENDPOINT
from pipeline.sailthru.signing import signed

IN_FLIGHT = 100


async def _make(http: httpx.AsyncClient, method: str, path: str, params: Mapping[str, Any]) -> None:
    if path == PAGEVIEW_ENDPOINT:
        answer = await http.post(path, json=params, headers={"Authorization": "Bearer bench"})
    elif method == "POST":
        answer = await http.post(path, data=signed(params, "bench", "bench"))
    else:
        answer = await http.request(method, path, params=signed(params, "bench", "bench"))
    answer.raise_for_status()
    answer.json()


async def _work(http: httpx.AsyncClient, calls: Iterator[list[Any]]) -> None:
    for method, path, params in calls:
        await _make(http, method, path, params)


async def _all_at_once(http: httpx.AsyncClient, calls: list[list[Any]]) -> None:
    left = iter(calls)
    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(_work(http, left))


async def _paced(http: httpx.AsyncClient, calls: list[list[Any]], a_second: float) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as group:
        for number, (method, path, params) in enumerate(calls):
            await asyncio.sleep(max(0.0, began + number / a_second - loop.time()))
            group.create_task(_make(http, method, path, params))


async def run(url: str, calls: list[list[Any]], a_second: float | None) -> tuple[float, float]:
    """CPU and wall seconds that these calls took."""

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT))

    transport = AiohttpTransport(client=session)
    async with httpx.AsyncClient(base_url=url, transport=transport, timeout=8.0) as http:
        await _make(http, "POST", "/warm", {"id": "warm"})
        cpu, began = time.process_time(), time.monotonic()
        if a_second is None:
            await _all_at_once(http, calls)
        else:
            await _paced(http, calls, a_second)
        return time.process_time() - cpu, time.monotonic() - began


if __name__ == "__main__":
    url, file, *pace = sys.argv[1:]
    a_second = float(pace[0]) if pace else None
    cpu_s, wall_s = asyncio.run(run(url, json.loads(Path(file).read_text()), a_second))
    print(json.dumps({"cpu_s": cpu_s, "wall_s": wall_s}))
