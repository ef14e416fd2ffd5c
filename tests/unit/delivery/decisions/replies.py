"""What the rows speak of: answers, calls, and what a mailbox and its host went through before."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

from pipeline.delivery.intents import IntentLog
from pipeline.events.models import Lane
from pipeline.gates.circuit import Health, Signs
from pipeline.mailbox.claim import Memory
from pipeline.mailbox.history import EventState, Failing
from pipeline.mapping.plan import Cart, CartIntent, OrderIntent, Send
from pipeline.sailthru.answers import Accepted, Failed, Failure, RateHeaders
from pipeline.sailthru.calls import Call
from tests.unit.delivery.decisions.row import (
    HOUR_S,
    NOW,
    added,
    ago,
    order,
    state_of,
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
CLOSED = Health("api", closed="api")
FAILED = reduce(lambda signs, user: signs.after_failure(0.0, "POST /event", user), "abcde", Signs())
FAILING = Health("api", "POST /event", of_host=FAILED, of_endpoint=FAILED)
FAILING_ALONE = replace(FAILING, of_host=FAILED.after_answer(0.0))
FAILING_EVENTS = Failing("POST /event", ago(HOUR_S))
SILENT = Health("api", at=10 * HOUR_S, answered=False, of_host=Signs(answered_at=HOUR_S))
ANSWERING = replace(SILENT, of_host=Signs(answered_at=9 * HOUR_S))
SILENT_ALONE = replace(
    ANSWERING, bucket="POST /event", of_endpoint=Signs(unanswered=frozenset("ab"))
)

BAD_ADDRESS = Failed(Failure.REJECTED, 400, 11, "Invalid email: ...")
ALL_BAD = Health("api", lately=tuple("abcde"))
REMEMBERED = Memory(email="u1@example.org", refused={"u1@example.org": ago(HOUR_S)})
