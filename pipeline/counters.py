"""Every counter of an account, named once: for the scripts that count, for `status`, and for whatever shows them next.

A counter is a field of the hash `counts` (pipeline/storage/keys.py). One that is counted by reason or lane has a
field for each, `dead:rejected`, say. Names are added, never changed: people build on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from pipeline.errors import Reason
from pipeline.events.emails import SharedBy
from pipeline.events.kinds import IgnoreReason
from pipeline.events.models import TYPES, Lane
from pipeline.events.note_paths import COUNTED_PATHS
from pipeline.ways_in import WayIn


class Count(StrEnum):
    """What is counted."""

    DELIVERED = "delivered"
    """Sailthru took it."""
    DEAD = "dead"
    """By reason: it is a dead letter now."""
    IGNORED = "ignored"
    """By reason: it is not for Sailthru."""
    DUPLICATES = "duplicates"
    """The splitter dropped it as a repeat."""
    WAITING = "waiting"
    """By lane: it is in a mailbox now."""
    DERIVED = "derived"
    """A second entry was made of an event, for its optoutValue. It is counted again by what becomes of it."""
    REMOVED = "removed"
    """Its letter was dropped or took too much room, another copy took its place, or it was removed while it waited."""
    TRIMMED = "trimmed"
    """By reason: of those removed, letters that went because there were more than DEAD_MAX."""
    ORDER_ID_REUSED = "order_id_reused"
    """Of those delivered, orders with the id of another basket or person."""
    FOLDED = "folded"
    """Of those delivered, events that needed no call of their own: one call told of them and of others."""
    NOTES = "notes"
    """By path: fields that delivered events went out without, or with in part."""
    SHARED_IDS = "shared_ids"
    """By what makes it so: events with an id that many people share."""
    CAME_IN = "came_in"
    """By way and type: entries of the raw stream that the splitter has taken, whatever became of them."""
    RETRIED = "retried"
    """Tries of events that failed, and after which another one is made. An outage, behind a closed gate, is none."""
    UNCHECKED_USERS = "unchecked_users"
    """Requests that were taken though Sailthru could not be asked whether it knows their user."""


PARTS: Mapping[Count, Iterable[str]] = MappingProxyType(
    {
        Count.DEAD: Reason,
        Count.IGNORED: IgnoreReason,
        Count.WAITING: Lane,
        Count.TRIMMED: Reason,
        Count.NOTES: COUNTED_PATHS,
        Count.SHARED_IDS: SharedBy,
        Count.CAME_IN: tuple(f"{way}:{type_}" for way in WayIn for type_ in TYPES),
    }
)
"""What a counter is divided by. One that is not here is a single number."""
BESIDE = frozenset(
    {
        Count.TRIMMED,
        Count.ORDER_ID_REUSED,
        Count.FOLDED,
        Count.NOTES,
        Count.SHARED_IDS,
        Count.CAME_IN,
        Count.RETRIED,
        Count.UNCHECKED_USERS,
    }
)
"""Counters that say more of events which another one counts."""
OUTCOME_COUNTS = tuple(count for count in Count if count not in BESIDE | {Count.DERIVED})
"""Every accepted or derived event is in exactly one of these, or in the raw stream: what `status` adds up."""


def counter(count: Count, part: str | None = None) -> str:
    """The field of a counter; `part` is the reason, lane or path of one that has parts."""
    return count.value if part is None else f"{count.value}:{part}"


def all_counters() -> frozenset[str]:
    """Every field that the hash may have."""
    whole = {counter(count) for count in Count if count not in PARTS}
    return frozenset(
        whole | {counter(count, part) for count, parts in PARTS.items() for part in parts}
    )


@dataclass(frozen=True, slots=True)
class Counters:
    """An account's counters as they were read at one moment, by field."""

    fields: Mapping[str, int]

    @classmethod
    def read(cls, flat: Sequence[bytes]) -> Counters:
        """From what HGETALL answers in a script: field, value, field, value ..."""
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return cls({name.decode(): int(value) for name, value in pairs})

    def total(self, count: Count) -> int:
        """All that was counted, whatever its reason or lane."""
        if count in PARTS:
            return sum(self.by_part(count).values())
        return self.fields.get(count.value, 0)

    def read_out(self, count: Count) -> int | dict[str, int]:
        """As people and programs are shown it: by part, or as a number."""
        return self.by_part(count) if count in PARTS else self.total(count)

    def by_part(self, count: Count) -> dict[str, int]:
        """By reason or lane, in order of their names; nothing that is zero."""
        prefix = f"{count.value}:"
        parts = (
            (name.removeprefix(prefix), n)
            for name, n in self.fields.items()
            if name.startswith(prefix)
        )
        return {part: n for part, n in sorted(parts) if n}
