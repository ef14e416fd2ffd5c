"""What an answer, a refusal or a failure means for the events it is about. No I/O: the one place that decides.

`decide` turns whatever a turn met into an Outcome, which nothing changes afterwards: gates are applied
from it (`gates/outages.py`), and `settlements.py` says what is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, assert_never, overload

from pipeline import retry
from pipeline.delivery.context import TurnState
from pipeline.delivery.intents import MISSES_TO_POST_AGAIN, PendingOrder
from pipeline.errors import InvalidEvent, MappingRejected, Reason
from pipeline.events.emails import address_key
from pipeline.events.kinds import Ignored, IgnoreReason
from pipeline.events.models import NativeCall
from pipeline.gates.circuit import Health
from pipeline.mailbox.history import Absence
from pipeline.mailbox.reservations import Taken
from pipeline.mapping import read_profile
from pipeline.mapping.plan import Cart, Need, Send, WaitForEmail
from pipeline.outcomes import (
    AddressRefused,
    Delivered,
    EmptyCart,
    LookedUp,
    Misconfigured,
    OrderMissing,
    Outage,
    Outcome,
    PostAgain,
    Postponed,
    Rejected,
    Retry,
    Throttled,
    Unfold,
    Verdict,
    WaitingForEmail,
    WaitingForOrder,
    WaitingForUser,
)
from pipeline.ratelimit.feedback import believed_reset
from pipeline.sailthru.answers import Accepted, Answer, Failed, Failure
from pipeline.sailthru.calls import Call
from pipeline.settings import AccountSettings

_OTHER_CODE = 99
_DO_WITHOUT = frozenset({"/user", "/purchase", "/return"})
"""Whose calls can be planned without an address: by the next one, or by the user's id."""


@dataclass(frozen=True, slots=True)
class NotSent:
    """No call was made: the process stops, no slot is near, or Redis is away. `why` is for logs."""

    why: str
    due_in_s: float | None = None


@dataclass(frozen=True, slots=True)
class Struck:
    """So many claims of the head event in a row ended unsettled."""

    strikes: int


@dataclass(frozen=True, slots=True)
class Crashed:
    """The mapping failed over the events that are on offer; any of them may have met the bug."""

    detail: str


@dataclass(frozen=True, slots=True)
class Absent:
    """The call would ask for a profile that Sailthru said lately it does not have."""

    call: Call
    absence: Absence


NoAnswer: TypeAlias = (
    NotSent
    | Struck
    | Crashed
    | InvalidEvent
    | MappingRejected
    | Ignored
    | WaitForEmail
    | Absent
    | Taken
)
"""What ends a turn without an answer: why no call was made, and what reading and planning came to."""
Request: TypeAlias = Send | Need | PendingOrder
"""What a call was made for: to deliver, to look a profile up, to verify an order."""


@overload
def decide(
    answer: NoAnswer,
    request: None,
    state: TurnState,
    health: None,
    settings: AccountSettings,
    now: float,
) -> Outcome: ...
@overload
def decide(
    answer: Answer,
    request: Send,
    state: TurnState,
    health: Health,
    settings: AccountSettings,
    now: float,
) -> Outcome: ...
@overload
def decide(
    answer: Answer,
    request: Need,
    state: TurnState,
    health: Health,
    settings: AccountSettings,
    now: float,
) -> Outcome | LookedUp: ...
@overload
def decide(
    answer: Answer,
    request: PendingOrder,
    state: TurnState,
    health: Health,
    settings: AccountSettings,
    now: float,
) -> Outcome | PostAgain: ...
def decide(
    answer: Answer | NoAnswer,
    request: Request | None,
    state: TurnState,
    health: Health | None,
    settings: AccountSettings,
    now: float,
) -> Verdict:
    """What an answer, or the lack of one, means for the events at the head of a claim.

    request: what the answered call was for. health: of the host that was called, this answer included.
    Both are None when there was no answer. now: Unix seconds.
    """
    match answer:
        case Accepted() | Failed():
            verdict = _answered(answer, request, health, state, settings, now)
            return apply_deadlines(verdict, state, settings)
        case NotSent(why, due_in_s):
            return Postponed(due_in_s, why)
        case Struck(strikes):
            detail = f"{strikes} deliveries of it ended with a dead or hanging worker"
            return Rejected(Reason.POISON, detail)
        case Crashed(detail):
            return Unfold(state.offered) if state.offered > 1 else Rejected(Reason.CRASHED, detail)
        case InvalidEvent():
            return Rejected(answer.reason, answer.detail)
        case MappingRejected():
            return _refused_by_mapping(answer, state, settings)
        case Ignored():
            return answer
        case WaitForEmail():
            # Without a look-up the event has no id that Sailthru could be asked about, now or later.
            asked = state.looked_up
            return waiting_for_email(state, settings, asked=asked, ask_again=asked)
        case Absent(call, absence):
            told = absence.detail, absence.status, absence.code
            return _waiting_for_user(WaitingForUser(call, *told, asked=False), state, settings)
        case Taken():
            return _taken(answer)
        case _:
            assert_never(answer)


def _taken(order: Taken) -> Outcome:
    """The same order by another event. Once that has been posted, this one has nothing to add."""
    if order.how == "posted":
        return Ignored(IgnoreReason.DUPLICATE_ORDER)
    return WaitingForOrder(retry.ORDER_LOOK_S, order.reserved)


def apply_deadlines(verdict: Verdict, state: TurnState, settings: AccountSettings) -> Verdict:
    """What a wait or a failure has become if its time is up.

    Deadlines run on the lane's clock, which stands still behind a closed gate.
    """
    match verdict:
        case Retry(call=call) if call and dying_s(state, call, settings) is not None:
            reason = Reason.CART_LOOKUP_FAILED if verdict.lookup else Reason.EXHAUSTED
            said = verdict.status, verdict.code, verdict.duration_s, verdict.ambiguous
            return Rejected(reason, verdict.error, call, *said)
        case WaitingForUser():
            return _waiting_for_user(verdict, state, settings)
        case _:
            return verdict


def waiting_for_email(
    state: TurnState, settings: AccountSettings, *, asked: bool, ask_again: bool
) -> Outcome:
    """An event without an email waits for one until EMAIL_WAIT is over.

    asked: Sailthru was, just now. ask_again: whether it may be asked later.
    """
    left = settings.email_wait - state.age_s
    if left <= 0:
        return Rejected(Reason.MISSING_EMAIL, "no email in the event, learned or at Sailthru")
    ask_s = retry.email_asks(state.age_s).next - state.age_s if ask_again else left
    return WaitingForEmail(min(left, ask_s), asked)


def dying_s(state: TurnState, call: Call, settings: AccountSettings) -> float | None:
    """Seconds since the head event was first left unanswered, or None unless the failure of this call
    exhausts its retries.

    Of a probe, too, whose failures exhaust nothing. Measured on the lane's clock: while that stands
    still the gate is closed, and the answer that opens it comes first.
    """
    history = state.history
    failing_s = state.since_s(state.claim.failing_since(state.entry, call.bucket))
    if not retry.is_exhausted(history.tried + 1, failing_s, settings):
        return None
    return max(failing_s, state.since_s(history.unanswered_since))


def _answered(
    answer: Answer,
    request: Request | None,
    health: Health | None,
    state: TurnState,
    settings: AccountSettings,
    now: float,
) -> Verdict:
    if request is None or health is None:
        msg = "an answer needs its request and its host's health"
        raise ValueError(msg)
    if isinstance(answer, Failed) and answer.failure is Failure.UNAVAILABLE:
        down = health.outage(dying_s(state, request.call, settings))
        if down is not None:  # it is Sailthru's trouble, and uses up no attempt of the event
            return Outage(down, answer.message, request.call, answer.ambiguous)
    if isinstance(answer, Failed) and answer.is_bad_address and isinstance(request, Send | Need):
        verdict = _bad_address(answer, request, health, state)
        if verdict is not None:
            return verdict
    match request:
        case Send():
            return _sent(answer, request, now)
        case Need():
            return _looked_up(answer, request, now)
        case PendingOrder():
            return _verified(answer, request, settings, now)
        case _:
            assert_never(request)


def _bad_address(
    no: Failed, request: Send | Need, health: Health, state: TurnState
) -> Retry | AddressRefused | None:
    """What a refused address means. None: the event cannot do without it, so the refusal is the event's."""
    if health.refuses_addresses:
        return _retry(no, request.call, request.covers, lookup=False)
    event, call, email = state.event, request.call, request.call.address
    if event is None or email is None or not (event.user_id or event.anonymous_id):
        return None
    if isinstance(event, NativeCall):  # nothing is left out of it
        return None
    is_chosen = call.endpoint not in _DO_WITHOUT or call.method == "DELETE"
    was_refused = address_key(email) in state.refused  # and was tried again: there is no other
    return None if is_chosen or was_refused else AddressRefused(email)


def _sent(answer: Answer, send: Send, now: float) -> Outcome:
    if isinstance(answer, Accepted):
        after = send.cart_after, send.merged, send.last_identify
        return Delivered(send.covers, *after, send.notes, send.call)
    return _no(answer, send.call, send.covers, now)


def _looked_up(answer: Answer, need: Need, now: float) -> Verdict:
    """A user whom Sailthru does not know has an empty profile. A cart that cannot be read is always tried
    again."""
    if isinstance(answer, Accepted):
        return LookedUp(read_profile(status_ok=True, body=answer.body))
    if answer.failure is Failure.USER_NOT_FOUND:
        return LookedUp(read_profile(status_ok=False, body={}))
    is_cart = need.what == "cart"
    if is_cart and answer.failure is Failure.REJECTED:
        return _retry(answer, need.call, need.covers, lookup=True)
    return _no(answer, need.call, need.covers, now, lookup=is_cart)


def _verified(
    answer: Answer, order: PendingOrder, settings: AccountSettings, now: float
) -> Verdict:
    """A look-up that says neither that the order is there nor that it is not is made again later, and the
    order is not posted meanwhile."""
    match _order_in(answer):
        case "found":
            return Delivered(cart_after=Cart(), call=order.call)
        case "missing" if order.misses + 1 >= MISSES_TO_POST_AGAIN:
            return PostAgain()
        case "missing":
            return OrderMissing(settings.read_lag)
        case "unclear":
            return _unclear(answer, order.call, now)


def _order_in(answer: Answer) -> Literal["found", "missing", "unclear"]:
    """A refusal is a miss only in Sailthru's own words. It has no code for it but 99, which means other
    things as well: a key that may not read orders, an extid that cannot be asked for (reference:
    sailthru-api 4)."""
    if isinstance(answer, Accepted):
        if not answer.body:
            return "missing"
        purchase = answer.body.get("purchase", answer.body)
        return "found" if isinstance(purchase, Mapping) and purchase.get("items") else "unclear"
    says_so = answer.status == 404 or "not found" in answer.message.lower()
    is_other = answer.failure is Failure.REJECTED and answer.code == _OTHER_CODE
    is_miss = answer.failure is Failure.USER_NOT_FOUND or (is_other and says_so)
    return "missing" if is_miss else "unclear"


def _unclear(answer: Answer, call: Call, now: float) -> Outcome:
    if isinstance(answer, Accepted):
        error = "the look-up of the order shows no purchase"
        return Retry(error, status=answer.status, call=call, duration_s=answer.duration_s)
    if answer.failure is Failure.REJECTED:
        return _retry(answer, call, 1, lookup=False)
    return _no(answer, call, 1, now)


def _no(no: Failed, call: Call, covers: int, now: float, *, lookup: bool = False) -> Outcome:
    match no.failure:
        case Failure.THROTTLED:
            until = believed_reset(no.rate.reset, now) if no.rate else now + retry.THROTTLE_S
            return Throttled(call.bucket, max(until, now + 1.0))
        case Failure.MISCONFIGURED:
            return Misconfigured(no.message, call, no.code)
        case Failure.UNAVAILABLE:
            return _retry(no, call, covers, lookup=lookup)
        case Failure.USER_NOT_FOUND if call.method == "DELETE":
            return Delivered(covers, call=call)  # what was wanted is so
        case Failure.USER_NOT_FOUND if call.endpoint == "/event":
            return WaitingForUser(call, no.message, no.status, no.code, no.duration_s)
        case Failure.USER_NOT_FOUND | Failure.REJECTED:
            if covers > 1:
                return Unfold(covers)
            return Rejected(Reason.REJECTED, no.message, call, no.status, no.code, no.duration_s)
        case _:
            assert_never(no.failure)


def _retry(no: Failed, call: Call, covers: int, *, lookup: bool) -> Retry:
    return Retry(
        error=no.message,
        covers=covers,
        status=no.status,
        code=no.code,
        call=call,
        duration_s=no.duration_s,
        ambiguous=no.ambiguous,
        lookup=lookup,
    )


def _refused_by_mapping(
    no: MappingRejected, state: TurnState, settings: AccountSettings
) -> Outcome:
    """A removal from a cart that reads as empty is looked up once more, past the read lag."""
    lagging = state.looked_up and state.history.empty_since is None
    if no.reason is Reason.NOTHING_TO_REMOVE and lagging:
        return EmptyCart(settings.read_lag)
    return Rejected(no.reason, no.detail)


def _waiting_for_user(wait: WaitingForUser, state: TurnState, settings: AccountSettings) -> Outcome:
    # Most visitors are never identified. Their events are of no use without a profile.
    if _is_of_visitor(wait, state) or settings.unknown_user == "ignore":
        return Ignored(IgnoreReason.UNKNOWN_USER)
    age_s = state.age_s
    left, ask_s = settings.user_wait - age_s, retry.user_asks(age_s).next - age_s
    if state.follows_identify:  # which makes the profile, whenever its own lane lets it
        return replace(wait, wait_s=ask_s)
    if left > 0:
        return replace(wait, wait_s=min(left, ask_s))
    told = wait.detail, wait.call, wait.status, wait.code, wait.duration_s
    return Rejected(Reason.UNKNOWN_USER, *told, sent=wait.asked)


def _is_of_visitor(wait: WaitingForUser, state: TurnState) -> bool:
    """Whether the event is addressed to its anonymousId, or to where the latest identify of it went."""
    event, last = state.event, state.claim.memory.last_identify
    if event is None:
        return False
    address = wait.call.params.get("id")
    follows = event.user_id is None and last is not None and address == last[2]
    return follows or address == event.anonymous_id
