"""What the log of outcomes says of entries that the splitter put into no mailbox. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pydantic_core import from_json

from pipeline.events.kinds import LANES, IgnoreReason
from pipeline.events.models import Event
from pipeline.splitter.entries import (
    ActionKind,
    Moved,
    Read,
    RoutedEntry,
    SplitAction,
)
from pipeline.storage.keys import account_of
from pipeline.trace.names import event_names
from pipeline.trace.records import Fate, Record, labels_said

_ALIKE = frozenset({IgnoreReason.REFUSED_BY_ROLE.value})
"""Reasons of which only the number is kept: any visitor of a page can make any number of such events."""


class SplitBatch(NamedTuple):
    """Entries that were split: as they were read, what was to become of them, and of which that did not come true."""

    items: Sequence[Read]
    routed: Sequence[RoutedEntry]
    moved: Moved


def split_records(batch: SplitBatch) -> Iterator[tuple[str, Record]]:
    """A record, with its account, of each entry that is in no mailbox now."""
    for item, one in zip(batch.items, batch.routed, strict=True):
        action, sid = one.action, one.sid.encode()
        if sid in batch.moved.gone:
            continue
        if sid in batch.moved.duplicates:
            yield _record(item, action, Fate.DUPLICATE, "")
        elif action.kind is ActionKind.IGNORED and action.reason not in _ALIKE:
            yield _record(item, action, Fate.IGNORED, action.reason)
        elif action.kind in {ActionKind.DEAD, ActionKind.HELD}:
            header = from_json(one.blob.partition(b"\n")[0])
            yield _record(item, action, Fate.DEAD, header["reason"])


def _record(item: Read, action: SplitAction, fate: Fate, reason: str) -> tuple[str, Record]:
    entry, event = item.entry, item.event
    record = Record(
        id=action.key.id,
        fate=fate,
        what=getattr(event, "event", event.type) if event else "",
        lane=_lane(event),
        user=action.box,
        seq=entry.sid,
        accepted=entry.at_ms,
        at=entry.at_ms,
        reason=reason,
        way=labels_said(entry.role, bulk=entry.bulk, replay=bool(entry.replay)),
        via=entry.via.value,
        names=event_names(action.key.id, event, (action.box,)),
    )
    return account_of(action.key.p), record


def _lane(event: Event | None) -> str:
    lane = LANES.get(event.kind) if event else None
    return lane.value if lane else ""
