"""From a door into the raw stream, over asyncio. Same contract as `pipeline.producer.Producer`."""

from __future__ import annotations

from collections.abc import Sequence

from redis.asyncio import Redis
from redis.exceptions import RedisError

from pipeline import keys
from pipeline.producer import RAW_BOUND, entry, queue_full, refusal


class Intake:
    """Appends what one request brought, all of it or nothing."""

    def __init__(self, redis: Redis, *, bound: int = RAW_BOUND) -> None:
        self._redis = redis
        self._bound = bound
        self._backlog = 0

    async def accept(self, raws: Sequence[bytes], account: str) -> None:
        """Append events in order.

        Raises:
            QueueFull: the raw stream is at its bound or Redis is out of memory.
            EnqueueError: Redis is away. The caller may send the same again: the events carry
                messageIds, unless the door had to give them.
        """
        try:
            await self._refuse_if_full()
            pipe = self._redis.pipeline(transaction=True)
            for raw in raws:
                pipe.xadd(keys.RAW, entry(raw, account))
            pipe.xlen(keys.RAW)
            self._backlog = int((await pipe.execute())[-1])
        except RedisError as error:
            raise refusal(error) from None

    async def ready(self) -> bool:
        """Whether Redis answers."""
        try:
            return bool(await self._redis.ping())
        except RedisError:
            return False

    async def _refuse_if_full(self) -> None:
        if self._backlog >= self._bound:
            self._backlog = int(await self._redis.xlen(keys.RAW))
        if self._backlog >= self._bound:
            raise queue_full(self._backlog)
