"""Answers to calls that deliver."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

from pipeline.delivery.intents import IntentLog
from pipeline.events.models import Lane
from pipeline.gates.circuit import Health
from pipeline.mailbox.claim import EventState, Memory
from pipeline.mapping.plan import Cart, CartIntent, OrderIntent, Send
from pipeline.sailthru.answers import Accepted, Failed, Failure, RateHeaders
from pipeline.sailthru.calls import Call
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

OK = Accepted(200, {"ok": True})
DOWN = Failed(Failure.UNAVAILABLE, None, None, "ConnectionRefusedError")
LOST = Failed(Failure.UNAVAILABLE, None, None, "timed out", ambiguous=True)
NO = Failed(Failure.REJECTED, 400, 99, "That is not allowed")
UNKNOWN = Failed(Failure.USER_NOT_FOUND, 400, 99, "User not found with extid: ...")
WRONG_KEY = Failed(Failure.MISCONFIGURED, 401, 3, "Invalid API key")
HEADERS = RateHeaders(2400, 0, NOW + 30.0)

EVENT = Send(Call("POST", "/event", {"id": "u1", "key": "extid", "event": "Signed Up"}))
USER = Call("POST", "/user", {"id": "u1", "key": "extid"})
KEYED = Call("POST", "/user", {**USER.params, "keys": {"email": "u1@example.org"}})
FOLD = Send(USER, covers=3)
MERGE = Send(USER, merged="a1")
DELETION = Send(Call("DELETE", "/user", {"id": "u1@example.org", "key": "email"}))
PURCHASE = Call("POST", "/purchase", {"email": "u1@example.org"})
ORDER = Send(PURCHASE, intent=OrderIntent("o1"), cart_after=Cart())
CART = Send(PURCHASE, intent=CartIntent(()), cart_after=Cart(({"id": "p1", "qty": 1},), NOW))

BEGUN_ORDER = IntentLog().begin(OrderIntent("o1"), NOW, 8.0)
BEGUN_CART = IntentLog().begin(CartIntent(({"id": "p0", "qty": 1},)), NOW, 8.0)
ORDERED = state_of(order(), Lane.PURCHASE, intents=BEGUN_ORDER)
CHANGED = state_of(added(), Lane.PURCHASE, intents=BEGUN_CART)
LAST_TRY = EventState(tried=4, failing_since=ago(5 * HOUR_S))
CLOSED = Health("api", closed=True)
FAILING = reduce(
    lambda health, user: health.seen(0.0, "/user", user, answered=False), "abcde", Health("api")
)
SILENT = Health("api", at=10 * HOUR_S, answered=False, answered_at=HOUR_S)
ANSWERING = Health("api", at=10 * HOUR_S, answered=False, answered_at=9 * HOUR_S)

BAD_ADDRESS = Failed(Failure.REJECTED, 400, 11, "Invalid email: ...")
ALL_BAD = reduce(
    lambda health, user: health.seen(0.0, "/user", user, answered=True, refused=True),
    "abcde",
    Health("api"),
)
REMEMBERED = Memory(email="u1@example.org", refused={"u1@example.org": ago(HOUR_S)})

ANSWERS = Table(
    "Answers to a call that delivers",
    "What Sailthru's answer to the call of an event, or the lack of an answer, comes to.",
    (
        Row("accepted", OK, "Delivered", "1 leaves; counted `delivered` 1; claim ends", EVENT),
        Row(
            "accepted, with more behind it",
            OK,
            "Delivered",
            "1 leaves; counted `delivered` 1; claim goes on",
            EVENT,
            state_of(track(), count=2),
        ),
        Row(
            "accepted, a call for three identifies",
            OK,
            "Delivered(3)",
            "3 leave; counted `delivered` 3; learns identified, newest:identify; "
            "wakes the other lanes; claim ends",
            FOLD,
            state_of(identify(), Lane.USER, count=3),
        ),
        Row(
            "accepted, an identify that merges the anonymous profile",
            OK,
            "Delivered",
            "1 leaves; counted `delivered` 1; learns identified, merged (a2 a1); "
            "wakes the other lanes; claim ends",
            MERGE,
            state_of(
                identify(),
                Lane.USER,
                memory=Memory(merged=("a1", "a2"), newest={"identify": 2 * int(NOW * 1000)}),
            ),
        ),
        Row(
            "accepted, an order",
            OK,
            "Delivered",
            "1 leaves; counted `delivered` 1; intent forgotten; learns newest:cart; "
            "cart of 0 known for 720 h; claim ends",
            ORDER,
            ORDERED,
        ),
        Row(
            "accepted, a cart change",
            OK,
            "Delivered",
            "1 leaves; counted `delivered` 1; intent forgotten; learns newest:cart; "
            "cart of 1 known for 24 h; claim ends",
            CART,
            CHANGED,
        ),
        Row(
            "error 11, an order: Sailthru will not have the address",
            BAD_ADDRESS,
            "AddressRefused",
            "intent forgotten; learns refused; claim goes on",
            ORDER,
            ORDERED,
        ),
        Row(
            "error 11 to a call for three identifies",
            BAD_ADDRESS,
            "AddressRefused",
            "learns refused; claim goes on",
            replace(FOLD, call=KEYED),
            state_of(identify(), Lane.USER, count=3),
        ),
        Row(
            "error 11 about an address that was refused before",
            BAD_ADDRESS,
            "Rejected(rejected)",
            "1 leaves; letter `rejected` after 1 attempts; wakes the other lanes; claim ends",
            Send(KEYED),
            state_of(identify(), Lane.USER, memory=REMEMBERED),
        ),
        Row(
            "error 11 about an address that the options of a custom event name",
            BAD_ADDRESS,
            "Rejected(rejected)",
            "1 leaves; letter `rejected` after 1 attempts; claim ends",
            Send(Call("POST", "/event", {"id": "u1@example.org", "key": "email"})),
        ),
        Row(
            "error 11 to a deletion",
            BAD_ADDRESS,
            "Rejected(rejected)",
            "1 leaves; letter `rejected` after 1 attempts; wakes the other lanes; claim ends",
            DELETION,
            state_of(track("User Deleted"), Lane.USER),
        ),
        Row(
            "error 11 about an event that has no id besides the email",
            BAD_ADDRESS,
            "Rejected(rejected)",
            "1 leaves; letter `rejected` after 1 attempts; intent forgotten; claim ends",
            ORDER,
            state_of(order().without(["user_id"]), Lane.PURCHASE, intents=BEGUN_ORDER),
        ),
        Row(
            "error 11, as to a fifth of all calls: Sailthru's trouble",
            BAD_ADDRESS,
            "Retry",
            "tried 1; failing since now; intent forgotten; given back, due in 0.75 s",
            ORDER,
            ORDERED,
            ALL_BAD,
        ),
        Row(
            "no answer, the call certainly did nothing",
            DOWN,
            "Retry",
            "tried 1; failing since now; given back, due in 0.75 s",
            EVENT,
        ),
        Row(
            "no answer to a call for three events",
            DOWN,
            "Retry(3)",
            "tried 1; failing since now; tried 1; failing since now; tried 1; failing since now; "
            "given back, due in 0.75 s",
            FOLD,
            state_of(identify(), Lane.USER, count=3),
        ),
        Row(
            "no answer to an order that certainly was not posted",
            DOWN,
            "Retry",
            "tried 1; failing since now; intent forgotten; given back, due in 0.75 s",
            ORDER,
            ORDERED,
        ),
        Row(
            "no answer to an order that may have been posted",
            LOST,
            "Retry",
            "tried 1; failing since now; intent kept; given back, due in 0.75 s",
            ORDER,
            ORDERED,
        ),
        Row(
            "no answer, and RETRY_ATTEMPTS and RETRY_FOR are used up",
            DOWN,
            "Rejected(exhausted)",
            "1 leaves; letter `exhausted` after 5 attempts; claim ends",
            EVENT,
            state_of(track(), history=LAST_TRY),
            ANSWERING,
        ),
        Row(
            "no answer to an order that may have been posted, and retries are used up",
            LOST,
            "Rejected(exhausted)",
            "1 leaves; letter `exhausted` after 5 attempts, with the order's intent; "
            "intent forgotten; claim ends",
            ORDER,
            state_of(order(), Lane.PURCHASE, intents=BEGUN_ORDER, history=LAST_TRY),
            ANSWERING,
        ),
        Row(
            "no answer to a cart change that may have been carried out, and retries are used up",
            LOST,
            "Rejected(exhausted)",
            "1 leaves; letter `exhausted` after 5 attempts; intent forgotten; "
            "cart of 1 known for 24 h, as of 4 s from now; claim ends",
            CART,
            state_of(added(), Lane.PURCHASE, intents=BEGUN_CART, history=LAST_TRY),
            ANSWERING,
        ),
        Row(
            "no answer, while the circuit's gate is closed (a probe failed)",
            DOWN,
            "Outage",
            "unanswered since now; given back, due in 0 s",
            EVENT,
            state_of(track(), probe=True),
            CLOSED,
        ),
        Row(
            "no answer to five users within ten seconds",
            DOWN,
            "Outage",
            "unanswered since now; given back, due as before",
            EVENT,
            health=FAILING,
        ),
        Row(
            "no answer to five users within ten seconds, and the event was unanswered before",
            DOWN,
            "Outage",
            "given back, due as before",
            EVENT,
            state_of(track(), history=EventState(unanswered_since=ago(60.0))),
            FAILING,
        ),
        Row(
            "no answer, retries are used up, and other calls were answered since this one first was not",
            DOWN,
            "Rejected(exhausted)",
            "1 leaves; letter `exhausted` after 5 attempts; claim ends",
            EVENT,
            state_of(track(), history=replace(LAST_TRY, unanswered_since=ago(9.5 * HOUR_S))),
            SILENT,
        ),
        Row(
            "no answer, retries are used up, and no call has been answered for hours",
            LOST,
            "Outage",
            "unanswered since now; intent kept; given back, due as before",
            ORDER,
            state_of(order(), Lane.PURCHASE, intents=BEGUN_ORDER, history=LAST_TRY),
            SILENT,
        ),
        Row(
            "429 or error 43, with a reset",
            Failed(Failure.THROTTLED, 429, 43, "Too many", rate=HEADERS),
            "Throttled(POST /event, for 30 s)",
            "given back, due as before",
            EVENT,
        ),
        Row(
            "429 without headers",
            Failed(Failure.THROTTLED, 429, None, "HTTP 429"),
            "Throttled(POST /event, for 10 s)",
            "given back, due as before",
            EVENT,
        ),
        Row(
            "429 with a reset that is over",
            Failed(Failure.THROTTLED, 429, 43, "Too many", rate=RateHeaders(2400, 0, NOW - 5.0)),
            "Throttled(POST /event, for 1 s)",
            "given back, due as before",
            EVENT,
        ),
        Row(
            "wrong credentials, rights or address",
            WRONG_KEY,
            "Misconfigured",
            "given back, due as before",
            EVENT,
        ),
        Row(
            "wrong credentials, rights or address, to a probe",
            WRONG_KEY,
            "Misconfigured",
            "given back, due in 0 s",
            EVENT,
            state_of(track(), probe=True),
        ),
        Row(
            "refused",
            NO,
            "Rejected(rejected)",
            "1 leaves; letter `rejected` after 1 attempts; claim ends",
            EVENT,
        ),
        Row(
            "refused, an order",
            NO,
            "Rejected(rejected)",
            "1 leaves; letter `rejected` after 1 attempts; intent forgotten; claim ends",
            ORDER,
            ORDERED,
        ),
        Row(
            "refused, a call for three events",
            NO,
            "Unfold(3)",
            "claim goes on",
            FOLD,
            state_of(identify(), Lane.USER, count=3),
        ),
        Row(
            "refused, a call for two events",
            NO,
            "Unfold(2)",
            "claim goes on",
            replace(FOLD, covers=2),
            state_of(identify(), Lane.USER, count=3),
        ),
        Row(
            "no such user, of a custom event",
            UNKNOWN,
            "WaitingForUser",
            "unknown since now; woken by user; given back, due in 5 s",
            EVENT,
        ),
        Row(
            "no such user, for a minute so far",
            UNKNOWN,
            "WaitingForUser",
            "woken by user; given back, due in 60 s",
            EVENT,
            state_of(track(), history=EventState(unknown_since=ago(60.0))),
        ),
        Row(
            "no such user, and USER_WAIT is over in 100 s",
            UNKNOWN,
            "WaitingForUser",
            "woken by user; given back, due in 100 s",
            EVENT,
            state_of(track(), history=EventState(unknown_since=ago(3500.0))),
        ),
        Row(
            "no such user, and USER_WAIT is over",
            UNKNOWN,
            "Rejected(unknown_user)",
            "1 leaves; letter `unknown_user` after 1 attempts; claim ends",
            EVENT,
            state_of(track(), history=EventState(unknown_since=ago(25 * HOUR_S))),
        ),
        Row(
            "no such user, of a visitor's event",
            UNKNOWN,
            "Ignored(unknown_user)",
            "1 leaves; counted `ignored:unknown_user` 1; claim ends",
            EVENT,
            state_of(track(userId=None, anonymousId="u1")),
        ),
        Row(
            "no such user, with UNKNOWN_USER=ignore",
            UNKNOWN,
            "Ignored(unknown_user)",
            "1 leaves; counted `ignored:unknown_user` 1; claim ends",
            EVENT,
            settings={"unknown_user": "ignore"},
        ),
        Row(
            "no such user, of a deletion: there is nothing left to delete",
            UNKNOWN,
            "Delivered",
            "1 leaves; counted `delivered` 1; learns identified; wakes the other lanes; claim ends",
            DELETION,
            state_of(track("User Deleted"), Lane.USER),
        ),
        Row(
            "no such user, of another call",
            UNKNOWN,
            "Rejected(rejected)",
            "1 leaves; letter `rejected` after 1 attempts; wakes the other lanes; claim ends",
            MERGE,
            state_of(identify(), Lane.USER, count=1),
        ),
    ),
)
