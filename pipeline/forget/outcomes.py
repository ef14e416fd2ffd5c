"""The log of outcomes: records of the person go, and their names out of the records of others.

A block cannot be changed where it lies. What else was in it is written anew, as the newest, so that it may be kept for up to
TRACE_KEEP longer than the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.forget.spaces import Space
from pipeline.forget.work import Work
from pipeline.trace.log import TraceLog
from pipeline.trace.records import Block, Part, Record, decode_block

NAMES = 4
"""Names that are looked for at a time."""


async def sweep_outcomes(work: Work) -> None:
    """All parts of the log."""
    names, log = sorted(work.person.names), TraceLog(work.redis, work.account)
    for part in Part:
        for start in range(0, len(names), NAMES):
            async for looked, blocks in log.look(part, names[start : start + NAMES]):
                work.see(Space.OUTCOMES, looked if start == 0 else 0)
                for sid, block in blocks:
                    kept = _kept(work, block)
                    if kept is not None and work.removes:
                        await log.replace(part, sid, kept)


def _kept(work: Work, block: Block) -> Sequence[Record] | None:
    """What stays of a block; None where it stays as it is. One that was written by another version, and cannot be read,
    goes as a whole."""
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
    return kept if found else None


def _without_names(work: Work, record: Record) -> Record:
    if work.person.names.isdisjoint(record.names):
        return record
    return record._replace(names=tuple(one for one in record.names if one not in work.person.names))
