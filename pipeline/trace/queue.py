"""What waits to be written to the logs of outcomes of a process: bounded, and behind everything else."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Generic, TypeVar

import redis.asyncio
import redis.exceptions

from pipeline.clock import Clock
from pipeline.observe.logs import log_event
from pipeline.settings import AccountSettings
from pipeline.trace.log import BLOCK, TraceLog
from pipeline.trace.records import Record

T = TypeVar("T")
MAX_PENDING = 5_000
"""Settlements that wait; beyond it the oldest are lost."""
FLUSH_S = 0.5
LAST_FLUSH_S = 1.0
"""How long the end of a process waits for its last records."""
ROOM_EVERY_S = 60.0
SAID_EVERY_S = 60.0


class TraceQueue(Generic[T]):
    """Who has something to tell appends it to `pending`, which costs nothing. `run` makes records of it and writes them.

    A failure here is said in the log, and in every answer from the log of outcomes; it stops nothing.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        accounts: Mapping[str, AccountSettings],
        read: Callable[[T], Iterable[tuple[str, Record]]],
        clock: Clock,
        most: int = MAX_PENDING,
    ) -> None:
        """read: the records of one thing, each with its account; those of an account that keeps none are left out. most:
        things that may wait."""
        self.pending: deque[T] = deque(maxlen=most)
        self._accounts = {name: one for name, one in accounts.items() if one.trace_keep is not None}
        self._logs = {name: TraceLog(client, name) for name in self._accounts}
        self._read = read
        self._clock = clock
        self._lost: set[str] = set()
        self._room: dict[str, int] = {}
        self._room_known_until = self._said_until = -1.0

    async def run(self) -> None:
        """Write every half second what has come since, until cancelled; then what is left."""
        flushing: asyncio.Future[None] | None = None
        try:
            while True:
                await asyncio.sleep(FLUSH_S)
                flushing = asyncio.ensure_future(self.flush())
                await asyncio.shield(
                    flushing
                )  # what is being written when the process stops is written
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_FLUSH_S):
                    if flushing is not None:
                        await flushing
                    await self.flush()

    async def flush(self) -> None:
        """Write what has come by now. What cannot be written is lost."""
        if len(self.pending) == self.pending.maxlen:
            self._lost |= self._logs.keys()
        records = self._records(len(self.pending))
        while some := list(islice(records, 2 * BLOCK)):
            by_account: dict[str, list[Record]] = {}
            for account, record in some:
                by_account.setdefault(account, []).append(record)
            for account, of_account in by_account.items():
                await self._write(account, of_account)

    def _records(self, things: int) -> Iterator[tuple[str, Record]]:
        for _ in range(min(things, len(self.pending))):
            thing = self.pending.popleft()
            try:
                yield from (one for one in self._read(thing) if one[0] in self._logs)
            except Exception as error:  # noqa: BLE001 - what cannot be told costs its record, never an event
                self._fail(self._logs.keys(), error)

    async def _write(self, account: str, records: Sequence[Record]) -> None:
        try:
            room, lost = await self._room_of(account), account in self._lost
            await self._logs[account].write(records, room, lost=lost)
            self._lost.discard(account)
        except Exception as error:  # noqa: BLE001 - Redis is away or full, or a record is at fault: none of it may stop delivery
            self._fail([account], error)

    async def _room_of(self, account: str) -> int:
        now = self._clock.monotonic()
        if now >= self._room_known_until:
            for name, one in self._accounts.items():
                self._room[name] = await self._logs[name].room(one.trace_max, len(self._accounts))
            self._room_known_until = now + ROOM_EVERY_S
        return self._room[account]

    def _fail(self, accounts: Iterable[str], error: Exception) -> None:
        self._lost.update(accounts)
        now = self._clock.monotonic()
        if now >= self._said_until:
            self._said_until = now + SAID_EVERY_S
            log_event("outcomes_lost", logging.WARNING, error=type(error).__name__)
