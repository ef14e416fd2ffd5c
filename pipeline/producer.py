"""Appends raw events to the raw stream, one by one or many at a time.

Whether an XADD whose answer was lost took effect cannot be known. Sending the same event again is
harmless when it carries a messageId: the splitter drops the second one.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import NoPermissionError, RedisError

from pipeline.admission import LOOK, Admission
from pipeline.counters import Count, counter
from pipeline.errors import EnqueueError, QueueFull, WrongFormat
from pipeline.events.kinds import IgnoreReason
from pipeline.raw_entries import (
    CHUNK,
    LIVE,
    Chunk,
    Labels,
    append_script,
    arguments,
    chunks_of,
    entry,
    fill,
    words,
)
from pipeline.settings import DEFAULT_ACCOUNT
from pipeline.storage import keys
from pipeline.storage.format import check_format_async
from pipeline.storage.redis_client import CONNECT_TIMEOUT_S, REPLY_TIMEOUT_S
from pipeline.storage.redis_errors import FULL, SILENT, explain
from pipeline.storage.scripts import Batcher

RAW_HOLD = 2_000
"""Entries in the raw stream above which who sends many at once waits, so that a live event is soon split."""
RAW_BOUND = 1_000_000
"""Entries in the raw stream above which every producer is refused."""
HOLD_S = 0.05
"""Seconds between two looks of who waits until more may be appended."""
MARK_S = 30 * 24 * 3600
"""For so long after its last event it is known how far an import is."""
ANSWER_S = CONNECT_TIMEOUT_S + REPLY_TIMEOUT_S
"""Seconds that a producer waits for a Redis that is away or hangs."""
OVERTAKEN = -1
"""What append.lua returns when a mark is not what its import has left."""


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
        self._hold = hold
        self._sleep = sleep
        self._script = redis.register_script(append_script())
        self._admission = Admission(bound)

    def send(self, raw: bytes, labels: Labels = LIVE) -> str:
        """Append one event; returns its entry's id. Raises QueueFull or EnqueueError."""
        if why := self._why_refused([raw], labels):
            raise QueueFull(why)
        try:
            entry_id: Any = self._redis.xadd(keys.RAW, entry(raw, labels))
        except RedisError as error:
            raise enqueue_error(error) from None
        self._admission.took(1)
        return bytes(entry_id).decode()

    def send_many(
        self,
        raws: Iterable[bytes],
        labels: Labels = LIVE,
        on_hold: Callable[[str], None] | None = None,
    ) -> int:
        """Append events in order, waiting while the raw stream is long.

        A chunk of 500 is taken whole or not at all. `on_hold` is told the cause at each look of a wait, so that a
        person knows why nothing moves. Who gives it waits for memory, too, instead of being refused.

        Returns: how many were appended.
        Raises: QueueFull or EnqueueError; the message says how many had been taken before.
        """
        return self.send_chunks(map(Chunk, chunks_of(raws, CHUNK)), labels, on_hold)

    def send_chunks(
        self,
        chunks: Iterable[Chunk],
        labels: Labels = LIVE,
        on_hold: Callable[[str], None] | None = None,
    ) -> int:
        """As `send_many`, of chunks that the caller has made.

        Raises: EnqueueError too if a mark is not what lies in Redis, since another process has changed it.
        """
        sent = 0
        for chunk in chunks:
            try:
                self._wait_for_capacity(chunk.raws, labels, on_hold)
                self._append(chunk, labels)
            except EnqueueError as error:
                raise _after(sent, error) from None
            sent += len(chunk.raws)
        return sent

    def _append(self, chunk: Chunk, labels: Labels) -> None:
        try:
            backlog = self._append_chunk(chunk, labels)
        except RedisError as error:
            raise enqueue_error(error) from None
        if backlog == OVERTAKEN:
            raise EnqueueError(
                "The same file is being enqueued by another process, or its account was reset meanwhile"
            )
        self._admission.took(len(chunk.raws), backlog)

    def _append_chunk(self, chunk: Chunk, labels: Labels) -> int | None:
        """Returns how long the stream is now, if that is known; OVERTAKEN if the mark is not what it was."""
        raws, mark = chunk
        names = [keys.RAW] if mark is None else [keys.RAW, mark.key]
        args = arguments(raws, labels)
        if mark is not None:
            args = [mark.before, mark.after, MARK_S, *args]
        try:
            return int(self._script(keys=names, args=args, client=self._redis))
        except NoPermissionError:  # may append, and may run no script, or write no mark
            pipe = self._redis.pipeline(transaction=True)
            fill(pipe, raws, labels)
            pipe.execute()
            return None

    def _look(self) -> None:
        pipe: Any = self._redis.pipeline(transaction=False)
        for command in LOOK:
            pipe.execute_command(*command)
        try:
            self._admission.looked(pipe.execute(raise_on_error=False))
        except RedisError as error:
            raise enqueue_error(error) from None

    def _why_refused(self, raws: Sequence[bytes], labels: Labels) -> str | None:
        if self._admission.is_old:
            self._look()
        return self._admission.why_not(labels.account, raws)

    def _why_wait(self, raws: Sequence[bytes], labels: Labels) -> str | None:
        if self._admission.backlog >= self._hold:
            self._look()
        why, waiting = self._why_refused(raws, labels), self._admission.backlog
        return why or (f"{waiting} events wait already" if waiting >= self._hold else None)

    def _wait_for_capacity(
        self, raws: Sequence[bytes], labels: Labels, on_hold: Callable[[str], None] | None
    ) -> None:
        while why := self._why_wait(raws, labels):
            if on_hold is not None:
                on_hold(why)
            elif self._admission.backlog < self._hold:
                raise QueueFull(why)
            self._sleep(HOLD_S)


class AsyncProducer:
    """Appends what one request brought, all of it or nothing: `Producer` for one asyncio loop.

    Single events that come while a round trip is under way go together in the next.
    """

    def __init__(self, redis: AsyncRedis, *, bound: int = RAW_BOUND) -> None:
        self._redis = redis
        self._batcher = Batcher(redis)
        self._script = redis.register_script(append_script())
        self._admission = Admission(bound)
        self._knows_format = False

    async def send_all(self, raws: Sequence[bytes], labels: Labels = LIVE) -> None:
        """Append events in order.

        Raises:
            QueueFull: the splitter refuses them, the raw stream is at its bound, or Redis is out of memory.
            EnqueueError: Redis is away, or holds another version's data. The caller may send the same again: the events carry
                messageIds, unless the server had to give them.
        """
        await self.admit(raws, labels)
        try:
            await self._append(raws, labels)
        except RedisError as error:
            raise enqueue_error(error) from None

    async def admit(self, raws: Sequence[bytes], labels: Labels) -> None:
        """Return if these events may be appended now, and count them as appended. Raises as `send_all` does."""
        try:
            await self._check_format()
            if labels.bulk and await self._is_long():
                raise QueueFull(f"{self._admission.backlog} events wait already")
            await self._refuse_if_full(labels.account, raws)
        except RedisError as error:
            raise enqueue_error(error) from None

    async def send_many(self, raws: Iterable[bytes], labels: Labels = LIVE) -> int:
        """Append events in order, waiting while the raw stream is long. A chunk of 500 is taken whole or not at all.
        The caller has asked for the format.

        Returns: how many were appended.
        Raises: QueueFull or EnqueueError; the message says how many had been taken before.
        """
        sent = 0
        for chunk in chunks_of(raws, CHUNK):
            try:
                while await self._is_long():
                    await asyncio.sleep(HOLD_S)
                async with in_time():
                    await self._refuse_if_full(labels.account, chunk)
                    await self._append(chunk, labels)
            except RedisError as error:
                raise _after(sent, enqueue_error(error)) from None
            except EnqueueError as error:
                raise _after(sent, error) from None
            sent += len(chunk)
        return sent

    async def count_refused(self, account: str, events: int) -> None:
        """Count what is left out of a request, as `refused_by_role`. Raises QueueFull or EnqueueError."""
        if events:
            field = counter(Count.IGNORED, IgnoreReason.REFUSED_BY_ROLE)
            await self.count(account, field, events)

    async def count(self, account: str, field: str, events: int = 1) -> None:
        """Add to a counter (pipeline/counters.py) what is no longer to be delivered, or is said beside. Raises QueueFull or
        EnqueueError."""
        try:
            await self._check_format()
            await self._batcher.execute("HINCRBY", keys.counts(account), field, events)
        except NoPermissionError:
            pass  # a Redis user that may only append
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
            await self._look()
            await self._refuse_if_full(DEFAULT_ACCOUNT, ())
        except RedisError as error:
            raise enqueue_error(error) from None

    async def _append(self, raws: Sequence[bytes], labels: Labels) -> None:
        if len(raws) == 1:
            await self._batcher.execute("XADD", keys.RAW, "*", *words(raws[0], labels))
        elif raws:
            await self._append_chunk(raws, labels)

    async def _append_chunk(self, raws: Sequence[bytes], labels: Labels) -> None:
        try:
            await self._script(keys=[keys.RAW], args=arguments(raws, labels))
        except NoPermissionError:  # may append, and may run no script
            pipe = self._redis.pipeline(transaction=True)
            fill(pipe, raws, labels)
            await pipe.execute()

    async def check_format(self) -> None:
        """Refuse to add to what another version works on. Redis is asked once.

        Raises:
            WrongFormat: it says what to do.
            redis.exceptions.RedisError: Redis did not answer.
        """
        if self._knows_format:
            return
        with contextlib.suppress(
            NoPermissionError
        ):  # as for every producer: see check_producers_format
            await check_format_async(self._redis, stamp=True)
        self._knows_format = True

    async def _check_format(self) -> None:
        """`serve` asks when it starts, but Redis may be away then."""
        try:
            await self.check_format()
        except WrongFormat as error:
            raise EnqueueError(str(error)) from None

    async def _refuse_if_full(self, account: str, raws: Sequence[bytes]) -> None:
        """Count them before they are appended: requests that come together must not all find the same room."""
        if self._admission.is_old:
            await self._look()
        if why := self._admission.why_not(account, raws):
            raise QueueFull(why)
        self._admission.took(len(raws))

    async def _look(self) -> None:
        asked = (self._batcher.execute(*command) for command in LOOK)
        self._admission.looked(await asyncio.gather(*asked, return_exceptions=True))

    async def _is_long(self) -> bool:
        """Whether the raw stream has as much as who sends many may leave there."""
        if self._admission.is_old or self._admission.backlog >= RAW_HOLD:
            await self._look()
        return self._admission.backlog >= RAW_HOLD


@contextlib.asynccontextmanager
async def in_time() -> AsyncIterator[None]:
    """Give up on a Redis that does not answer, whatever of it is waited for. Raises EnqueueError after ANSWER_S."""
    try:
        async with asyncio.timeout(ANSWER_S):
            yield
    except TimeoutError:
        raise EnqueueError(f"Redis {SILENT.what}", SILENT.fix) from None


def enqueue_error(error: RedisError) -> EnqueueError:
    """What a Redis error means for a producer. Its text is left out: it can quote the event."""
    trouble = explain(error)
    if trouble == FULL:
        return QueueFull(f"Redis {trouble.what}")
    return EnqueueError(f"Redis {trouble.what}", trouble.fix)


def _after(sent: int, error: EnqueueError) -> EnqueueError:
    """The same error of one who sends many."""
    return type(error)(f"{error.what} ({sent} events were taken before)", error.fix)
