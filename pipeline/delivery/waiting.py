"""Whether a mailbox's head must wait for something else first. No I/O; waiting uses up no attempt."""

from __future__ import annotations

from pipeline import retry
from pipeline.delivery.classify import Absent, waiting_for_email
from pipeline.delivery.context import TurnState
from pipeline.events.emails import address, email_in_user_id, first_usable
from pipeline.events.kinds import kind_of
from pipeline.events.models import Alias, Event, Identify, Lane
from pipeline.lanes import SPECS
from pipeline.mailbox.claim import UserBacklog
from pipeline.mailbox.history import NO_EMAIL
from pipeline.outcomes import Outcome, WaitingForIdentify, WaitingForMerge
from pipeline.roles import Role
from pipeline.sailthru.calls import Call
from pipeline.settings import AccountSettings

MIN_LOOK_INTERVAL_S = 1.0
MAX_LOOK_INTERVAL_S = 30.0
"""How soon a merge looks again whether the mailbox it merges is empty: the longer, the rarer."""


def must_wait(state: TurnState, head: Event, settings: AccountSettings) -> Outcome | None:
    """What the head waits for that its own claim tells; None when nothing is in its way."""
    return waits_for_identify(state) or _still_without_email(state, head, settings)


def waits_for_identify(state: TurnState) -> WaitingForIdentify | None:
    """An event or purchase waits for an earlier identify of its user, a minute at most."""
    claim = state.claim
    waits = claim.head_of_user and SPECS[claim.lane].waits_for_identify
    if not waits or not state.follows_identify:
        return None
    left = retry.IDENTIFY_WAIT_S - state.age_s
    return WaitingForIdentify(left) if left > 0 else None


def still_absent(state: TurnState, call: Call, settings: AccountSettings) -> Absent | None:
    """Whether a call must not be made because Sailthru has said since its time came that it does not know the
    user. Before an event dies of that, it is asked once more."""
    absence, age_s = state.claim.absence, state.age_s
    if absence is None or not state.is_absent(call.profile, retry.user_asks(age_s).last):
        return None
    is_last = age_s >= settings.user_wait and not state.follows_identify
    asked_lately = state.since_s(absence.at) < retry.LAST_ASK_S
    return None if is_last and not asked_lately else Absent(call, absence)


def merged_away(state: TurnState, head: Event) -> str | None:
    """The user whose mailbox delivering `head` would merge away; None when it merges nothing, as a page's never does."""
    claim = state.claim
    if not SPECS[claim.lane].identifies or head.role is Role.BROWSER:
        return None
    old = head.previous_id if isinstance(head, Alias) else None
    if isinstance(head, Identify) and head.user_id:
        old = head.anonymous_id
    return None if old in (None, claim.user) or old in claim.memory.merged else old


def waits_for_merge(
    state: TurnState, old: UserBacklog, now_ms: int, settings: AccountSettings
) -> WaitingForMerge | None:
    """A merge waits until the mailbox it merges is empty, for other lanes' a minute at most.

    Nor for ever for the profile itself (USER_WAIT): two merges of each other would never end. And it
    waits until reads can show what was just written there, or the profile would look unknown.
    """
    age_s, waiting = state.age_s, old.waiting
    of_profile = waiting[Lane.USER] and age_s < settings.user_wait
    if of_profile or (any(waiting.values()) and age_s < retry.IDENTIFY_WAIT_S):
        return WaitingForMerge(min(MAX_LOOK_INTERVAL_S, max(MIN_LOOK_INTERVAL_S, age_s / 4)))
    since_s = (now_ms - old.identified) / 1000  # negative once Redis' clock has been set back
    lagging_s = settings.read_lag - since_s
    return WaitingForMerge(lagging_s) if since_s >= 0 and lagging_s > 0 else None


def _still_without_email(
    state: TurnState, head: Event, settings: AccountSettings
) -> Outcome | None:
    """An order that waits for an email: Sailthru is not asked again before its next time, whichever event of the
    mailbox asked."""
    claim = state.claim
    if claim.memory.email or not state.is_absent(NO_EMAIL, retry.email_asks(state.age_s).last):
        return None
    refused = state.refused
    as_id = first_usable([email_in_user_id(claim.user)], refused)
    if address(head, kind_of(head, settings), refused) or as_id:
        return None
    return waiting_for_email(state, settings, asked=False, ask_again=True)
