"""From an outcome to what is written into the mailbox. No I/O."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeAlias, assert_never

from pipeline import retry
from pipeline.clock import Random
from pipeline.counters import Count, counter
from pipeline.deadletters.letter import Header
from pipeline.delivery.context import TurnState, known_address, write_cart
from pipeline.delivery.intents import IntentLog, PendingCart, PendingOrder
from pipeline.delivery.waiting import merged_away
from pipeline.errors import Reason
from pipeline.events.emails import address_key
from pipeline.events.kinds import LANES, ORDERS, Kind, kind_of
from pipeline.events.models import Event, Lane
from pipeline.events.note_paths import counted_path
from pipeline.fields import Note
from pipeline.lanes import SPECS
from pipeline.mailbox.claim import MERGED_KEPT, NEWEST, REFUSED_KEPT, Settlement
from pipeline.mailbox.history import NO_EMAIL, Absence, Attempt, EventState, Failing
from pipeline.mapping.plan import Cart
from pipeline.outcomes import (
    AddressRefused,
    Delivered,
    EmptyCart,
    Ignored,
    Misconfigured,
    OrderMissing,
    Outage,
    Outcome,
    Postponed,
    Rejected,
    Retry,
    Throttled,
    Unfold,
    WaitingForEmail,
    WaitingForIdentify,
    WaitingForMerge,
    WaitingForOrder,
    WaitingForUser,
)
from pipeline.packed import pack
from pipeline.roles import Role
from pipeline.sailthru.calls import Call
from pipeline.settings import AccountSettings
from pipeline.targets import target_of

CART_KEEP_MS = 86_400_000
"""How long our own copy of a non-empty cart may stand in for a look-up that is older."""
EMPTY_CART_KEEP_MS = 30 * 86_400_000
"""How long we know that an order emptied the cart, so that bought items do not come back."""
_FOLLOWS: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.IDENTIFY: "identify",
        Kind.OPTOUT: "optout",
        Kind.CART_ADD: "cart",
        Kind.CART_REMOVE: "cart",
        Kind.NATIVE_USER: "identify",
        Kind.NATIVE_CART: "cart",
    }
)
"""Kinds of event that lose their meaning, or do harm, when they are sent after a later one."""
_WRITES: Mapping[Kind, str] = MappingProxyType(
    {**_FOLLOWS, Kind.ORDER: "cart", Kind.NATIVE_ORDER: "cart"}
)
"""What makes it so; an order empties the cart."""
_WRITING_LANES = frozenset(LANES[kind] for kind in _WRITES)
_DELIVERED = counter(Count.DELIVERED)
_FOLDED = counter(Count.FOLDED)
_RETRIED = counter(Count.RETRIED)
_NOTHING_LEARNED: Mapping[str, str] = MappingProxyType({})
TIMELINE = 50
"""Attempts kept for each event; the count goes on."""
_Waiting: TypeAlias = (
    WaitingForEmail
    | WaitingForUser
    | WaitingForIdentify
    | WaitingForMerge
    | WaitingForOrder
    | EmptyCart
    | OrderMissing
    | Postponed
)


@dataclass(frozen=True, slots=True)
class Settling:
    """What a settlement depends on besides its outcome.

    now_ms: Redis' time, as the owner reckons it. random: for the jitter of retries.
    give_back: the claim ends with this settlement, whatever its outcome.
    """

    settings: AccountSettings
    now_ms: int
    random: Random
    give_back: bool = False

    def after(self, wait_s: float) -> int:
        """When `wait_s` will have passed (ms)."""
        return self.now_ms + max(1, round(wait_s * 1000))


def settlement_for(outcome: Outcome, state: TurnState, settling: Settling) -> Settlement:
    """What to write. Waits and failures give the mailbox back; progress keeps it while it has events.

    An event that stays keeps its intent: a call that certainly did nothing leaves what was on record
    before it. An email that was looked up is learned, whatever became of the event.
    """
    settlement = _settlement(outcome, state, settling)
    learn = settlement.learn
    if state.email is not None:
        # It has no strength: any event that shows an email knows better than a look-up.
        learn = {**learn, "email": state.email}
    if settlement.pop:
        intent, is_last = "", settlement.pop >= len(state.claim.entries)
    else:
        intent, is_last = _pending_after(outcome, state, settling).encode(), False
    back = settlement.back or settling.give_back or is_last
    return replace(
        settlement,
        at=settling.now_ms,
        intent=intent,
        learn=learn,
        back=back,
        failing=_failing_after(outcome, state),
        bulk=_bulk_after(outcome, state),
    )


def _bulk_after(outcome: Outcome, state: TurnState) -> int:
    """What a page's key has sent is tried once as live. Of made-up users it is tried again and again, and would take the
    calls that the key's share of the lane leaves to others."""
    entries = state.claim.entries
    if not isinstance(outcome, Retry | WaitingForUser | WaitingForEmail):
        return 0
    return len(entries) if all(entry.role is Role.BROWSER for entry in entries) else 0


def _settlement(outcome: Outcome, state: TurnState, settling: Settling) -> Settlement:
    match outcome:
        case Delivered():
            return _delivered(outcome, state, settling)
        case Ignored(reason, covers):
            return _through(state, covers, counter(Count.IGNORED, reason))
        case Rejected():
            return _dead(outcome, state, settling)
        case Retry():
            return _retry(outcome, state, settling)
        case Unfold():
            return Settlement(state.claim)
        case AddressRefused(email):
            return Settlement(state.claim, learn=_refused(email, state, settling))
        case Throttled():
            return Settlement(state.claim, back=True, due="old")
        case Misconfigured():
            return _probe_another(state, settling)
        case Outage():
            return _unanswered(state, settling)
        case _:
            return _waiting(outcome, state, settling)


def _refused(email: str, state: TurnState, settling: Settling) -> dict[str, str]:
    refused, name = state.refused, address_key(email)
    kept = [one for one in state.claim.memory.refused.items() if one[0] in refused]
    newest = dict((*kept, (name, settling.now_ms))[-REFUSED_KEPT:])
    return {"refused": json.dumps(newest)}


def _waiting(outcome: _Waiting, state: TurnState, settling: Settling) -> Settlement:
    match outcome:
        case WaitingForEmail(wait_s, asked):
            now, memory = state.claim.clock, state.claim.memory
            absence = Absence(NO_EMAIL, now, memory.identified) if asked else None
            due = settling.after(wait_s)
            return Settlement(state.claim, back=True, due=due, waits="email", absence=absence)
        case WaitingForUser(call, wait_s=wait_s, asked=asked):
            absence = _unknown(outcome, call, state) if asked else None
            due = settling.after(wait_s)
            return Settlement(state.claim, back=True, due=due, waits="user", absence=absence)
        case WaitingForIdentify(wait_s):
            return Settlement(state.claim, back=True, due=settling.after(wait_s), waits="identify")
        case WaitingForMerge(wait_s):
            old = merged_away(state, state.event) if state.event else None
            return Settlement(state.claim, back=True, due=settling.after(wait_s), lift=old)
        case WaitingForOrder(wait_s, reserved):
            due = settling.after(wait_s)
            return Settlement(state.claim, back=True, due=due, waits="order", order=reserved)
        case EmptyCart(wait_s):
            history = replace(state.history, empty_since=state.claim.clock)
            changed = {state.entry.seq: history}
            return Settlement(state.claim, back=True, due=settling.after(wait_s), state=changed)
        case OrderMissing(wait_s):
            return Settlement(state.claim, back=True, due=settling.after(wait_s))
        case Postponed(due_in_s):
            if due_in_s is None:
                return Settlement(state.claim, back=True, due="old")
            return Settlement(state.claim, back=True, due=settling.after(due_in_s))
        case _:
            assert_never(outcome)


def _unknown(said: WaitingForUser | Rejected, call: Call, state: TurnState) -> Absence:
    """The profile that Sailthru has just said it does not have."""
    known, now = state.claim.memory.identified, state.claim.clock
    return Absence(call.profile, now, known, said.detail, said.status, said.code)


def _failing_after(outcome: Outcome, state: TurnState) -> Failing | None:
    """Since when an endpoint has failed for this mailbox: the next head inherits it, until the endpoint answers."""
    failing = state.claim.failing
    match outcome:
        case Retry(call=Call(bucket=bucket)):
            is_same = failing is not None and failing.bucket == bucket
            return failing if is_same else Failing(bucket, state.claim.clock)
        case Rejected(Reason.EXHAUSTED | Reason.CART_LOOKUP_FAILED):
            return failing
        case Delivered(call=call) | Rejected(call=call) | WaitingForUser(call=call):
            is_answered = failing is not None and call is not None and call.bucket == failing.bucket
            return None if is_answered else failing
        case _:
            return failing


def _pending_after(outcome: Outcome, state: TurnState, settling: Settling) -> IntentLog:
    now = settling.now_ms / 1000
    match outcome:
        case OrderMissing():
            return state.intents.missed(now)
        case Retry() | Outage():
            return state.intents.ended(now, unanswered=outcome.ambiguous)
        case _:
            return state.intents.ended(now, unanswered=False)


def _through(
    state: TurnState,
    covers: int,
    counter: str | None = None,
    learn: Mapping[str, str] = _NOTHING_LEARNED,
) -> Settlement:
    """The first events leave the mailbox. Mailboxes of other lanes that waited for them are woken."""
    count, wake = {counter: covers} if counter else {}, SPECS[state.claim.lane].wakes
    return Settlement(state.claim, pop=covers, count=count, learn=learn, wake=wake)


def _delivered(outcome: Delivered, state: TurnState, settling: Settling) -> Settlement:
    learn: dict[str, str] = _newest(outcome, state, settling)
    if SPECS[state.claim.lane].identifies:
        learn["identified"] = str(settling.now_ms)
    if outcome.merged:
        others = [one for one in state.claim.memory.merged if one != outcome.merged]
        learn["merged"] = json.dumps((*others, outcome.merged)[-MERGED_KEPT:])
    if outcome.last_identify is not None:
        last = outcome.last_identify
        learn["last_identify"] = json.dumps([last.email, last.key, last.id])
    settlement = _through(state, outcome.covers, _DELIVERED, learn)
    beside = _count_notes(outcome.notes)
    if outcome.covers > 1:
        beside[_FOLDED] = outcome.covers - 1
    if beside:
        settlement = replace(settlement, count={**settlement.count, **beside})
    if outcome.cart_after is None:
        return settlement
    settlement = _with_cart(settlement, outcome.cart_after, settling.now_ms)
    # A call that only found the order names no address.
    email = (outcome.call and outcome.call.address) or known_address(state)
    return replace(settlement, cart_of=email)


def _count_notes(notes: Sequence[Note]) -> Counter[str]:
    return Counter(counter(Count.NOTES, counted_path(note.path)) for note in notes)


def _newest(outcome: Delivered, state: TurnState, settling: Settling) -> dict[str, str]:
    """When what is now delivered first came, so that what died before it is overtaken."""
    if state.event is None or state.claim.lane not in _WRITING_LANES:
        return {}
    what = _WRITES.get(kind_of(state.event, settling.settings))
    if what is None:
        return {}
    claim = state.claim
    newest = max(entry.first or entry.at for entry in claim.entries[: outcome.covers])
    return {NEWEST + what: str(newest)} if newest > claim.memory.newest.get(what, 0) else {}


def _dead(no: Rejected, state: TurnState, settling: Settling) -> Settlement:
    now_ms, settings = settling.now_ms, settling.settings
    intents = state.intents.ended(now_ms / 1000, unanswered=no.ambiguous)
    # A letter carries the intent of an order only: it is looked up by its extid at any time.
    is_order = isinstance(intents.pending, PendingOrder)
    header = _header(no, state, settling, intents.encode() if is_order else "")
    packed = pack(state.entry.raw)
    line = replace(header, packed=packed is not None).as_line()
    settlement = replace(_through(state, 1), dead=((1, state.entry.id, line),))
    settlement = replace(settlement, packed=(packed or "",))
    if no.reason is Reason.UNKNOWN_USER and no.sent and no.call is not None:
        settlement = replace(settlement, absence=_unknown(no, no.call, state))
    if isinstance(intents.pending, PendingCart):
        # What dies here may be in Sailthru's cart. It counts for nothing: what was there before is the
        # cart from now on, for the next change and for the replay of this one. The lost call may be
        # carried out even later than now.
        until_ms = now_ms + int(settings.read_lag * 1000) + 1000
        return _with_cart(settlement, Cart(intents.pending.base), until_ms)
    return settlement


def _header(no: Rejected, state: TurnState, settling: Settling, pending: str) -> Header:
    claim, entry, event, settings = state.claim, state.entry, state.event, settling.settings
    history, now_ms = state.history, settling.now_ms
    if no.call is not None and no.sent:
        history = _append(history, no.detail, no.status, no.duration_s, now_ms, 0.0)
    return Header(
        account=claim.account,
        lane=claim.lane,
        user=claim.user,
        type=event.type if event else None,
        event=getattr(event, "event", None),
        reason=no.reason,
        detail=no.detail,
        endpoint=no.call.bucket if no.call else None,
        status=no.status,
        error=no.code,
        attempts=history.tried,
        first_seen_ms=entry.first or entry.at,
        died_at=now_ms,
        calls=[no.call.as_json()] if no.call else [],
        timeline=history.attempts,
        pending_intent=pending,
        key=entry.key,
        shared_ids=entry.shared_ids,
        optout=entry.optout,
        role=entry.role.said,
        order=_may_be_order(event, claim.lane, settings),
        awaits_email=no.reason is Reason.MISSING_EMAIL and _is_revived_by_email(event, settings),
        follows=_FOLLOWS.get(kind_of(event, settings), "") if event else "",
        target=target_of(settings).name,
    )


def _is_revived_by_email(event: Event | None, settings: AccountSettings) -> bool:
    """Whether its email, learned late, sends it by itself.

    An order is worth telling Sailthru at any time. An old cart is not. A deletion must not run by
    surprise at the next sign-in.
    """
    return event is not None and kind_of(event, settings) in ORDERS


def _may_be_order(event: Event | None, lane: Lane, settings: AccountSettings) -> bool:
    """Whether a letter may hold an order or refund: of an event that was never read only the lane is known."""
    return lane is Lane.PURCHASE if event is None else kind_of(event, settings) in ORDERS


def _with_cart(settlement: Settlement, cart: Cart, now_ms: int) -> Settlement:
    keep_ms = CART_KEEP_MS if cart.items else EMPTY_CART_KEEP_MS
    return replace(settlement, cart=write_cart(cart, now_ms / 1000), cart_keep_ms=keep_ms)


def _retry(failure: Retry, state: TurnState, settling: Settling) -> Settlement:
    claim, now_ms = state.claim, settling.now_ms
    bucket = failure.call.bucket if failure.call else ""
    wait = retry.backoff(state.history.tried + 1, settling.settings, settling.random)
    states: dict[str, EventState] = {}
    for entry in claim.entries[: failure.covers]:
        before = claim.state(entry)
        tried = _append(before, failure.error, failure.status, failure.duration_s, now_ms, wait)
        since = claim.failing_since(entry, bucket)
        states[entry.seq] = replace(tried, failing_since=claim.clock if since is None else since)
    count = {_RETRIED: len(states)}
    return Settlement(claim, count=count, back=True, due=settling.after(wait), state=states)


def _probe_another(state: TurnState, settling: Settling) -> Settlement:
    """A probe that failed lets another one probe next: this event may be all that is wrong."""
    return Settlement(state.claim, back=True, due=settling.now_ms if state.claim.probe else "old")


def _unanswered(state: TurnState, settling: Settling) -> Settlement:
    """No attempt is used up. But if others are answered from now on, it was the event's own failure."""
    settlement, history = _probe_another(state, settling), state.history
    if history.unanswered_since is not None:
        return settlement
    failed = replace(history, unanswered_since=state.claim.clock)
    return replace(settlement, state={state.entry.seq: failed})


def _append(
    state: EventState,
    error: str,
    status: int | None,
    duration_s: float,
    now_ms: int,
    wait_s: float,
) -> EventState:
    attempt = Attempt(
        n=state.attempts[-1].n + 1 if state.attempts else 1,
        at=now_ms / 1000,
        duration_s=round(duration_s, 3),
        status=status,
        error=error,
        wait_s=round(wait_s, 3),
    )
    return replace(state, tried=state.tried + 1, attempts=(*state.attempts, attempt)[-TIMELINE:])
