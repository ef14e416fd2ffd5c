"""Delivery as Segment's destination does it: `python -m benchmarks.others.segments_way URL EVENTS_FILE`.

An identify is one call. A cart change is two: the cart is read, changed, and written back whole; one user's changes go
one after the other, since two at once would overwrite each other. Calls keep to Sailthru's limits, evenly paced.
EVENTS_FILE has a JSON list of events that all wait. Prints the seconds until the last was answered.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import httpx
from aiolimiter import AsyncLimiter
from httpx_aiohttp import AiohttpTransport

from pipeline.sailthru.signing import signed

LIMITS = {"GET /user": 300.0, "POST /user": 300.0, "POST /purchase": 40.0}
IN_FLIGHT = 100


class Sender:
    """Calls within the limits, so many at once."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._limits = {bucket: AsyncLimiter(1, 1 / rate) for bucket, rate in LIMITS.items()}

    async def call(self, method: str, path: str, params: Mapping[str, Any]) -> Any:
        await self._limits[f"{method} {path}"].acquire()
        fields = signed(params, "bench", "bench")
        async with self._room:
            if method == "GET":
                answer = await self._http.get(path, params=fields)
            else:
                answer = await self._http.post(path, data=fields)
        answer.raise_for_status()
        return answer.json()


async def deliver(sender: Sender, event: Mapping[str, Any]) -> None:
    if event["type"] == "identify":
        traits = dict(event["traits"])
        keys = {"email": traits.pop("email")}
        params = {"id": event["userId"], "key": "extid", "keys": keys, "vars": traits}
        await sender.call("POST", "/user", params)
        return
    asked = {"id": event["userId"], "key": "extid", "fields": {"purchase_incomplete": 1, "keys": 1}}
    profile = await sender.call("GET", "/user", asked)
    items = profile.get("purchase_incomplete", {}).get("items", [])
    items = changed(items, event["properties"], adds=event["event"] == "Product Added")
    email = event["context"]["traits"]["email"]
    await sender.call("POST", "/purchase", {"email": email, "items": items, "incomplete": 1})


def changed(
    items: Sequence[Mapping[str, Any]], ware: Mapping[str, Any], *, adds: bool
) -> list[Mapping[str, Any]]:
    """The cart after one of `ware` was put in or taken out."""
    step = 1 if adds else -1
    wanted = ware["product_id"]
    if not any(item["id"] == wanted for item in items):
        new = {"id": wanted, "title": ware["name"], "url": ware["url"], "qty": 1}
        return [*items, {**new, "price": round(ware["price"] * 100)}]
    after = [{**one, "qty": one["qty"] + step} if one["id"] == wanted else one for one in items]
    return [one for one in after if one["qty"] > 0]


async def _deliver_in_order(sender: Sender, events: Sequence[Mapping[str, Any]]) -> None:
    for event in events:
        await deliver(sender, event)


async def run(url: str, events: Sequence[Mapping[str, Any]]) -> float:
    """Seconds until all events are delivered, each user's in order."""
    of_user: dict[str, list[Mapping[str, Any]]] = {}
    for event in events:
        of_user.setdefault(event["userId"], []).append(event)

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT))

    began = time.monotonic()
    transport = AiohttpTransport(client=session)
    async with httpx.AsyncClient(base_url=url, transport=transport, timeout=8.0) as http:
        sender = Sender(http)
        async with asyncio.TaskGroup() as group:
            for own in of_user.values():
                group.create_task(_deliver_in_order(sender, own))
    return time.monotonic() - began


if __name__ == "__main__":
    print(asyncio.run(run(sys.argv[1], json.loads(Path(sys.argv[2]).read_text()))))
