"""A gateway or proxy in front of Sailthru says no, in JSON of its own: that is an outage, not an answer."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from pipeline.sailthru.answers import read_answer
from tests.support.pipe import Pipe, added, identify, open_pipe, order, page, track

USERS = 8
SAYINGS: dict[str, tuple[int, dict[str, Any]]] = {
    "forbidden": (403, {"error": "Forbidden"}),
    "unauthorized": (401, {"error": "Unauthorized"}),
    "no route": (404, {"message": "no Route matched with those values"}),
    "a bad request": (400, {"error": {"code": 400, "message": "Bad Request"}}),
    "its proxy's password": (407, {"errors": ["proxy authentication required"]}),
    "too early": (425, {"error": 425, "message": "Too Early"}),
    "a no in a success": (200, {"error": "Forbidden"}),
    "a success that is none": (200, {"ok": False}),
}


@pytest.mark.parametrize(("status", "body"), SAYINGS.values(), ids=SAYINGS)
async def test_a_gateway_that_says_no_buries_nothing(status: int, body: dict[str, Any]) -> None:
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
