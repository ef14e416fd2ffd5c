"""Appends raw events to the raw stream, one by one or many at a time.

Whether an XADD whose answer was lost took effect cannot be known. Sending the same event again is
harmless when it carries a messageId: the splitter drops the second one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import NoPermissionError, RedisError

from pipeline.errors import EnqueueError, QueueFull, WrongFormat
from pipeline.settings import DEFAULT_ACCOUNT
from pipeline.storage import keys
from pipeline.storage.format import check_format_async
from pipeline.storage.redis_errors import FULL, explain
from pipeline.storage.scripts import Batcher, read_script

CHUNK = 500
"""Events per pipelined round trip: large enough to hide the trip, small enough to stay atomic."""
RAW_HOLD = 20_000
"""Entries in the raw stream above which bulk producers wait, so that others stay quick."""
RAW_BOUND = 1_000_000
"""Entries in the raw stream above which every producer is refused."""
HOLD_S = 0.2
"""Seconds between two looks at a raw stream that is too long."""
LOOK_EVERY = 1_000
"""Events that an asyncio producer appends between two looks at how long the raw stream is."""


class Producer:
    """Appends raw events to the raw stream over a Redis client that is handed in.

    Safe to share between threads as far as the client is.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        bound: int = RAW_BOUND,
        hold: int = RAW_HOLD,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._redis = redis
        self._bound = bound
        self._hold = hold
        self._sleep = sleep
        self._script = redis.register_script(_script())
        self._backlog = 0

    def send(self, raw: bytes, account: str = DEFAULT_ACCOUNT) -> None:
        """Append one event. Raises QueueFull or EnqueueError."""
        self._refuse_if_full()
        self._append([(raw, account)])

    def send_many(
        self,
        items: Iterable[tuple[bytes, str]],
        on_hold: Callable[[int], None] | None = None,
    ) -> int:
        """Append (raw, account) pairs in order, waiting while the raw stream is long.

        A chunk of 500 is taken whole or not at all. `on_hold` is called with the number of waiting
        entries at each look, so that a person can be told why nothing moves.

        Returns: how many were appended.
        Raises: QueueFull or EnqueueError; the message says how many had been taken before.
        """
        sent = 0
        for chunk in _chunks(items, CHUNK):
            try:
                self._wait_for_capacity(on_hold)
                self._append(chunk)
            except EnqueueError as error:
                what = f"{error.what} ({sent} events were taken before)"
                raise type(error)(what, error.fix) from None
            sent += len(chunk)
        return sent

    def backlog(self) -> int:
        """Entries in the raw stream now. Raises EnqueueError."""
        try:
            self._backlog = int(self._redis.xlen(keys.RAW))
        except RedisError as error:
            raise enqueue_error(error) from None
        return self._backlog

    def _append(self, items: list[tuple[bytes, str]]) -> None:
        try:
            self._backlog = self._send_one(items) if len(items) == 1 else self._send_chunk(items)
        except RedisError as error:
            raise enqueue_error(error) from None

    def _send_one(self, items: list[tuple[bytes, str]]) -> int:
        """The event, and in the same trip how long the stream is. That may be refused to who may only append."""
        pipe = self._redis.pipeline(transaction=False)
        _fill(pipe, items)
        pipe.xlen(keys.RAW)
        appended, length = pipe.execute(raise_on_error=False)
        if isinstance(appended, Exception):
            raise appended
        return 0 if isinstance(length, Exception) else int(length)

    def _send_chunk(self, items: list[tuple[bytes, str]]) -> int:
        try:
            return int(self._script(keys=[keys.RAW], args=_arguments(items), client=self._redis))
        except NoPermissionError:  # may append, and may run no script
            pipe = self._redis.pipeline(transaction=True)
            _fill(pipe, items)
            pipe.execute()
        try:
            return int(self._redis.xlen(keys.RAW))
        except RedisError:  # they are taken, whatever it says
            return 0

    def _refuse_if_full(self) -> None:
        if self._backlog >= self._bound and self.backlog() >= self._bound:
            raise queue_full(self._backlog)

    def _wait_for_capacity(self, on_hold: Callable[[int], None] | None) -> None:
        while self._backlog >= self._hold and self.backlog() >= self._hold:
            if on_hold is not None:
                on_hold(self._backlog)
            self._sleep(HOLD_S)


class AsyncProducer:
    """Appends what one request brought, all of it or nothing: `Producer` for one asyncio loop.

    Single events that come while a round trip is under way go together in the next.
    """

    def __init__(self, redis: AsyncRedis, *, bound: int = RAW_BOUND) -> None:
        self._redis = redis
        self._batcher = Batcher(redis)
        self._append = redis.register_script(_script())
        self._bound = bound
        self._backlog = 0
        self._free = 0
        self._knows_format = False

    async def send_all(self, raws: Sequence[bytes], account: str) -> None:
        """Append events in order.

        Raises:
            QueueFull: the raw stream is at its bound or Redis is out of memory.
            EnqueueError: Redis is away, or holds another version's data. The caller may send the same again: the events carry
                messageIds, unless the server had to give them.
        """
        try:
            await self._check_format()
            await self._refuse_if_full(len(raws))
            if len(raws) == 1:
                await self._batcher.execute("XADD", keys.RAW, "*", *_words(raws[0], account))
            elif raws:
                await self._send_many([(raw, account) for raw in raws])
        except RedisError as error:
            raise enqueue_error(error) from None

    async def check_ready(self) -> None:
        """Return if an event could be taken now; nothing is written.

        Raises:
            QueueFull, EnqueueError: as for an event.
        """
        try:
            await self._check_format()
            # Redis refuses this as it would the real one (full, read-only, no disk), but makes no stream.
            with contextlib.suppress(NoPermissionError):  # as in `_check_format`
                await self._redis.xadd(keys.RAW_PROBE, {"event": ""}, nomkstream=True)
            self._free = 0  # look now
            await self._refuse_if_full(0)
        except RedisError as error:
            raise enqueue_error(error) from None

    async def _send_many(self, items: list[tuple[bytes, str]]) -> None:
        try:
            await self._append(keys=[keys.RAW], args=_arguments(items))
        except NoPermissionError:  # may append, and may run no script
            pipe = self._redis.pipeline(transaction=True)
            _fill(pipe, items)
            await pipe.execute()

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

    async def _refuse_if_full(self, events: int) -> None:
        """Look how long the raw stream is, once in LOOK_EVERY events or as few as there is room for."""
        if self._free <= 0:
            self._backlog = int(await self._batcher.execute("XLEN", keys.RAW))
            self._free = min(LOOK_EVERY, self._bound - self._backlog)
        if self._free <= 0:
            raise queue_full(self._backlog)
        self._free -= events


def entry(raw: bytes, account: str) -> dict[Any, Any]:
    """The fields of a raw-stream entry; the account `default` is left out."""
    if account == DEFAULT_ACCOUNT:
        return {"event": raw}
    return {"event": raw, "account": account}


def enqueue_error(error: RedisError) -> EnqueueError:
    """What a Redis error means for a producer. Its text is left out: it can quote the event."""
    trouble = explain(error)
    if trouble == FULL:
        return QueueFull(f"Redis {trouble.what}")
    return EnqueueError(f"Redis {trouble.what}", trouble.fix)


def queue_full(backlog: int) -> QueueFull:
    """The refusal of a producer that would make a long raw stream longer."""
    return QueueFull(f"{backlog} events wait in the raw stream already")


def _script() -> str:
    return read_script("pipeline", "append")


def _arguments(items: Iterable[tuple[bytes, str]]) -> list[bytes | str]:
    """What append.lua takes of (raw, account) pairs."""
    return [word for raw, account in items for word in (account, raw)]


def _words(raw: bytes, account: str) -> list[bytes | str]:
    """What XADD takes after the id."""
    return [word for field in entry(raw, account).items() for word in field]


def _fill(pipe: Any, items: Iterable[tuple[bytes, str]]) -> None:
    for raw, account in items:
        pipe.xadd(keys.RAW, entry(raw, account))


def _chunks(items: Iterable[tuple[bytes, str]], size: int) -> Iterator[list[tuple[bytes, str]]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
