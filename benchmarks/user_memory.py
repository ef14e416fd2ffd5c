"""How many bytes of Redis' memory each person takes that is remembered after everything is delivered.

`python -m benchmarks.user_memory [PEOPLE]`, 20,000 unless told. Each shape of person is tried in an empty Redis: their
events are split, their mailboxes taken away, and what is left is measured, on the day and once that day's sightings are
over. What deliveries note of a user (when it was identified last, say) is left out. A table on stdout. Exit code 1 when a user with one device takes more than MAX_BYTES.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import redis.asyncio

from pipeline.events.models import Lane
from pipeline.settings import AccountSettings
from pipeline.storage import keys
from tests.support.mailboxes import Mailboxes
from tests.support.redis_server import RedisServer

MAX_BYTES = 350.0
BATCH = 200
Event = dict[str, Any]


def _id() -> str:
    return str(uuid.uuid4())


def _identify(number: int, **fields: Any) -> Event:
    traits = {"email": f"customer{number:08d}@example.com"}
    return {"type": "identify", "messageId": _id(), "traits": traits, **fields}


def _seen(**fields: Any) -> Event:
    return {"type": "track", "event": "Seen", "messageId": _id(), **fields}


def _subscribed(number: int) -> Event:
    email = {"email": f"customer{number:08d}@example.com"}
    shown = {"properties": {"list": "news", **email}, "context": {"traits": email}}
    return {**_seen(anonymousId=_id()), "event": "Subscribed", **shown}


def _user(number: int) -> str:
    return f"user-{number:08d}"


ONE_DEVICE = "userId, email, one device"
SHAPES: Mapping[str, Callable[[int], list[Event]]] = {
    "userId, email": lambda n: [_identify(n, userId=_user(n))],
    ONE_DEVICE: lambda n: [_identify(n, userId=_user(n), anonymousId=_id())],
    "userId, email, five devices": lambda n: [
        _identify(n, userId=_user(n), anonymousId=_id()) for _ in range(5)
    ],
    "userId, one device, no email": lambda n: [_seen(userId=_user(n), anonymousId=_id())],
    "visitor without email": lambda _: [_seen(anonymousId=_id())],
    "visitor with email (newsletter)": lambda n: [_subscribed(n)],
}


def bytes_per_person(shape: str, people: int, *, is_over: bool) -> float:
    """What each person of a shape takes in a Redis of its own; `is_over`: once the day's sightings are."""
    with tempfile.TemporaryDirectory() as directory:
        server = RedisServer(Path(directory))
        server.start()
        try:
            return asyncio.run(_measure(server.url, shape, people, is_over=is_over))
        finally:
            server.stop()


async def _measure(url: str, shape: str, people: int, *, is_over: bool) -> float:
    async with redis.asyncio.Redis.from_url(url) as client:
        boxes = Mailboxes(client, AccountSettings(dedupe_window=0.0))
        await boxes.post(_identify(0, userId="warm-up"))
        await _take_away(client, is_over=is_over)
        before = await _used_memory(client)
        for start in range(0, people, BATCH):
            for number in range(start, min(start + BATCH, people)):
                await boxes.accept(*SHAPES[shape](number))
            while await boxes.split():
                await _take_away(client, is_over=is_over)
        return (await _used_memory(client) - before) / people


async def _take_away(client: redis.asyncio.Redis, *, is_over: bool) -> None:
    """Empty the mailboxes at once, or Redis' tables of keys would be as large as these had made them."""
    for lane in Lane:
        names: Any = await client.zrange(keys.due("default", lane), 0, -1)
        users = [name.decode() for name in names]
        gone = [keys.due("default", lane)]
        for kind in (keys.mail, keys.mailbox_state):
            gone += [kind("default", lane, user) for user in users]
        await client.delete(*gone)
    if is_over:
        seen = [name async for name in client.scan_iter(keys.seen("default", "*"), count=10_000)]
        await client.delete(b"-", *seen)


async def _used_memory(client: redis.asyncio.Redis) -> int:
    return int((await client.info("memory"))["used_memory"])


def main() -> int:
    """Measure; 0 when a user with one device keeps to the bound."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("people", nargs="?", type=int, default=20_000)
    people, good = parser.parse_args().people, True
    print(f"{'bytes a person':<34}{'on the day':>12}{'after it':>10}")
    for shape in SHAPES:
        on_the_day = bytes_per_person(shape, people, is_over=False)
        after = bytes_per_person(shape, people, is_over=True)
        good = good and (shape != ONE_DEVICE or after <= MAX_BYTES)
        print(f"{shape:<34}{on_the_day:>12.0f}{after:>10.0f}", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
