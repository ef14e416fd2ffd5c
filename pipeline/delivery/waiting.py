"""Whether a mailbox's head must wait for something else first. Pure; waiting uses up no attempt."""

from __future__ import annotations

from pipeline import retry
from pipeline.delivery.fate import age_s
from pipeline.emails import address, email_in_user_id
from pipeline.events import Alias, Event, Identify, Lane
from pipeline.kinds import kind_of
from pipeline.mailbox.claim import Claim, Glance, Hold
from pipeline.mailbox.entry import seq_order
from pipeline.outcomes import Held, Outcome, WaitingForEmail
from pipeline.settings import AccountSettings

LOOK_AGAIN_S = 1.0
RAREST_LOOK_S = 30.0
"""How soon a merge looks again whether the mailbox it merges is empty: the longer, the rarer."""


def held_by_identify(claim: Claim) -> Held | None:
    """An event or purchase waits for an earlier identify of its user, a minute at most.

    The minute of those before it counts: its mailbox as a whole waits no longer for one identify.
    """
    if claim.lane not in (Lane.EVENT, Lane.PURCHASE) or not claim.head_of_user:
        return None
    if seq_order(claim.seq_of_user) > claim.head.order:
        return None
    held_s = max(_held_for(claim), (claim.user_clock - hold_of(claim).since) / 1000)
    left = retry.TURN_WAIT_S - held_s
    return Held(left) if left > 0 else None


def hold_of(claim: Claim) -> Hold:
    """What the mailbox is held for: since now, unless it is already."""
    if claim.hold and claim.hold.seq == claim.seq_of_user:
        return claim.hold
    return Hold(claim.seq_of_user, claim.user_clock)


def held_by_merge(claim: Claim, old: Glance, now_ms: int, settings: AccountSettings) -> Held | None:
    """A merge waits until the mailbox it merges is empty, for other lanes' a minute at most.

    Nor for ever for the profile itself (USER_WAIT): two merges of each other would never end. And it
    waits until reads can show what was just written there, or the profile would look unknown.
    """
    held_s, waiting = _held_for(claim), old.waiting
    of_profile = waiting[Lane.USER] and held_s < settings.user_wait
    if of_profile or (any(waiting.values()) and held_s < retry.TURN_WAIT_S):
        return Held(min(RAREST_LOOK_S, max(LOOK_AGAIN_S, held_s / 4)), waits=None)
    since_s = (now_ms - old.identified) / 1000  # negative once Redis' clock has been set back
    lagging_s = settings.read_lag - since_s
    return Held(lagging_s, waits=None) if since_s >= 0 and lagging_s > 0 else None


def merges(head: Event, claim: Claim) -> str | None:
    """The mailbox that delivering `head` would merge away; None when it merges nothing."""
    if claim.lane is not Lane.USER:
        return None
    old = head.previous_id if isinstance(head, Alias) else None
    if isinstance(head, Identify) and head.user_id:
        old = head.anonymous_id
    return None if old in (None, claim.user) or old in claim.memory.merged else old


def still_without_email(claim: Claim, head: Event, settings: AccountSettings) -> Outcome | None:
    """An order that waits for an email: Sailthru is not asked again before its next time."""
    state = claim.state(claim.head)
    own = address(head, kind_of(head, settings)) or email_in_user_id(claim.user)
    if not state.asked or claim.memory.email or own:
        return None
    age = age_s(claim)
    due = age < settings.email_wait and retry.next_email_ask(state.asked, age) == 0.0
    return None if due else WaitingForEmail()


def _held_for(claim: Claim) -> float:
    since = claim.state(claim.head).held_since
    return 0.0 if since is None else (claim.user_clock - since) / 1000
