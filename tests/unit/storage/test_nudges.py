"""Nudges come over a channel on which every client of the Redis may publish."""

from __future__ import annotations

import asyncio

import redis.asyncio

from pipeline.storage import keys
from pipeline.storage.nudges import listen
from tests.support.commands import DEADLINE_S


async def test_a_message_that_is_no_nudge_ends_no_listener(redis_url: str) -> None:
    """A worker ends with its listener, and all of them hear the same message."""
    heard: asyncio.Queue[frozenset[str]] = asyncio.Queue()
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        listening = asyncio.create_task(listen(client, heard.put_nowait))
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not (await client.pubsub_numsub(keys.DUE_NUDGES))[0][1]:
                    await asyncio.sleep(0.01)
                await client.publish(keys.DUE_NUDGES, b"\xff\xfe")
                await client.publish(keys.DUE_NUDGES, "a\nb")
                while await heard.get() != {"a", "b"}:
                    pass
        finally:
            listening.cancel()
            await asyncio.wait({listening})
