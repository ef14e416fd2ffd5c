"""Tells wakers in other processes that mailboxes are due: a message names their due sets.

A nudge only shortens a wait: a waker that misses one finds the mailbox with its next look a quarter of
a second later. So messages are neither kept nor repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Self

import redis.asyncio
import redis.exceptions

from pipeline.storage import keys

LISTEN_S = 5.0
AGAIN_S = 1.0


class Nudges:
    """Publishes nudges; what comes while one is under way goes with the next. For one asyncio loop."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._redis = client
        self._names: set[str] = set()
        self._sending: asyncio.Task[None] | None = None

    def send(self, names: Iterable[str]) -> None:
        """Nudge for these due sets (`keys.due`), soon. To be called on the loop."""
        self._names.update(names)
        if self._sending is None and self._names:
            self._sending = asyncio.create_task(self._send())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])

    async def _send(self) -> None:
        try:
            while self._names:
                message = "\n".join(sorted(self._names))
                self._names.clear()
                await self._redis.publish(keys.DUE_NUDGES, message)
        except redis.exceptions.RedisError:
            self._names.clear()  # wakers look by themselves
        finally:
            self._sending = None


async def listen(client: redis.asyncio.Redis, on_due: Callable[[frozenset[str]], None]) -> None:
    """Call `on_due` with the due sets that each nudge names, until cancelled.

    Redis going away is waited out: wakers look by themselves meanwhile, and say so.
    """
    while True:
        try:
            async with client.pubsub(ignore_subscribe_messages=True) as subscription:
                await subscription.subscribe(keys.DUE_NUDGES)
                while True:
                    message = await subscription.get_message(timeout=LISTEN_S)
                    if message is not None:
                        names = message["data"].decode(errors="replace")  # any client may publish
                        on_due(frozenset(names.split("\n")))
        except (redis.exceptions.RedisError, OSError):
            await asyncio.sleep(AGAIN_S)
