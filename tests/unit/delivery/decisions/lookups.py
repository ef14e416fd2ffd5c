"""Answers to look-ups: of a profile or cart, and of an order that may have been posted."""

from __future__ import annotations

from pipeline.delivery.intents import IntentLog, PendingOrder
from pipeline.events.models import Lane
from pipeline.mailbox.history import EventState
from pipeline.mapping.plan import Need
from pipeline.sailthru.answers import Accepted, Failed, Failure
from pipeline.sailthru.calls import Call
from tests.unit.delivery.decisions.replies import ANSWERING, DOWN, LAST_TRY, NO, UNKNOWN, WRONG_KEY
from tests.unit.delivery.decisions.row import NOW, Row, Table, added, identify, order, state_of

GET = Call("GET", "/user", {"id": "u1", "key": "extid"})
FOR_CART, FOR_EMAIL, FOR_MERGE = Need("cart", GET), Need("email", GET), Need("merge", GET)
PROFILE = Accepted(200, {"keys": {"email": "u1@example.org"}})
CHANGED = state_of(added(), Lane.PURCHASE)

LOOKUPS = Table(
    "Answers to a look-up of a profile",
    "The mapping needs to know something first: a cart, an email, whether there is a profile to merge.",
    (
        Row("a profile", PROFILE, "LookedUp", "", FOR_CART, CHANGED),
        Row("no such user: the profile is empty", UNKNOWN, "LookedUp", "", FOR_EMAIL, CHANGED),
        Row(
            "no answer",
            DOWN,
            "Retry",
            "counted `retried` 1; tried 1; failing since now; GET /user fails since now; given back, due in 0.75 s",
            FOR_CART,
            CHANGED,
        ),
        Row(
            "no answer for the cart, and retries are used up",
            DOWN,
            "Rejected(cart_lookup_failed)",
            "1 leaves; letter `cart_lookup_failed` after 5 attempts; claim ends",
            FOR_CART,
            state_of(added(), Lane.PURCHASE, history=LAST_TRY),
            ANSWERING,
        ),
        Row(
            "no answer for the email, and retries are used up",
            DOWN,
            "Rejected(exhausted)",
            "1 leaves; letter `exhausted` after 5 attempts; claim ends",
            FOR_EMAIL,
            state_of(order(), Lane.PURCHASE, history=LAST_TRY),
            ANSWERING,
        ),
        Row(
            "refused, a cart: read again later",
            NO,
            "Retry",
            "counted `retried` 1; tried 1; failing since now; GET /user fails since now; given back, due in 0.75 s",
            FOR_CART,
            CHANGED,
        ),
        Row(
            "refused, anything else",
            NO,
            "Rejected(rejected)",
            "1 leaves; letter `rejected` after 1 attempts; wakes the other lanes; claim ends",
            FOR_MERGE,
            state_of(identify(), Lane.USER),
        ),
        Row(
            "429",
            Failed(Failure.THROTTLED, 429, 43, "Too many"),
            "Throttled(GET /user, for 10 s)",
            "given back, due as before",
            FOR_CART,
            CHANGED,
        ),
        Row(
            "wrong credentials, rights or address",
            WRONG_KEY,
            "Misconfigured",
            "given back, due as before",
            FOR_CART,
            CHANGED,
        ),
    ),
)

PENDING = PendingOrder("o1", NOW - 60.0)
MISSED_ONCE = PendingOrder("o1", NOW - 60.0, misses=1, looked_at=NOW - 30.0)
UNSETTLED = state_of(order(), Lane.PURCHASE, intents=IntentLog(PENDING))
MISSED = state_of(order(), Lane.PURCHASE, intents=IntentLog(MISSED_ONCE))
NOT_THERE = Failed(Failure.REJECTED, 400, 99, "Purchase not found with extid: ...")

ORDERS = Table(
    "Answers to a look-up of an order that may have been posted",
    "An order whose call was left without an answer is posted again only after two look-ups, a read lag apart, "
    "in which Sailthru says in its own words that there is none.",
    (
        Row(
            "the order is there",
            Accepted(200, {"items": [{"id": "p1"}]}),
            "Delivered",
            "1 leaves; counted `delivered` 1; intent forgotten; learns newest:cart; "
            "cart of 0 known for 720 h; claim ends",
            PENDING,
            UNSETTLED,
        ),
        Row(
            "the order is not there",
            NOT_THERE,
            "OrderMissing(3.0)",
            "intent kept, 1 missed; given back, due in 3 s",
            PENDING,
            UNSETTLED,
        ),
        Row(
            "no such user: then there is no such order",
            UNKNOWN,
            "OrderMissing(3.0)",
            "intent kept, 1 missed; given back, due in 3 s",
            PENDING,
            UNSETTLED,
        ),
        Row(
            "the order is not there, for the second time",
            NOT_THERE,
            "PostAgain",
            "",
            MISSED_ONCE,
            MISSED,
        ),
        Row(
            "an empty reply, for the second time",
            Accepted(200, {}),
            "PostAgain",
            "",
            MISSED_ONCE,
            MISSED,
        ),
        Row(
            "a success that shows no purchase",
            Accepted(200, {"ok": True}),
            "Retry",
            "counted `retried` 1; tried 1; failing since now; GET /purchase fails since now; intent kept; given back, due in 0.75 s",
            PENDING,
            UNSETTLED,
        ),
        Row(
            "a refusal that may mean anything",
            Failed(Failure.REJECTED, 403, 99, "Not permitted"),
            "Retry",
            "counted `retried` 1; tried 1; failing since now; GET /purchase fails since now; intent kept; given back, due in 0.75 s",
            PENDING,
            UNSETTLED,
        ),
        Row(
            "a refusal that may mean anything, and retries are used up",
            Failed(Failure.REJECTED, 403, 99, "Not permitted"),
            "Rejected(exhausted)",
            "1 leaves; letter `exhausted` after 5 attempts, with the order's intent; "
            "intent forgotten; claim ends",
            PENDING,
            state_of(order(), Lane.PURCHASE, intents=IntentLog(PENDING), history=LAST_TRY),
        ),
        Row(
            "no answer",
            DOWN,
            "Retry",
            "counted `retried` 1; tried 2; GET /purchase fails since now; intent kept; given back, due in 1.5 s",
            PENDING,
            state_of(
                order(),
                Lane.PURCHASE,
                intents=IntentLog(PENDING),
                history=EventState(tried=1, failing_since=1),
            ),
        ),
    ),
)
