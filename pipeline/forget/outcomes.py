"""The log of outcomes: records of the person go, and their names out of the records of others.

A block cannot be changed where it lies. What else was in it is written anew, as the newest, so that it may be kept for up to
TRACE_KEEP longer than the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.forget.spaces import Space
from pipeline.forget.work import Work
from pipeline.trace.records import Block, Part, Record, decode_block, encode_block

NAMES = 4
"""Names that are looked for at a time."""


async def sweep_outcomes(work: Work) -> None:
    """All parts of the log."""
    names = sorted(work.person.names)
    for part in Part:
        for start in range(0, len(names), NAMES):
            await _sweep_part(work, part, names[start : start + NAMES], counts=start == 0)


async def _sweep_part(work: Work, part: Part, names: Sequence[bytes], *, counts: bool) -> None:
    at: bytes = b"+"
    while at:
        at, looked, *flat = await work.run("blocks", [part.value, at, *names])
        work.see(Space.OUTCOMES, int(looked) if counts else 0)
        rows = zip(flat[::4], flat[1::4], flat[2::4], flat[3::4], strict=True)
        for sid, count, index, data in rows:
            await _sweep_block(work, part, sid, Block(int(count), index, data))


async def _sweep_block(work: Work, part: Part, sid: bytes, block: Block) -> None:
    """A block that was written by another version, and cannot be read, goes as a whole."""
    try:
        records = list(decode_block(block))
    except ValueError:
        records = []
    theirs = [one for one in records if work.person.has(one)]
    for one in theirs:
        work.order_names.update(set(one.names) - work.person.names)
    others = [one for one in records if not work.person.has(one)]
    kept = [_without_names(work, one) for one in others]
    found = len(theirs) + sum(one != was for one, was in zip(kept, others, strict=True))
    found += not records
    work.see(Space.OUTCOMES, 0, theirs=found)
    if found and work.removes:
        new = encode_block(kept) if kept else None
        fields: list[Any] = [new.records, new.names, new.data] if new else ["", "", ""]
        await work.run("replace_block", [part.value, sid, *fields])


def _without_names(work: Work, record: Record) -> Record:
    if work.person.names.isdisjoint(record.names):
        return record
    return record._replace(names=tuple(one for one in record.names if one not in work.person.names))
