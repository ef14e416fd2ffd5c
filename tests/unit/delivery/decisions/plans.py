"""What reading and planning came to, and why no call was made."""

from __future__ import annotations

from pipeline.delivery.classify import Absent, Crashed, NotSent, Struck
from pipeline.delivery.intents import IntentLog
from pipeline.errors import InvalidEvent, MappingRejected, Reason
from pipeline.events.kinds import Ignored, IgnoreReason
from pipeline.events.models import Lane
from pipeline.mailbox.history import Absence, EventState
from pipeline.mailbox.reservations import Taken
from pipeline.mapping.plan import OrderIntent, WaitForEmail
from tests.unit.delivery.decisions.replies import EVENT
from tests.unit.delivery.decisions.row import (
    HOUR_S,
    NOW,
    Row,
    Table,
    added,
    ago,
    identify,
    order,
    state_of,
    track,
)

WAKES = "wakes the other lanes"
ORDERS = state_of(order(), Lane.PURCHASE)
REMOVAL = state_of(track("Product Removed"), Lane.PURCHASE, looked_up=True)
ABSENCE = Absence(EVENT.call.profile, ago(5.0), "", "User not found", 400, 99)
LOOKED_TWICE = EventState(empty_since=ago(3.0))


def _ignored(reason: IgnoreReason, says: str, lane: Lane = Lane.EVENT) -> Row:
    wakes = f"{WAKES}; " if lane is Lane.USER else ""
    return Row(
        says,
        Ignored(reason),
        f"Ignored({reason})",
        f"1 leaves; counted `ignored:{reason}` 1; {wakes}claim ends",
        state=state_of(identify() if lane is Lane.USER else track(), lane),
    )


def _refused(reason: Reason, says: str) -> Row:
    return Row(
        says,
        MappingRejected(reason, "properties.price is no number"),
        f"Rejected({reason})",
        f"1 leaves; letter `{reason}` after 0 attempts; claim ends",
    )


def _unreadable(reason: Reason, says: str) -> Row:
    return Row(
        says,
        InvalidEvent(reason, "event is missing"),
        f"Rejected({reason})",
        f"1 leaves; letter `{reason}` after 0 attempts; claim ends",
    )


PLANS = Table(
    "What reading and planning come to",
    "No call is made for these.",
    (
        _unreadable(Reason.INVALID_JSON, "it is not JSON"),
        _unreadable(Reason.INVALID_EVENT, "it is no event"),
        _unreadable(Reason.TOO_LARGE, "it is too large"),
        _refused(Reason.UNMAPPABLE, "a required value is missing or cannot be read"),
        _refused(Reason.MISSING_USER_ID, "it has no id and no email, or only shared ids"),
        _refused(Reason.RESERVED_EVENT, "its name is one of Sailthru's own"),
        _refused(Reason.TOO_OLD, "it is older than MAX_AGE of its lane"),
        Row(
            "something is to be removed from a cart that reads as empty",
            MappingRejected(Reason.NOTHING_TO_REMOVE, "Nothing to remove"),
            "EmptyCart(3.0)",
            "empty since now; given back, due in 3 s",
            state=REMOVAL,
        ),
        Row(
            "something is to be removed from a cart that reads as empty, past the read lag",
            MappingRejected(Reason.NOTHING_TO_REMOVE, "Nothing to remove"),
            "Rejected(nothing_to_remove)",
            "1 leaves; letter `nothing_to_remove` after 0 attempts; claim ends",
            state=state_of(
                track("Product Removed"), Lane.PURCHASE, history=LOOKED_TWICE, looked_up=True
            ),
        ),
        Row(
            "a product is to be removed from a cart that is known not to have it",
            MappingRejected(Reason.NOTHING_TO_REMOVE, "Nothing to remove"),
            "Rejected(nothing_to_remove)",
            "1 leaves; letter `nothing_to_remove` after 0 attempts; claim ends",
            state=state_of(track("Product Removed"), Lane.PURCHASE),
        ),
        Row(
            "a value cannot be read, after a look-up that showed an email",
            MappingRejected(Reason.UNMAPPABLE, "properties.price is no number"),
            "Rejected(unmappable)",
            "1 leaves; letter `unmappable` after 0 attempts; learns email; claim ends",
            state=state_of(added(), Lane.PURCHASE, looked_up=True, email="u1@example.org"),
        ),
        Row(
            "the mapping failed over one event",
            Crashed("the mapping failed: KeyError"),
            "Rejected(crashed)",
            "1 leaves; letter `crashed` after 0 attempts; claim ends",
        ),
        Row(
            "the mapping failed over three",
            Crashed("the mapping failed: KeyError"),
            "Unfold(3)",
            "claim goes on",
            state=state_of(track(), count=3),
        ),
        Row(
            "no email anywhere; Sailthru was asked",
            WaitForEmail(),
            "WaitingForEmail(60.0)",
            "nothing there as of now; woken by email; given back, due in 60 s",
            state=state_of(order(), Lane.PURCHASE, looked_up=True),
        ),
        Row(
            "no email, and no id that Sailthru could be asked about",
            WaitForEmail(),
            "WaitingForEmail(259200.0)",
            "woken by email; given back, due in 259200 s",
            state=ORDERS,
        ),
        Row(
            "no email, and EMAIL_WAIT is over",
            WaitForEmail(),
            "Rejected(missing_email)",
            "1 leaves; letter `missing_email` after 0 attempts, replayed when its email is learned; "
            "claim ends",
            state=state_of(order(), Lane.PURCHASE, age_s=73 * HOUR_S, looked_up=True),
        ),
        Row(
            "no email for a cart change, and EMAIL_WAIT is over",
            WaitForEmail(),
            "Rejected(missing_email)",
            "1 leaves; letter `missing_email` after 0 attempts; claim ends",
            state=state_of(added(), Lane.PURCHASE, age_s=73 * HOUR_S, looked_up=True),
        ),
        Row(
            "Sailthru said lately, to an event before it, that it does not know the user",
            Absent(EVENT.call, ABSENCE),
            "WaitingForUser(40.0)",
            "woken by user; given back, due in 40 s",
            state=state_of(track(), age_s=120.0, absence=ABSENCE),
        ),
        Row(
            "Sailthru said lately that it does not know the user, and USER_WAIT is over",
            Absent(EVENT.call, ABSENCE),
            "Rejected(unknown_user)",
            "1 leaves; letter `unknown_user` after 0 attempts; claim ends",
            state=state_of(track(), age_s=HOUR_S, absence=ABSENCE),
        ),
        _ignored(
            IgnoreReason.INTEGRATIONS_OFF,
            "its integrations object says that it is not for Sailthru",
        ),
        _ignored(IgnoreReason.UNSUPPORTED_TYPE, "it is a group call"),
        _ignored(IgnoreReason.REFUSED_BY_ROLE, "its write key may not send it"),
        _ignored(IgnoreReason.USER_DELETE_OFF, "it is a User Deleted, and ALLOW_DELETE is off"),
        _ignored(IgnoreReason.NO_PAGE_IN_CLASSIC, "it is a page or screen, with MAPPING=classic"),
        _ignored(IgnoreReason.PAGES_OFF, "it is a page, and TRACK_PAGES is off"),
        _ignored(IgnoreReason.SCREENS_OFF, "it is a screen, and TRACK_SCREENS is off"),
        _ignored(IgnoreReason.NO_CUSTOMER_ID, "it is a page or screen, and no CUSTOMER_ID is set"),
        _ignored(IgnoreReason.SCREEN_WITHOUT_URL, "it is a screen without a url"),
        _ignored(IgnoreReason.ALREADY_MERGED, "it is an alias whose ids are one", Lane.USER),
        _ignored(
            IgnoreReason.NOTHING_TO_MERGE,
            "it is an alias of a profile that is not there",
            Lane.USER,
        ),
    ),
)

BEGUN = IntentLog().begin(OrderIntent("o1"), NOW, 8.0)

WITHOUT_CALL = Table(
    "No call was made",
    "The call was about to be made and did not begin. An intent that was recorded for it is taken back.",
    (
        Row(
            "the process stops",
            NotSent("stopping"),
            "Postponed(stopping)",
            "given back, due as before",
        ),
        Row(
            "the process stops, with the order's intent on record",
            NotSent("stopping"),
            "Postponed(stopping)",
            "intent forgotten; given back, due as before",
            state=state_of(order(), Lane.PURCHASE, intents=BEGUN),
        ),
        Row(
            "no slot within two seconds, or the bucket is closed",
            NotSent("slot_too_far", 55.0),
            "Postponed(55.0, slot_too_far)",
            "given back, due in 55 s",
        ),
        Row(
            "the gate of the look-up that it needs is closed, until its next probe",
            NotSent("endpoint_closed", 8.0),
            "Postponed(8.0, endpoint_closed)",
            "given back, due in 8 s",
        ),
        Row(
            "Redis is away, full or read-only",
            NotSent("ConnectionError", 1.0),
            "Postponed(1.0, ConnectionError)",
            "given back, due in 1 s",
        ),
        Row(
            "an order may have been posted too lately to be looked up",
            NotSent("order_unverified", 7.0),
            "Postponed(7.0, order_unverified)",
            "intent kept; given back, due in 7 s",
            state=state_of(order(), Lane.PURCHASE, intents=IntentLog(BEGUN.pending)),
        ),
        Row(
            "another mailbox is about to post the same order",
            Taken("held", "b1 o1"),
            "WaitingForOrder(10.0)",
            "woken by order; given back, due in 10 s",
            state=state_of(order(), Lane.PURCHASE),
        ),
        Row(
            "another event of the same order was delivered",
            Taken("posted", "b1 o1"),
            "Ignored(duplicate_order)",
            "1 leaves; counted `ignored:duplicate_order` 1; claim ends",
            state=state_of(order(), Lane.PURCHASE),
        ),
        Row(
            "five claims of it in a row ended unsettled",
            Struck(5),
            "Rejected(poison)",
            "1 leaves; letter `poison` after 0 attempts; claim goes on",
            state=state_of(track(), count=2),
        ),
    ),
)
