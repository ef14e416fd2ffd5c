"""The raw stream as the splitter that holds its lease sees it: what a batch is, and how entries leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import redis.asyncio
from pydantic_core import to_json

from pipeline.splitter.entries import Moved, RoutedEntry
from pipeline.splitter.lease import LEASE_MS, LeaseLost, SplitterLease
from pipeline.storage import keys
from pipeline.storage.numbers import SINGLY_AFTER
from pipeline.storage.scripts import Scripts

BATCH = 200
"""Entries that are split together at most. Read with the lease they are also 1 MB at most (lease.lua)."""

MAX_WORK = 300
"""Of one call of split.lua: an entry is 1, and so is each alias and email that it links. So much takes Redis about 8 ms."""


class PersonForgotten(Exception):
    """A person was erased while a batch was in hand: it is read and routed anew."""


RawFields: TypeAlias = tuple[bytes, Mapping[bytes, bytes]]
"""An entry as it lies in the stream: its id and fields."""


class RawStream:
    """Read with the lease and moved under it, oldest first.

    Entries come in batches, or one at a time for a while after a batch that may hold a culprit, or was too slow for
    one lease or too big for one request: whole it would end so each time.
    """

    def __init__(
        self, client: redis.asyncio.Redis, token: str, time_ms: Callable[[], int] | None = None
    ) -> None:
        """`time_ms` replaces Redis' clock in tests."""
        self._redis = client
        self._scripts = Scripts(client, "pipeline.splitter")
        self.lease = SplitterLease(self._scripts, token)
        self._time = time_ms
        self._singly = 0
        self._allowed = BATCH
        self._ahead: Sequence[RawFields] = ()

    @property
    def batch_size(self) -> int:
        """How many entries the next batch has at most."""
        return min(self._allowed, 1 if self._singly else BATCH)

    def allow(self, entries: int) -> None:
        """Let no batch have more than so many entries from now on."""
        self._allowed = max(0, entries)

    async def hold(self) -> bool:
        """Take or keep the lease, and read a batch in the same trip. False while another splitter has it."""
        ahead = await self.lease.hold(self.batch_size)
        self._ahead = ahead or ()
        if self.lease.strikes >= SINGLY_AFTER:
            self.one_by_one(BATCH)  # the culprit may be any of the batch: it is to die alone
        return ahead is not None

    async def batch(self, block_ms: int | None = None) -> Sequence[RawFields]:
        """What came with the lease; else the oldest entries, waiting `block_ms` for the first."""
        ahead, self._ahead = self._ahead, ()
        return ahead[: self.batch_size] or await self.oldest(self.batch_size, block_ms)

    async def oldest(self, count: int = 1, block_ms: int | None = None) -> Sequence[RawFields]:
        """The oldest entries, as they are now."""
        reply = await self._redis.xread({keys.RAW: "0-0"}, count=count, block=block_ms)
        return _entries(reply)

    async def move(
        self, batch: Sequence[RoutedEntry], fence: Mapping[str, str] = MappingProxyType({})
    ) -> Moved:
        """Do what these actions say and remove their entries, in one script, or in a few when they are much work.

        fence: which tombstones each account had when the batch was routed (`Known.fence`).

        Raises:
            LeaseLost: another splitter has the lease; nothing was written by that script.
            PersonForgotten: a person was erased meanwhile; nothing was written by that script.
            redis.exceptions.RedisError: Redis is away, refuses to write, or a script failed. Entries before its
                own are moved.
        """
        moved = [await self._move(part, fence) for part in parts(batch)]
        self._singly = max(0, self._singly - 1)
        duplicates, gone = zip(*moved, strict=True)
        return Moved(frozenset().union(*duplicates), frozenset().union(*gone))

    async def _move(self, batch: Sequence[RoutedEntry], fence: Mapping[str, str]) -> Moved:
        now = "" if self._time is None else str(self._time())
        args: list[Any] = [now, self.lease.token, LEASE_MS, to_json(dict(fence))]
        for one in batch:
            args += [one.sid, to_json(one.action), one.blob]
        names = [keys.RAW, keys.SPLITTER, keys.HELD]
        answer = await self._scripts.run("split", names, args)
        if answer == b"lost":
            raise LeaseLost
        if answer == b"forgot":
            raise PersonForgotten
        duplicates, gone = answer
        return Moved(frozenset(duplicates), frozenset(gone))

    def one_by_one(self, entries: int) -> None:
        """Let so many entries, at least, come one at a time."""
        self._singly = max(self._singly, entries)


def parts(batch: Sequence[RoutedEntry]) -> Iterator[Sequence[RoutedEntry]]:
    """The batch in order, cut where the work of one script would be more than MAX_WORK. No I/O."""
    start, work = 0, 0
    for position, one in enumerate(batch):
        more = 1 + len(one.action.aliases) + len(one.action.emails)
        if work + more > MAX_WORK and position > start:
            yield batch[start:position]
            start, work = position, 0
        work += more
    yield batch[start:]


def _entries(reply: Any) -> list[RawFields]:
    """XREAD's reply in either protocol: RESP2 a list of pairs, RESP3 a map."""
    if not reply:
        return []
    streams = list(reply.values()) if isinstance(reply, dict) else [pair[1] for pair in reply]
    batches = streams[0]
    if batches and isinstance(batches[0], list):
        batches = batches[0]
    return [(sid, fields) for sid, fields in batches if fields is not None]
