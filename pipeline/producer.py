"""Appends raw events to the raw stream, one by one or many at a time.

Whether an XADD whose answer was lost took effect cannot be known. Sending the same event again is
harmless when it carries a messageId: the splitter drops the second one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from redis import Redis
from redis.exceptions import OutOfMemoryError, RedisError

from pipeline import keys
from pipeline.errors import EnqueueError, QueueFull
from pipeline.settings import DEFAULT_ACCOUNT

CHUNK = 500
"""Events per pipelined round trip: large enough to hide the trip, small enough to stay atomic."""
RAW_HOLD = 20_000
"""Entries in the raw stream above which bulk producers wait, so that others stay quick."""
RAW_BOUND = 1_000_000
"""Entries in the raw stream above which every producer is refused."""
HOLD_S = 0.2
"""Seconds between two looks at a raw stream that is too long."""


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
                raise type(error)(f"{error} ({sent} events were taken before)") from None
            sent += len(chunk)
        return sent

    def backlog(self) -> int:
        """Entries in the raw stream now. Raises EnqueueError."""
        try:
            self._backlog = int(self._redis.xlen(keys.RAW))
        except RedisError as error:
            raise refusal(error) from None
        return self._backlog

    def _append(self, items: list[tuple[bytes, str]]) -> None:
        """One transaction: it also tells the length, so that no trip is spent on asking."""
        pipe = self._redis.pipeline(transaction=True)
        for raw, account in items:
            pipe.xadd(keys.RAW, entry(raw, account))
        pipe.xlen(keys.RAW)
        try:
            self._backlog = int(pipe.execute()[-1])
        except RedisError as error:
            raise refusal(error) from None

    def _refuse_if_full(self) -> None:
        if self._backlog >= self._bound and self.backlog() >= self._bound:
            raise queue_full(self._backlog)

    def _wait_for_capacity(self, on_hold: Callable[[int], None] | None) -> None:
        while self._backlog >= self._hold and self.backlog() >= self._hold:
            if on_hold is not None:
                on_hold(self._backlog)
            self._sleep(HOLD_S)


def entry(raw: bytes, account: str) -> dict[Any, Any]:
    """The fields of a raw-stream entry; `default` goes without saying."""
    if account == DEFAULT_ACCOUNT:
        return {"event": raw}
    return {"event": raw, "account": account}


def refusal(error: RedisError) -> EnqueueError:
    """What a Redis error means for a producer. Its text is left out: it can quote the event."""
    if isinstance(error, OutOfMemoryError):
        return QueueFull("Redis is out of memory")
    return EnqueueError(f"Redis did not take the event ({type(error).__name__})")


def queue_full(backlog: int) -> QueueFull:
    """The refusal of a producer that would make a long raw stream longer."""
    return QueueFull(f"{backlog} events wait in the raw stream already")


def _chunks(items: Iterable[tuple[bytes, str]], size: int) -> Iterator[list[tuple[bytes, str]]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
