"""From an outcome to what is written into the mailbox. Pure."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import assert_never

from pipeline import retry
from pipeline.clock import Random
from pipeline.deadletters.letter import Header
from pipeline.delivery.fate import age_s
from pipeline.delivery.known import write_cart
from pipeline.delivery.marks import CartMark, read_mark
from pipeline.delivery.waiting import hold_of
from pipeline.errors import Reason
from pipeline.events import Event, Lane
from pipeline.kinds import Kind, kind_of
from pipeline.mailbox.claim import Claim, Deed
from pipeline.mailbox.entry import MERGED_KEPT, Attempt, EventState
from pipeline.mapping.plan import Cart
from pipeline.outcomes import (
    Delivered,
    Held,
    Ignored,
    Misconfigured,
    Outage,
    Outcome,
    Postponed,
    Rejected,
    Retry,
    Single,
    Throttled,
    WaitingForEmail,
    WaitingForUser,
)
from pipeline.settings import AccountSettings

CART_KEEP_MS = 86_400_000
"""How long our own copy of a non-empty cart may stand in for a look-up that is older."""
EMPTY_CART_KEEP_MS = 30 * 86_400_000
"""How long we know that an order emptied the cart, so that bought items do not come back."""
_FOLLOWS = {Kind.IDENTIFY: "identify", Kind.CART_ADD: "cart", Kind.CART_REMOVE: "cart"}
"""What loses its meaning, or does harm, when it is sent after a later one."""
_WRITES = {**_FOLLOWS, Kind.ORDER: "cart"}
"""What makes it so; an order empties the cart."""
TIMELINE = 50
"""Attempts kept for each event; the count goes on."""


def deed_of(
    outcome: Outcome,
    claim: Claim,
    head: Event | None,
    settings: AccountSettings,
    now_ms: int,
    random: Random,
) -> Deed:
    """What to settle. Waits and failures give the mailbox back; progress keeps it."""
    match outcome:
        case Delivered():
            return _delivered(outcome, claim, head, settings, now_ms)
        case Ignored(reason, covers):
            return _through(claim, covers, f"ignored:{reason}")
        case Rejected():
            return _dead(outcome, claim, head, settings, now_ms)
        case Retry():
            return _retry(outcome, claim, settings, now_ms, random)
        case WaitingForEmail():
            return _wait_for_email(claim, settings, now_ms)
        case WaitingForUser():
            return _wait_for_user(claim, settings, now_ms)
        case Held(wait_s, waits):
            return _held(claim, waits, now_ms + int(wait_s * 1000))
        case Postponed(due_in_s):
            return Deed(back=True, due="old" if due_in_s is None else now_ms + int(due_in_s * 1000))
        case Throttled():
            return Deed(back=True, due="old")
        case Misconfigured():
            return _probe_another(claim, now_ms)
        case Outage():
            return _unanswered(claim, now_ms)
        case Single():
            return Deed()
        case _:
            assert_never(outcome)


def _through(claim: Claim, covers: int, counter: str | None = None) -> Deed:
    """The first events leave the mailbox, and nobody has to wait for them any more."""
    deed = Deed(pop=covers, count={counter: covers} if counter else {}, intent="")
    if claim.lane is Lane.USER:
        deed.wake = (Lane.EVENT, Lane.PURCHASE, Lane.PAGE)
    return deed


def _delivered(
    outcome: Delivered, claim: Claim, event: Event | None, settings: AccountSettings, now_ms: int
) -> Deed:
    deed = _through(claim, outcome.covers, "delivered")
    _note_newest(deed, outcome, claim, event, settings)
    if claim.lane is Lane.USER:
        deed.learn["identified"] = str(now_ms)
    if outcome.merged:
        others = [one for one in claim.memory.merged if one != outcome.merged]
        claim.memory.merged = (*others, outcome.merged)[-MERGED_KEPT:]
        deed.learn["merged"] = json.dumps(claim.memory.merged)
    if outcome.last_identify is not None:
        last = outcome.last_identify
        claim.memory.last_identify = (last.email, last.key, last.id)
        deed.learn["last_identify"] = json.dumps(claim.memory.last_identify)
    if outcome.cart_after is not None:
        _remember_cart(deed, claim, outcome.cart_after, now_ms)
    return deed


def _note_newest(
    deed: Deed, outcome: Delivered, claim: Claim, event: Event | None, settings: AccountSettings
) -> None:
    """Remember when what is now delivered first came, so that what died before it is overtaken."""
    what = _WRITES.get(kind_of(event, settings)) if event else None
    if what is None:
        return
    newest = max(entry.first or entry.at for entry in claim.entries[: outcome.covers])
    if newest > claim.memory.newest.get(what, 0):
        claim.memory.newest[what] = newest
        deed.learn[f"newest:{what}"] = str(newest)


def _dead(
    no: Rejected, claim: Claim, event: Event | None, settings: AccountSettings, now_ms: int
) -> Deed:
    header = _header(no, claim, event, settings, now_ms)
    mark = read_mark(claim.intent)
    deed = _through(claim, 1)
    deed.dead = [(1, claim.head.id, header.as_line())]
    if isinstance(mark, CartMark):
        # What dies here may be in Sailthru's cart. It counts for nothing: what was there before is the
        # cart from now on, for the next change and for the replay of this one. The lost call may be
        # carried out even later than now.
        until_ms = now_ms + int(settings.read_lag * 1000) + 1000
        _remember_cart(deed, claim, Cart(mark.base), until_ms)
    return deed


def _header(
    no: Rejected, claim: Claim, event: Event | None, settings: AccountSettings, now_ms: int
) -> Header:
    entry, state = claim.head, claim.state(claim.head)
    if no.call is not None:
        state = _append(state, no.detail, no.status, no.duration_s, now_ms, 0.0)
    return Header(
        account=claim.account,
        lane=claim.lane,
        box=claim.box,
        user=claim.user,
        type=event.type if event else None,
        event=getattr(event, "event", None),
        reason=no.reason,
        detail=no.detail,
        endpoint=no.call.bucket if no.call else None,
        status=no.status,
        error=no.code,
        attempts=state.tried,
        first_seen_ms=entry.first or entry.at,
        died_at=now_ms,
        calls=[no.call.as_json()] if no.call else [],
        timeline=state.attempts,
        mark="" if isinstance(read_mark(claim.intent), CartMark) else claim.intent,
        nobody=entry.nobody,
        awaits_email=no.reason is Reason.MISSING_EMAIL and _is_revived_by_email(event, settings),
        follows=_FOLLOWS.get(kind_of(event, settings), "") if event else "",
    )


def _is_revived_by_email(event: Event | None, settings: AccountSettings) -> bool:
    """Whether its email, learned late, sends it by itself: what was bought is worth telling at any
    time. A cart of then is not, and nobody expects a deletion to wake up with the next sign-in."""
    return event is not None and kind_of(event, settings) in {Kind.ORDER, Kind.REFUND}


def _remember_cart(deed: Deed, claim: Claim, cart: Cart, now_ms: int) -> None:
    claim.cart = deed.cart = write_cart(cart, now_ms / 1000)
    deed.cart_keep_ms = CART_KEEP_MS if cart.items else EMPTY_CART_KEEP_MS


def _retry(
    failure: Retry, claim: Claim, settings: AccountSettings, now_ms: int, random: Random
) -> Deed:
    tried = claim.state(claim.head).tried + 1
    wait = retry.backoff(tried, settings, random)
    deed = Deed(back=True, due=now_ms + int(wait * 1000))
    for entry in claim.entries[: failure.covers]:
        state = claim.state(entry)
        state = _append(state, failure.error, failure.status, failure.duration_s, now_ms, wait)
        failing = state.failing_since if state.failing_since is not None else claim.clock
        deed.state[entry.seq] = replace(state, failing_since=failing)
    return deed


def _probe_another(claim: Claim, now_ms: int) -> Deed:
    """A probe that failed lets another one probe next: this event may be all that is wrong."""
    return Deed(back=True, due=now_ms if claim.probe else "old")


def _unanswered(claim: Claim, now_ms: int) -> Deed:
    """No attempt is used up. But if others are answered from now on, it was the event's own failure."""
    deed, state = _probe_another(claim, now_ms), claim.state(claim.head)
    if state.unanswered_since is None:
        deed.state[claim.head.seq] = replace(state, unanswered_since=claim.clock)
    return deed


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


def _wait_for_email(claim: Claim, settings: AccountSettings, now_ms: int) -> Deed:
    state, age = claim.state(claim.head), age_s(claim)
    left = settings.email_wait - age
    ask = retry.next_email_ask(state.asked, age)
    wait = left if ask is None else min(left, ask)
    return Deed(
        back=True,
        waits="email",
        due=now_ms + max(10, int(wait * 1000)),
        state={claim.head.seq: state},
    )


def _wait_for_user(claim: Claim, settings: AccountSettings, now_ms: int) -> Deed:
    state = claim.state(claim.head)
    since = state.unknown_since if state.unknown_since is not None else claim.clock
    waited = (claim.clock - since) / 1000
    wait = min(settings.user_wait - waited, retry.unknown_user_recheck(waited))
    return Deed(
        back=True,
        waits="user",
        due=now_ms + max(10, int(wait * 1000)),
        state={claim.head.seq: replace(state, unknown_since=since)},
    )


def _held(claim: Claim, waits: str | None, due: int) -> Deed:
    state = claim.state(claim.head)
    since = state.held_since if state.held_since is not None else claim.user_clock
    return Deed(
        back=True,
        waits="turn" if waits else None,
        hold=hold_of(claim) if waits else None,
        due=due,
        state={claim.head.seq: replace(state, held_since=since)},
    )
