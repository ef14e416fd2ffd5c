"""Sends the commands of many tasks in one round trip."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import redis.asyncio

MOST = 100
"""Commands in one round trip."""


class Batcher:
    """Commands that are given while a round trip is under way go together in the next.

    A worker claims and settles hundreds of mailboxes a second; alone, each command costs several
    times what Redis needs for it in connection handling on our side.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._redis = client
        self._queue: deque[tuple[tuple[Any, ...], asyncio.Future[Any]]] = deque()
        self._sending: asyncio.Task[None] | None = None

    async def execute(self, *command: Any) -> Any:
        """The command's reply. Raises redis.exceptions.RedisError as if it had gone alone."""
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.append((command, reply))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        return await reply

    async def _send_all(self) -> None:
        try:
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(MOST, len(self._queue)))]
                await self._send(batch)
        finally:
            self._sending = None

    async def _send(self, batch: list[tuple[tuple[Any, ...], asyncio.Future[Any]]]) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            for command, _ in batch:
                pipe.execute_command(*command)
            replies: list[Any]
            try:
                replies = await pipe.execute(raise_on_error=False)
            except Exception as error:  # noqa: BLE001 - raised where each reply is awaited
                replies = [error] * len(batch)
        for (_, future), reply in zip(batch, replies, strict=True):
            if future.done():
                continue
            if isinstance(reply, Exception):
                future.set_exception(reply)
            else:
                future.set_result(reply)
