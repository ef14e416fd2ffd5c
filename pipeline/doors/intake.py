"""From a door into the raw stream, over asyncio. Same contract as `pipeline.producer.Producer`."""

from __future__ import annotations

from collections.abc import Sequence

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, RedisError

from pipeline import keys
from pipeline.errors import EnqueueError, WrongFormat
from pipeline.producer import RAW_BOUND, entry, queue_full, refusal
from pipeline.redis_format import check_format_async


class Intake:
    """Appends what one request brought, all of it or nothing."""

    def __init__(self, redis: Redis, *, bound: int = RAW_BOUND) -> None:
        self._redis = redis
        self._bound = bound
        self._backlog = 0
        self._knows_format = False

    async def accept(self, raws: Sequence[bytes], account: str) -> None:
        """Append events in order.

        Raises:
            QueueFull: the raw stream is at its bound or Redis is out of memory.
            EnqueueError: Redis is away, or holds another version's data. The caller may send the same again: the events carry
                messageIds, unless the door had to give them.
        """
        try:
            await self._check_format()
            await self._refuse_if_full()
            pipe = self._redis.pipeline(transaction=True)
            for raw in raws:
                pipe.xadd(keys.RAW, entry(raw, account))
            pipe.xlen(keys.RAW)
            self._backlog = int((await pipe.execute())[-1])
        except RedisError as error:
            raise refusal(error) from None

    async def ready(self) -> bool:
        """Whether Redis answers, and holds this version's data."""
        try:
            await self._check_format()
            return bool(await self._redis.ping())
        except (EnqueueError, RedisError):
            return False

    async def _check_format(self) -> None:
        """Once; `serve` asks when it starts, but Redis may be away then."""
        if self._knows_format:
            return
        try:
            await check_format_async(self._redis, stamp=True)
        except NoPermissionError:
            pass  # as for every producer: see check_producers_format
        except WrongFormat as error:
            raise EnqueueError(str(error)) from None
        self._knows_format = True

    async def _refuse_if_full(self) -> None:
        if self._backlog >= self._bound:
            self._backlog = int(await self._redis.xlen(keys.RAW))
        if self._backlog >= self._bound:
            raise queue_full(self._backlog)
