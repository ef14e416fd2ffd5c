"""What the log of outcomes says of one event, and how many of these lie together in a block. No I/O.

A block is two texts: the index, NAME_BYTES for each name of each record, and the records, column by column, as
compressed JSON. An email is in the index alone, as part of a hash.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from pipeline.lanes import Lane
from pipeline.roles import Role
from pipeline.tombstones import Tombstones
from pipeline.trace.names import NAME_BYTES, person_name

LEVEL = 1
"""Of zlib. Most of a record are ids, which no level makes smaller."""


class Fate(StrEnum):
    """What became of an event, as far as this record knows."""

    DELIVERED = "delivered"
    IGNORED = "ignored"
    DUPLICATE = "duplicate"
    DEAD = "dead"
    REMOVED = "removed"
    WAITS = "waits"


class Part(StrEnum):
    """Each is kept apart and has room of its own, in the order in which they lose what is too much."""

    PAGE = "page"
    EVENT = "event"
    USER = "user"
    DEAD = "dead"
    ORDER = "order"


SHARES = {Part.PAGE: 2, Part.EVENT: 3, Part.USER: 3, Part.DEAD: 3, Part.ORDER: 5}
"""Of the room, in sixteenths: what a part keeps whatever the others hold. What it does not use they may."""
_PART_OF = {
    Lane.PAGE: Part.PAGE,
    Lane.EVENT: Part.EVENT,
    Lane.USER: Part.USER,
    Lane.PURCHASE: Part.ORDER,
}


class MadeCall(NamedTuple):
    """A call that was answered, or not: its endpoint (`POST /event`), the HTTP status (None without an answer), how
    long it took and when it ended (Unix ms)."""

    endpoint: str
    status: int | None
    ms: int
    at: int


class Record(NamedTuple):
    """What became of one event.

    id: its messageId, or that of the letter or second entry it was.
    what: the name of a track, else the event's type; '' when it was never read.
    lane, user: of its mailbox; '' when it never had one.
    seq: where it stands in the order of arrival, `ms-n`; accepted: when that was (Unix ms).
    at: when this was written down (Unix ms).
    reason: why it was ignored or died, or what it waits for. due: when it is tried again (Unix ms, 0: nothing is said).
    calls: those that were made for it since the record before. tries: attempts that failed so far.
    fold: `seq` of the first event that went out in the same call, '' when it went alone.
    way: how it came: the role of its write key, `bulk`, `replay`, space-separated; '' is a live event of a server.
    via: the way by which it came (pipeline/ways_in.py); '' where the version that wrote the record did not know.
    names: what it is found by, in the index only (names.py).
    """

    id: str
    fate: Fate
    what: str = ""
    lane: str = ""
    user: str = ""
    seq: str = ""
    accepted: int = 0
    at: int = 0
    reason: str = ""
    due: int = 0
    calls: Sequence[MadeCall] = ()
    tries: int = 0
    fold: str = ""
    way: str = ""
    via: str = ""
    names: Collection[bytes] = ()

    @property
    def part(self) -> Part:
        """Where it is kept."""
        if self.fate is Fate.DEAD and self.lane != Lane.PURCHASE:
            return Part.DEAD
        return _PART_OF[Lane(self.lane)] if self.lane else Part.EVENT


class Block(NamedTuple):
    """Some records of one part as they lie in Redis."""

    records: int
    names: bytes
    data: bytes


def encode_block(records: Sequence[Record]) -> Block:
    """Records as a block; there must be some. `at` is kept as a difference: it compresses better."""
    index = b"".join([name for one in records for name in one.names])
    rows = [(*one[:7], one.at - one.accepted, *one[8:15], len(one.names)) for one in records]
    data = zlib.compress(to_json(list(zip(*rows, strict=True))), LEVEL)
    return Block(len(records), index, data)


def decode_block(block: Block) -> Iterator[Record]:
    """The records of a block, with their names.

    Raises:
        ValueError: it is no block of this version.
    """
    try:
        columns = from_json(zlib.decompress(block.data))
        offset = 0
        for *fields, count in zip(*columns, strict=True):
            end = offset + count * NAME_BYTES
            yield _record(fields, block.names[offset:end])
            offset = end
    except (zlib.error, TypeError, ValueError) as error:
        raise ValueError(type(error).__name__) from None


def _record(fields: Sequence[Any], index: bytes) -> Record:
    identity, fate, what, lane, user, seq, accepted, took, reason, due, calls, *rest = fields
    tries, fold, way, *later = rest
    via = later[0] if later else ""
    names = tuple(index[at : at + NAME_BYTES] for at in range(0, len(index), NAME_BYTES))
    made = tuple(MadeCall(*call) for call in calls)
    head = identity, Fate(fate), what, lane, user, seq, accepted, accepted + took
    return Record(*head, reason, due, made, tries, fold, way, via, names)


def is_buried(record: Record, buried: Tombstones) -> bool:
    """Whether its person was erased after its event was accepted."""
    if not buried.until or not record.seq:
        return False
    whose = [person_name(record.user)] if record.user else record.names
    return any(buried.buries_name(name, record.seq) for name in whose)


def named(records: Iterable[Record], names: Collection[bytes]) -> Iterator[Record]:
    """Those that have one of these names."""
    return (one for one in records if not set(names).isdisjoint(one.names))


def labels_said(role: Role, *, bulk: bool, replay: bool) -> str:
    """What a record of an outcome says of an event's labels beside its way; nothing where all are as usual."""
    if role is Role.SERVER and not bulk and not replay:
        return ""
    return " ".join(filter(None, (role.said, "bulk" if bulk else "", "replay" if replay else "")))
