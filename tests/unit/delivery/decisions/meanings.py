"""What every outcome and reason means to a person, and what to do about it: the prose of docs/outcomes.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import Reason
from pipeline.events.kinds import IgnoreReason
from pipeline.outcomes import (
    AddressRefused,
    Delivered,
    EmptyCart,
    Ignored,
    Misconfigured,
    OrderMissing,
    Outage,
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
from pipeline.words import REASONS

NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What it means, and what a person does about it."""

    means: str
    do: str = NOTHING


OUTCOMES: Mapping[type[Any], Meaning] = {
    Delivered: Meaning("Sailthru took the call for these events."),
    Ignored: Meaning("The event is not for Sailthru; it is counted under its reason."),
    Rejected: Meaning(
        "The event can never be delivered as it is, or its time is up: a dead letter.",
        "see its reason below",
    ),
    Unfold: Meaning(
        "A call for several events was refused. They are tried one by one, so that only the one at "
        "fault dies."
    ),
    AddressRefused: Meaning(
        "Sailthru says that the address is bad (error 11). For 24 h this user has it no more: the event is planned "
        "anew, with the next address that is known, or without one.",
        "nothing; where a fifth of all answers say so, calls are tried again instead",
    ),
    Retry: Meaning(
        "The call failed in a way that may pass. It uses up an attempt, and is made again after a pause "
        "that doubles from RETRY_FIRST to RETRY_MAX.",
        "nothing; what fails for too long dies `exhausted`",
    ),
    Throttled: Meaning(
        "Sailthru refused a call because there were too many (429 or error 43). No process calls this "
        "endpoint until the reset that Sailthru names, or for 10 s.",
        "if it happens daily, lower the limit: something else uses the same account",
    ),
    Misconfigured: Meaning(
        "Key, secret, rights or address are wrong. The account's gate closes with one alert, nothing is "
        "buried, and a probe a minute finds out when it is over.",
        "mend the credentials; `sailpipe doctor` says which",
    ),
    Outage: Meaning(
        "Sailthru does not answer. The host's gate closes with one alert, no attempt is used up, and probes "
        "find out when it is over."
    ),
    WaitingForEmail: Meaning(
        "An order, refund or cart needs an email, and neither the event, nor what was learned, nor "
        "Sailthru has one. Sailthru is asked again after a minute, an hour and a day."
    ),
    WaitingForUser: Meaning("Sailthru does not know the user of a custom event yet."),
    WaitingForIdentify: Meaning(
        "An earlier identify of the same user is delivered first; the event waits a minute after its acceptance at most."
    ),
    WaitingForMerge: Meaning(
        "Events that wait for the profile that is merged away are delivered first."
    ),
    WaitingForOrder: Meaning(
        "Another mailbox is about to post the same order, which the page and the server may both have sent. "
        "It is looked at again when that is settled, or after 10 s."
    ),
    EmptyCart: Meaning(
        "A product is to be removed from a cart that reads as empty. Sailthru's reads may lag its "
        "writes, so the cart is read once more."
    ),
    OrderMissing: Meaning(
        "An order that may have been posted was not found: it is looked up once more."
    ),
    Postponed: Meaning("No call was made. The mailbox is given back and is due again later."),
}

_DEAD: Mapping[Reason, str] = {
    Reason.INVALID_JSON: "It is not JSON.",
    Reason.INVALID_EVENT: "It is JSON and no event: a field is missing or of the wrong kind; the detail names it.",
    Reason.TOO_LARGE: "It is larger than an event may be.",
    Reason.MISSING_USER_ID: "It has no email, and no id or only shared ids; the detail says whether an id is one of SHARED_IDS or came with too many emails in a day. Or it is a cart change without a userId (see CART_USERS).",
    Reason.RESERVED_EVENT: "Sailthru reserves this event name for itself.",
    Reason.UNMAPPABLE: "A value that its call must have is missing or cannot be read; the detail has its path.",
    Reason.NOTHING_TO_REMOVE: "A product was to be removed from a cart that does not have it, and still did not have it past the read lag.",
    Reason.REJECTED: "Sailthru refused the call. The detail has its words, and `dead show` the call.",
    Reason.UNKNOWN_USER: "A custom event's user was unknown to Sailthru for USER_WAIT.",
    Reason.MISSING_EMAIL: "No email turned up within EMAIL_WAIT. An order or refund is replayed by itself as soon as an event shows its user's.",
    Reason.CART_LOOKUP_FAILED: "The cart could not be read for RETRY_FOR and RETRY_ATTEMPTS, so that changing it would have overwritten it.",
    Reason.EXHAUSTED: "The call failed for RETRY_FOR and RETRY_ATTEMPTS, while others were answered.",
    Reason.TOO_OLD: "It is older than MAX_AGE of its lane.",
    Reason.POISON: "Five workers or splitters in a row died or hung while they worked on it.",
    Reason.CRASHED: "The mapping failed over it, which is a bug in sailpipe.",
}
DEAD: Mapping[Reason, Meaning] = {
    reason: Meaning(means, REASONS[reason].do) for reason, means in _DEAD.items()
}

IGNORED: Mapping[IgnoreReason, Meaning] = {
    IgnoreReason.INTEGRATIONS_OFF: Meaning("Its `integrations` say that it is not for Sailthru."),
    IgnoreReason.UNSUPPORTED_TYPE: Meaning(
        "It is a `group` call, which Sailthru has no such thing for, or an `alias` with MAPPING=classic."
    ),
    IgnoreReason.USER_DELETE_OFF: Meaning(
        "It is a `User Deleted`.", "set ALLOW_DELETE if it should delete the profile"
    ),
    IgnoreReason.NO_PAGE_IN_CLASSIC: Meaning("MAPPING=classic tracks no pages and screens."),
    IgnoreReason.PAGES_OFF: Meaning("It is a page, and TRACK_PAGES is off.", "set TRACK_PAGES"),
    IgnoreReason.SCREENS_OFF: Meaning(
        "It is a screen with a url, and TRACK_SCREENS is off.", "set TRACK_SCREENS"
    ),
    IgnoreReason.NO_CUSTOMER_ID: Meaning(
        "It is a page or screen, and pageviews need a customer id.", "set CUSTOMER_ID"
    ),
    IgnoreReason.SCREEN_WITHOUT_URL: Meaning(
        "It is a screen without a url: there is no page to track."
    ),
    IgnoreReason.ALREADY_MERGED: Meaning("The two ids of this alias are one profile already."),
    IgnoreReason.NOTHING_TO_MERGE: Meaning("Sailthru has no profile of this alias's previousId."),
    IgnoreReason.UNKNOWN_USER: Meaning(
        "Sailthru does not know the visitor of a custom event, and no identify will ever name one; or "
        "UNKNOWN_USER=ignore is set. Also what Vibetrace's API takes with a key of role `browser` about a user "
        "whom nobody knows."
    ),
    IgnoreReason.DUPLICATE_ORDER: Meaning(
        "An order of the same id, person, lines and total was delivered within ORDER_WINDOW: a thank-you page "
        "was reloaded, or page and server both sent it.",
        "nothing; ORDER_WINDOW=off delivers every one",
    ),
    IgnoreReason.REFUSED_BY_ROLE: Meaning(
        "A write key of role `browser` may not send it: an order, a refund, an alias, a User Deleted or an "
        "optoutValue. Also counted for what the HTTP server leaves out of a batch.",
        "send it with a server's key",
    ),
    IgnoreReason.BOT: Meaning(
        "The user agent that the event names is a bot's (Vibetrace's API).",
    ),
    IgnoreReason.REPEATED_CONFIRMATION: Meaning(
        "A `confirmation` with this orderId was taken within ORDER_WINDOW (Vibetrace's API).",
        "nothing; if the first died, mend and replay its letter; ORDER_WINDOW=off takes every one",
    ),
    IgnoreReason.REPEATED_OPEN: Meaning(
        "Another opened mail of this user was taken in the 20 minutes before (Vibetrace's API).",
    ),
}

ON_THE_WAY_IN = frozenset(
    {IgnoreReason.BOT, IgnoreReason.REPEATED_CONFIRMATION, IgnoreReason.REPEATED_OPEN}
)
"""Counted by rules of the HTTP server (`pipeline/ingest/rules/`): such an event never comes to a decision."""
