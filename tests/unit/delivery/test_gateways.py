"""A gateway or proxy in front of Sailthru says no, in JSON of its own: that is an outage, not an answer."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.delivery.intents import PendingOrder
from pipeline.lanes import KNOWN_BUCKETS, PAGEVIEW_ENDPOINT
from pipeline.mapping.plan import Need, Send
from pipeline.outcomes import Outage, Retry
from pipeline.sailthru.answers import read_answer
from pipeline.sailthru.calls import Call
from tests.support.pipe import Pipe, added, identify, open_pipe, order, page, track
from tests.unit.delivery.decisions.row import NOW, Row

USERS = 8
SAYINGS: dict[str, tuple[int, Any]] = {
    "forbidden": (403, {"error": "Forbidden"}),
    "unauthorized": (401, {"error": "Unauthorized"}),
    "no route": (404, {"message": "no Route matched with those values"}),
    "a bad request": (400, {"error": {"code": 400, "message": "Bad Request"}}),
    "its proxy's password": (407, {"errors": ["proxy authentication required"]}),
    "too early": (425, {"error": 425, "message": "Too Early"}),
    "a no in a success": (200, {"error": "Forbidden"}),
    "a success that is none": (200, {"ok": False}),
    "a conflict": (409, ["Conflict"]),
}


@pytest.mark.parametrize(("status", "body"), SAYINGS.values(), ids=SAYINGS)
async def test_a_gateway_that_says_no_buries_nothing(status: int, body: Any) -> None:
    """For longer than retries last: the circuit opens, no credentials are blamed, all goes out later."""
    async with open_pipe(retry_for=60.0, retry_attempts=3) as pipe:
        no = pipe.sailthru.trouble(read_answer(status, json.dumps(body).encode(), {}))
        for user in (f"u{number}" for number in range(USERS)):
            await pipe.post(identify(user), track(user), added(user), order(user, user), page(user))
        await pipe.run(600)
        assert {(closure.scope, closure.reason) for closure in await pipe.closures()} == {
            ("api", "circuit"),
            ("track", "circuit"),
        }
        pipe.sailthru.troubles.remove(no)
        await pipe.run(300)
        assert await pipe.counts() == {"delivered": 5 * USERS}
        bought = [one.extid for one in pipe.sailthru.sandbox.state.purchases]
        assert Counter(bought) == Counter(f"u{number}" for number in range(USERS))


async def test_an_order_that_a_gateway_refused_is_looked_up_before_it_is_posted_again(
    pipe: Pipe,
) -> None:
    """The gateway may have passed it on."""
    forbidden = read_answer(403, b'{"error":"Forbidden"}', {})
    pipe.sailthru.trouble(forbidden, on="POST /purchase", processed=True, times=1)
    await pipe.post(order("u1", "o1"))
    await pipe.run(120)
    assert len(pipe.sailthru.calls("POST /purchase")) == 1
    assert await pipe.counts() == {"delivered": 1}


def request(bucket: str, what: str = "send") -> Send | Need | PendingOrder:
    """A call of this bucket, and what it is made for."""
    method, endpoint = bucket.split(" ")
    call = Call(method, endpoint, {"id": "u1", "key": "extid"})  # type: ignore[arg-type]
    match what:
        case "send":
            return Send(call)
        case "order":
            return PendingOrder("o1", NOW - 60.0, misses=1, looked_at=NOW - 30.0)
        case _:
            return Need(what, call)  # type: ignore[arg-type]


REQUESTS = [
    *(request(bucket) for bucket in KNOWN_BUCKETS if not bucket.startswith("GET")),
    *(request("GET /user", what) for what in ("cart", "email", "merge", "owner")),
    request("GET /purchase", "order"),
]
"""Every call that delivery makes, for each of its reasons."""
WORDS = st.sampled_from(
    ["Forbidden", "Not Found", "Unauthorized", "true", "", "User not found with extid: u1"]
)
"""The last one is a gateway's that has its own place for what Sailthru says in `errormsg`."""
STATUSES = st.sampled_from([400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 413, 418, 425, 451])
NAMES = ("error", "errors", "message", "code", "status", "detail", "title", "fault")
SAID = st.recursive(
    WORDS | st.integers(100, 999) | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=4,
)
NOT_SAILTHRUS = st.one_of(
    st.sampled_from([b"", b" ", b"<html>403</html>", b"Forbidden", b"\xff\xfe", b'{"error":']),
    *(
        said.map(lambda body: json.dumps(body).encode())
        for said in (SAID, st.fixed_dictionaries({"error": SAID}))
    ),
)
"""What proxies, gateways and firewalls put into a refusal: nothing has a small number in `error`, or an `errormsg`."""


@given(
    asked=st.sampled_from(REQUESTS),
    status=STATUSES | st.integers(400, 499).filter(lambda status: status != 429),
    body=NOT_SAILTHRUS,
)
def test_no_refusal_without_sailthrus_form_says_anything_about_an_event_or_a_user(
    asked: Send | Need | PendingOrder, status: int, body: bytes
) -> None:
    """Whatever was asked, it is tried again later: there is no dead letter, no order that is not there, no unknown
    user, no empty profile, and no credentials are blamed. (Of the pageview host a `message` counts: see test_answers.)
    """
    is_pageview = isinstance(asked, Send) and asked.call.endpoint == PAGEVIEW_ENDPOINT
    assume(not is_pageview or b'"message"' not in body)
    answer = read_answer(status, body, {}, pageview=is_pageview)
    verdict = Row("", answer, "", request=asked).decide()
    assert isinstance(verdict, Retry | Outage), verdict
