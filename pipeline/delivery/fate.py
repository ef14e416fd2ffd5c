"""What an answer means for the events it is about. Pure: the one place that decides.

`fate_of_*` turn an answer into an Outcome; `final` turns waits and retries that have lasted too
long into what they end as.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, assert_never

from pipeline import retry
from pipeline.errors import Reason
from pipeline.events import Event
from pipeline.mailbox.claim import Claim
from pipeline.mapping.plan import Cart, Need, Send
from pipeline.outcomes import (
    Delivered,
    Ignored,
    Misconfigured,
    Outcome,
    Rejected,
    Retry,
    Single,
    Throttled,
    WaitingForEmail,
    WaitingForUser,
)
from pipeline.ratelimit.feedback import believed_reset
from pipeline.sailthru.answers import Accepted, Answer, Failure, Refused
from pipeline.sailthru.calls import Call
from pipeline.settings import AccountSettings

POISON_AFTER = 5
"""Claims of one event that may end unsettled before it is dead."""
_OTHER_CODE = 99


def fate_of_send(answer: Answer, send: Send, now: float) -> Outcome:
    """What the answer to a write call means. `now` in Unix seconds."""
    if isinstance(answer, Accepted):
        return Delivered(send.covers, send.cart_after, send.merged, send.last_identify)
    return _fate_of_no(answer, send.call, send.covers, now, lookup=False)


def fate_of_lookup(answer: Refused, need: Need, now: float) -> Outcome:
    """What a failed look-up means. A cart that cannot be read is always tried again."""
    is_cart = need.what == "cart"
    if is_cart and answer.failure is Failure.REJECTED:
        return _retry(answer, need.call, need.covers, lookup=True)
    return _fate_of_no(answer, need.call, need.covers, now, lookup=is_cart)


def fate_of_order_lookup(answer: Answer, call: Call, now: float) -> Outcome | None:
    """What a look-up of an order that may have been posted means for it. None: Sailthru says that there
    is no such order. What says neither is asked again later, and the order is not posted meanwhile."""
    match _order_in(answer):
        case "found":
            return Delivered(cart_after=Cart())
        case "missing":
            return None
        case "unclear":
            return _fate_of_unclear(answer, call, now)


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


def _fate_of_unclear(answer: Answer, call: Call, now: float) -> Outcome:
    if isinstance(answer, Accepted):
        error = "the look-up of the order shows no purchase"
        return Retry(error, status=answer.status, call=call, duration_s=answer.duration_s)
    if answer.failure is Failure.REJECTED:
        return _retry(answer, call, 1, lookup=False)
    return _fate_of_no(answer, call, 1, now, lookup=False)


def _fate_of_no(no: Refused, call: Call, covers: int, now: float, *, lookup: bool) -> Outcome:
    match no.failure:
        case Failure.THROTTLED:
            until = believed_reset(no.rate.reset, now) if no.rate else now + retry.THROTTLE_S
            return Throttled(call.bucket, max(until, now + 1.0))
        case Failure.MISCONFIGURED:
            return Misconfigured(no.message, call, no.code)
        case Failure.UNAVAILABLE:
            return _retry(no, call, covers, lookup=lookup)
        case Failure.USER_NOT_FOUND if call.method == "DELETE":
            return Delivered(covers)  # what was wanted is so
        case Failure.USER_NOT_FOUND if call.endpoint == "/event":
            return WaitingForUser(call, no.message, no.status, no.code, no.duration_s)
        case Failure.USER_NOT_FOUND | Failure.REJECTED:
            if covers > 1:
                return Single(covers)
            return _rejected(Reason.REJECTED, no, call)
        case _:
            assert_never(no.failure)


def _retry(no: Refused, call: Call, covers: int, *, lookup: bool) -> Retry:
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


def _rejected(reason: Reason, no: Refused, call: Call) -> Rejected:
    return Rejected(reason, no.message, call, no.status, no.code, no.duration_s)


def final(outcome: Outcome, claim: Claim, head: Event | None, settings: AccountSettings) -> Outcome:
    """The outcome itself, or what it has become now that its time is up.

    Deadlines run on the lane's clock, which stands still behind a closed gate.
    """
    match outcome:
        case Retry():
            return _final_retry(outcome, claim, settings)
        case WaitingForEmail() if age_s(claim) >= settings.email_wait:
            return Rejected(Reason.MISSING_EMAIL, "no email in the event, learned or at Sailthru")
        case WaitingForUser():
            return _final_wait(outcome, claim, head, settings)
        case _:
            return outcome


def dying_s(claim: Claim, settings: AccountSettings) -> float | None:
    """For how long the head event has been unanswered, if one more failure is its end; None if it is not.

    As a probe, too, which counts towards no end. On the lane's clock: for as long as that stands still
    the gate is closed, and the answer that opens it comes first.
    """
    state = claim.state(claim.head)
    failing_s = _since(claim, state.failing_since)
    if not retry.is_exhausted(state.tried + 1, failing_s, settings):
        return None
    return max(failing_s, _since(claim, state.unanswered_since))


def _final_retry(failure: Retry, claim: Claim, settings: AccountSettings) -> Outcome:
    if dying_s(claim, settings) is None:
        return failure
    reason = Reason.CART_LOOKUP_FAILED if failure.lookup else Reason.EXHAUSTED
    return Rejected(
        reason, failure.error, failure.call, failure.status, failure.code, failure.duration_s
    )


def _final_wait(
    wait: WaitingForUser, claim: Claim, head: Event | None, settings: AccountSettings
) -> Outcome:
    # Nobody will ever identify most visitors, and their events are of no use without a profile.
    if _is_of_visitor(wait, claim, head) or settings.unknown_user == "ignore":
        return Ignored("unknown_user")
    if _since(claim, claim.state(claim.head).unknown_since) < settings.user_wait:
        return wait
    return Rejected(
        Reason.UNKNOWN_USER, wait.detail, wait.call, wait.status, wait.code, wait.duration_s
    )


def _is_of_visitor(wait: WaitingForUser, claim: Claim, head: Event | None) -> bool:
    """Whether the event is addressed to its anonymousId, or to where the latest identify of it went."""
    if head is None:
        return False
    last = claim.memory.last_identify if head.user_id is None else None
    return wait.call.params.get("id") in (head.anonymous_id, last[2] if last else head.anonymous_id)


def age_s(claim: Claim) -> float:
    """How long the head event has waited since it was accepted, in seconds of the lane's clock."""
    return max(0.0, (claim.clock - claim.head.clock) / 1000)


def _since(claim: Claim, clock_ms: int | None) -> float:
    return 0.0 if clock_ms is None else max(0.0, (claim.clock - clock_ms) / 1000)
