"""The log of outcomes of one account: write, find, keep within its bounds.

It is written behind what it tells of: what is lost of it, with a process that is killed, say, is lost. What it says was
so: a record is made of a settlement that was written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio
import redis.exceptions

from pipeline.storage import keys
from pipeline.storage.buried import read_tombstones
from pipeline.storage.numbers import TRACE_TRIMMED
from pipeline.storage.scripts import Scripts
from pipeline.tombstones import NO_TOMBSTONES, Tombstones
from pipeline.trace.records import (
    SHARES,
    Block,
    Part,
    Record,
    decode_block,
    encode_block,
    is_buried,
    named,
)

BLOCK = 128
"""Records in one block at most: two milliseconds of CPU, and about the size of a node of a stream."""
OF_MEMORY = 8
"""The log has no more than this part of Redis' memory, over all accounts."""
_SIXTEENTHS = sum(SHARES.values())


@dataclass(frozen=True, slots=True)
class Kept:
    """What is in the log. Times are Unix ms.

    began: when its first record was written, None when there is none. since: for each part, from when on nothing was
    removed for its age or for want of room. lost: when outcomes were lost last, None: never. bytes, records: of all parts.
    """

    began: int | None
    since: Mapping[Part, int]
    lost: int | None
    bytes: int
    records: int

    @classmethod
    def read(cls, fields: Mapping[str, int]) -> Kept:
        """From the fields of the account's `trace_book`."""
        began = fields.get("began")
        since = {part: max(began or 0, fields.get(f"cut:{part}", 0)) for part in Part}

        def total(what: str) -> int:
            return sum(fields.get(f"{what}:{part}", 0) for part in Part)

        return cls(began, since, fields.get("lost"), total("bytes"), total("records"))

    @property
    def complete_since(self) -> int | None:
        """From when on every event is in it whose part is not known; None when there is no log."""
        if self.began is None:
            return None
        return max(*self.since.values(), self.lost or 0)


class TraceLog:
    """Connection errors propagate. A write whose answer was lost may be repeated: a record that is there twice says the same."""

    def __init__(self, client: redis.asyncio.Redis, account: str) -> None:
        self.account = account
        self._redis = client
        self._scripts = Scripts(client, "pipeline.trace")
        self._prefix = keys.account_prefix(account)
        self._buried: Tombstones = NO_TOMBSTONES

    async def write(self, records: Iterable[Record], most: int, *, lost: bool = False) -> None:
        """Append records, in one script, but those of persons who were erased; what is too much goes. most: bytes.
        lost: some before these were not written.

        Raises redis.exceptions.RedisError: Redis is away, or full.
        """
        records, written = tuple(records), False
        while not written:
            kept = [one for one in records if not is_buried(one, self._buried)]
            generation = self._buried.generation
            written = await self._append(kept, most, lost=lost, generation=generation)
            if not written:
                self._buried = await read_tombstones(self._redis, self.account)

    async def _append(
        self, records: Iterable[Record], most: int, *, lost: bool, generation: str
    ) -> bool:
        """generation: which tombstones there were when these records were chosen; False when there are others by now, and
        nothing was written."""
        parts: dict[Part, list[Record]] = {}
        for record in records:
            parts.setdefault(record.part, []).append(record)
        blocks: list[Any] = []
        for part, found in parts.items():
            for start in range(0, len(found), BLOCK):
                block = encode_block(found[start : start + BLOCK])
                blocks += [part.value, block.records, block.names, block.data]
        if not blocks:
            return True
        bounds = _arguments("-", most, lost=lost, generation=generation)
        return int(await self._scripts.run("append", [self._prefix], bounds + blocks)) >= 0

    async def trim(self, keep_s: float | None, most: int) -> None:
        """Remove what is older than that, and what is too much; all of it when it is not to be kept (None)."""
        if keep_s is None:
            await self._redis.unlink(*self._all_keys())
            return
        seconds, _ = await self._redis.time()
        oldest = str(int((seconds - keep_s) * 1000))
        gone = TRACE_TRIMMED
        while gone >= TRACE_TRIMMED:
            arguments = _arguments(oldest, most, lost=False)
            gone = int(await self._scripts.run("append", [self._prefix], arguments))

    async def room(self, most: int, accounts: int) -> int:
        """Bytes it may take: `most`, but no more than its part of what Redis has, which `accounts` share.

        A Redis that does not say what it has bounds nothing.
        """
        try:
            memory = await self._redis.info("memory")
        except redis.exceptions.ResponseError:  # an ACL may forbid it
            return most
        there = int(memory.get("maxmemory", 0)) or int(memory.get("total_system_memory", 0))
        return min(most, there // OF_MEMORY // max(1, accounts)) if there else most

    async def kept(self) -> Kept:
        """What is in it, and since when."""
        found: Any = await self._redis.hgetall(keys.trace_book(self.account))
        return Kept.read({name.decode(): int(value) for name, value in found.items()})

    async def find(
        self,
        names: Collection[bytes],
        *,
        parts: Iterable[Part] = Part,
        most: int = 1_000,
        since_ms: int = 0,
    ) -> list[Record]:
        """Records with one of these names, the oldest first; of each part no more than the `most` newest.

        It looks through all that was written since `since_ms`, in steps of some milliseconds.
        """
        found: list[Record] = []
        for part in parts:
            of_part: list[Record] = []
            async for _, blocks in self.look(part, names, since_ms):
                for _, block in blocks:
                    of_part += reversed(_read(block, names))
                if len(of_part) >= most:
                    break
            found += reversed(of_part[:most])
        return sorted(found, key=lambda one: (one.at, one.accepted))

    async def look(
        self, part: Part, names: Collection[bytes], since_ms: int = 0
    ) -> AsyncIterator[tuple[int, list[tuple[bytes, Block]]]]:
        """Look through a part, the newest first, in steps of some milliseconds: how many records were looked at, and
        the blocks that may hold one of these names, each with its id."""
        at: bytes = b"+"
        while at and (at == b"+" or int(at[1:].partition(b"-")[0]) >= since_ms):
            reply = await self._scripts.run("find", [self._prefix], [part.value, at, *names])
            at, looked, *flat = reply
            rows = zip(flat[::4], flat[1::4], flat[2::4], flat[3::4], strict=True)
            yield (
                int(looked),
                [(sid, Block(int(count), index, data)) for sid, count, index, data in rows],
            )

    async def replace(self, part: Part, sid: bytes, records: Sequence[Record]) -> None:
        """Write these records, as the newest block of the part, in the place of the block `sid`; none remove it."""
        new = encode_block(records) if records else None
        fields: list[Any] = [new.records, new.names, new.data] if new else ["", "", ""]
        await self._scripts.run("replace", [self._prefix], [part.value, sid, *fields])

    def _all_keys(self) -> Sequence[str]:
        return [keys.trace_book(self.account), *(keys.trace(self.account, part) for part in Part)]


def _read(block: Block, names: Collection[bytes]) -> list[Record]:
    """Its records that have one of these names; none when another version has written it."""
    try:
        return list(named(decode_block(block), names))
    except ValueError:
        return []


def _arguments(oldest: str, most: int, *, lost: bool, generation: str = "-") -> list[Any]:
    """What append.lua is told of the bounds."""
    shares = [(part.value, most * share // _SIXTEENTHS) for part, share in SHARES.items()]
    head: list[Any] = ["", oldest, most, int(lost), generation, len(shares)]
    return head + [value for pair in shares for value in pair]
