"""What the log of outcomes says of a settlement. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pipeline.events.models import Event
from pipeline.mailbox.claim import Claim, Entry, Settlement
from pipeline.outcomes import (
    Delivered,
    EmptyCart,
    Ignored,
    Misconfigured,
    OrderMissing,
    Outage,
    Outcome,
    Rejected,
    Retry,
    Throttled,
    WaitingForEmail,
    WaitingForOrder,
    WaitingForUser,
)
from pipeline.trace.names import event_names
from pipeline.trace.records import Fate, MadeCall, Record, labels_said

_WAITS: Mapping[type, str] = {
    WaitingForEmail: "email",
    WaitingForUser: "user",
    WaitingForOrder: "order",
    EmptyCart: "cart",
    OrderMissing: "order_unverified",
    Retry: "retry",
    Throttled: "throttled",
    Misconfigured: "misconfigured",
    Outage: "circuit",
}
"""Waits that are written down. Waiting for an identify is not, which ends within a minute: the mailbox says it."""


class Settled(NamedTuple):
    """A settlement that was written, and what it came from.

    claim: before it. events: those of the claim that were read, by `seq`. calls: what was called for its first events:
    endpoint, HTTP status, seconds, and when it ended (Unix ms). at: when it was settled (Unix ms).
    """

    claim: Claim
    outcome: Outcome
    settlement: Settlement
    events: Mapping[str, Event]
    calls: Sequence[tuple[str, int | None, float, int]]
    at: int


def settled_records(one: Settled) -> Iterator[tuple[str, Record]]:
    """A record, with its account, of each event that left the mailbox, or of the one that waits at its head."""
    claim, outcome, settlement = one.claim, one.outcome, one.settlement
    match outcome:
        case Delivered():
            fate, reason = Fate.DELIVERED, ""
        case Ignored():
            fate, reason = Fate.IGNORED, str(outcome.reason)
        case Rejected():
            fate, reason = Fate.DEAD, str(outcome.reason)
        case _:
            waits = _WAITS.get(type(outcome))
            if waits is not None:
                yield claim.account, _record(one, claim.head, Fate.WAITS, waits)
            return
    fold = claim.head.seq if settlement.pop > 1 else ""
    for entry in claim.entries[: settlement.pop]:
        yield claim.account, _record(one, entry, fate, reason, fold)


def _record(one: Settled, entry: Entry, fate: Fate, reason: str, fold: str = "") -> Record:
    claim, due, event = one.claim, one.settlement.due, one.events.get(entry.seq)
    return Record(
        id=entry.id,
        fate=fate,
        what=getattr(event, "event", event.type) if event else "",
        lane=claim.lane.value,
        user=claim.user,
        seq=entry.seq,
        accepted=entry.at,
        at=one.at,
        reason=reason,
        due=due if fate is Fate.WAITS and isinstance(due, int) else 0,
        calls=[MadeCall(name, status, int(s * 1000), at) for name, status, s, at in one.calls],
        tries=claim.state(entry).tried + (fate is Fate.WAITS and reason == "retry"),
        fold=fold,
        way=labels_said(entry.role, bulk=claim.bulk, replay=entry.replay),
        via=entry.came_by.value,
        names=event_names(entry.id, event, (claim.user, claim.memory.email)),
    )
