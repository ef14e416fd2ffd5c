"""What waits in one person's mailbox: each event, what it waits for, when it is tried next and when its wait ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, TypeAlias

import redis.asyncio

from pipeline import retry
from pipeline.clock import iso
from pipeline.errors import InvalidEvent
from pipeline.events.models import Lane, parse_event
from pipeline.gates.gates import Closure, Gates
from pipeline.lanes import SPECS
from pipeline.mailbox.claim import STATE, Entry
from pipeline.mailbox.history import EventState
from pipeline.settings import AccountSettings
from pipeline.storage import keys
from pipeline.storage.numbers import SOUGHT_ENTRIES
from pipeline.trace.names import event_order

Json: TypeAlias = dict[str, Any]
SHOWN = 20
"""Events of one mailbox that are shown."""


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of a mailbox beside its entries. Times are Unix ms.

    waits: what its first event waits for, as its last owner wrote down. due: when it is looked at next, None: it is leased,
    or not there. stopped: for how long the lane's clock has stood still.
    """

    waits: str
    due: int | None
    leased: bool
    stopped: int


def cause(head: Head, state: EventState, now_ms: int, gate: str | None) -> str:
    """Why the first event of a mailbox is not through: one of CAUSES. No I/O.

    gate: why its lane is closed, None while it is open.
    """
    if head.leased:
        return "under_way"
    is_later = head.due is not None and head.due > now_ms
    if is_later and head.waits:
        return head.waits
    if is_later and state.tried:
        return "retry"
    if gate is not None:
        return "gate"
    return "later" if is_later else "turn"


CAUSES: Mapping[str, str] = {
    "email": "an email of its person",
    "user": "Sailthru to know its person",
    "identify": "an earlier identify of its person",
    "order": "the same order in another mailbox",
    "retry": "its next try, after a failure",
    "gate": "deliveries to go on, which are stopped",
    "later": "the time at which it is looked at again",
    "turn": "its turn",
    "under_way": "the answer to a call, or the settlement of it",
    "behind": "the events before it",
}
"""What an event may wait for, as it is said to people."""


AT_THE_END: Mapping[str, str] = {
    "email": "given up",
    "user": "given up",
    "identify": "goes out without it",
}
"""What becomes of an event when its wait ends, of the causes whose wait does."""


def ends_at(why: str, entry: Entry, head: Head, settings: AccountSettings) -> int | None:
    """When the wait ends (Unix ms) if the lane stays open till then; None where nothing ends it. No I/O."""
    seconds = {
        "email": settings.email_wait,
        "user": settings.user_wait,
        "identify": retry.IDENTIFY_WAIT_S,
    }.get(why)
    return None if seconds is None else int(entry.clock + seconds * 1000) + head.stopped


async def read_mailbox(
    client: redis.asyncio.Redis,
    settings: AccountSettings,
    lane: Lane,
    user: str,
    ids: Set[str] | None = None,
) -> tuple[int, list[Json]]:
    """How many events wait in a mailbox, and the first of them, each as an object. ids: only those, from wherever they lie."""
    account = settings.name
    async with client.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.lrange(
            keys.mail(account, lane, user), 0, (SHOWN if ids is None else SOUGHT_ENTRIES) - 1
        )
        pipe.llen(keys.mail(account, lane, user))
        pipe.hgetall(keys.mailbox_state(account, lane, user))
        for name in (keys.due, keys.due_bulk, keys.leased):
            pipe.zscore(name(account, lane), user)
        pipe.hmget(keys.lane(account, lane.value), "stopped", "closed", "tick")
        (seconds, micros), blobs, length, state, due, bulk, leased, clock = await pipe.execute()
    if not length:
        return 0, []
    now_ms = seconds * 1000 + micros // 1000
    closures = await Gates(client, account).closures(SPECS[lane].scopes, now_ms)
    when = due if due is not None else bulk
    head = Head(
        state.get(b"waits", b"").decode(),
        None if when is None else int(when),
        leased is not None,
        stopped_ms(clock, now_ms),
    )
    entries = [Entry.decode(blob) for blob in blobs]
    rows = [_row(one, at, state) for at, one in enumerate(entries)]
    _explain_head(rows[0], entries[0], state, head, settings, closures, now_ms)
    return length, [row for row, one in zip(rows, entries, strict=True) if _is_meant(one, ids)]


def _is_meant(entry: Entry, ids: Set[str] | None) -> bool:
    return ids is None or entry.id in ids or bool(ids & _own_ids(entry))


def _own_ids(entry: Entry) -> set[str | None]:
    try:
        event = parse_event(entry.raw)
    except InvalidEvent:
        return set()
    return {event.message_id, event_order(event)}


def stopped_ms(clock: Sequence[bytes | None], now_ms: int) -> int:
    """For how long a lane's clock has stood still, from `stopped`, `closed` and `tick` of its hash (`keys.lane`)."""
    stopped, closed, tick = clock
    more = max(0, now_ms - int(tick or now_ms)) if closed == b"1" else 0
    return int(stopped or 0) + more


def _state(entry: Entry, state: Mapping[bytes, bytes]) -> EventState:
    text = state.get(f"{STATE}{entry.seq}".encode())
    return EventState.decode(text) if text else EventState()


def _row(entry: Entry, position: int, state: Mapping[bytes, bytes]) -> Json:
    try:
        event = parse_event(entry.raw)
        what = getattr(event, "event", None) or event.type
    except InvalidEvent:
        what = None
    own = _state(entry, state)
    return {
        "id": entry.id,
        "what": what,
        "arrived": iso(entry.at),
        "via": entry.came_by.value,
        "seq": entry.seq,
        "ahead": position,
        "waits_for": "behind",
        "next_try": None,
        "ends": None,
        "tries": own.tried,
        "last_error": own.attempts[-1].error if own.attempts else None,
    }


def _explain_head(
    row: Json,
    entry: Entry,
    state: Mapping[bytes, bytes],
    head: Head,
    settings: AccountSettings,
    closures: Sequence[Closure],
    now_ms: int,
) -> None:
    """What the first event waits for, in its row."""
    gate = closures[0] if closures else None
    why = cause(head, _state(entry, state), now_ms, gate.reason if gate else None)
    ends = ends_at(why, entry, head, settings)
    is_later = head.due is not None and head.due > now_ms
    row |= {
        "waits_for": why,
        "next_try": iso(head.due) if head.due is not None and is_later else None,
        "ends": iso(ends) if ends is not None else None,
        "gate": gate.reason if gate else None,
    }
