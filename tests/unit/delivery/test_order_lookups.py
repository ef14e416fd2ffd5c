"""What a look-up says about an order whose POST had no answer: it is there, it is not, or neither.

What is documented is the purchase itself, and error 99 and 404 for whatever cannot be found
(reference: sailthru-api 2.3, 4).
"""

from __future__ import annotations

import json

import pytest

from pipeline.delivery.intents import MISSES_TO_POST_AGAIN
from pipeline.sailthru.answers import Accepted, Answer, read_answer
from tests.support.fake_sailthru import NO_ORDER, TIMED_OUT, no
from tests.support.pipe import Pipe, open_pipe, order

UNCLEAR = {
    "no right to read purchases": no(403, 99, "Not permitted"),
    "an extid that cannot be asked for": no(400, 99, "purchase_key must be sid"),
    "a parameter that is missing": no(400, 2, "Missing required parameter: purchase_id"),
    "the wrong method": no(405, 1, "Method unsupported"),
    "a proxy's 404": read_answer(404, b'{"error": "Not Found"}', {}),
    "a gateway's 404": read_answer(404, b'{"error": 404, "message": "no route"}', {}),
    "a gateway's 404 of one word": read_answer(404, b'{"message": "Purchase not found"}', {}),
    "a gateway's 404 of a list": read_answer(404, b'{"errors": ["not found"]}', {}),
    "a gateway's 404 with another's code": read_answer(404, b'{"error": {"code": 99}}', {}),
    "a proxy's 404 in a success": read_answer(200, b'{"error": "Purchase not found"}', {}),
    "a page that says not found": read_answer(404, b"<h1>Not Found</h1>", {}),
    "a proxy's 405": read_answer(405, b'{"error": "Method Not Allowed"}', {}),
    "a success that shows no purchase": Accepted(200, {"ok": True}),
    "a purchase of nothing": Accepted(200, {"purchase": {"items": []}}),
}
"""Answers to a look-up of an order that say neither that it is there nor that it is not."""
MISSED = {
    "an empty object": read_answer(200, b"{}", {}),
    "PHP's empty object": read_answer(200, b"[]", {}),
    "null": read_answer(200, b"null", {}),
    "error 99": NO_ORDER,
    "error 99 with a success": no(200, 99, "Purchase not found"),
    "a 404 of Sailthru's": no(404, 99, "No such purchase"),
    "an unknown user": no(400, 99, "User not found with extid: u1"),
}
FOUND = {
    "a purchase": Accepted(200, {"_id": "5f1e", "items": [{"id": "p1"}], "qty": 1}),
    "a purchase in a frame": Accepted(200, {"purchase": {"items": [{"id": "p1"}]}}),
}


@pytest.mark.parametrize("answer", UNCLEAR.values(), ids=UNCLEAR)
@pytest.mark.parametrize("processed", [True, False], ids=["processed", "not processed"])
async def test_an_order_is_not_posted_again_on_an_unclear_look_up(
    answer: Answer, *, processed: bool
) -> None:
    """Asked for as often as retries last, it is neither delivered nor missed; it dies with its intent."""
    async with open_pipe(retry_for=0.0, retry_attempts=4) as pipe:
        pipe.sailthru.trouble(TIMED_OUT, on="POST /purchase", processed=processed, times=1)
        pipe.sailthru.trouble(answer, on="GET /purchase")
        await pipe.post(order("u1", "o1"))
        await pipe.run(300)
        assert len(pipe.sailthru.calls("POST /purchase")) == 1
        assert len(pipe.sailthru.calls("GET /purchase")) > MISSES_TO_POST_AGAIN
        (letter,) = await pipe.letters()
        assert letter.header.reason == "exhausted"
        assert json.loads(letter.header.pending_intent)["misses"] == 0


@pytest.mark.parametrize("answer", UNCLEAR.values(), ids=UNCLEAR)
async def test_the_first_clear_look_up_decides_about_an_order(pipe: Pipe, answer: Answer) -> None:
    """What was unclear before it counts for nothing."""
    pipe.sailthru.trouble(TIMED_OUT, on="POST /purchase", processed=True, times=1)
    pipe.sailthru.trouble(answer, on="GET /purchase", times=2)
    await pipe.post(order("u1", "o1"))
    await pipe.run(120)
    assert [one.extid for one in pipe.sailthru.sandbox.state.purchases] == ["o1"]
    assert await pipe.counts() == {"delivered": 1}


async def order_that_is_looked_up(pipe: Pipe, answer: Answer) -> None:
    """Its first POST gets lost with its answer; every look-up has this one."""
    pipe.sailthru.trouble(TIMED_OUT, on="POST /purchase", times=1)
    pipe.sailthru.trouble(answer, on="GET /purchase")
    await pipe.post(order("u1", "o1"))
    await pipe.run(120)


@pytest.mark.parametrize("answer", MISSED.values(), ids=MISSED)
async def test_an_order_that_two_look_ups_miss_is_posted_again(pipe: Pipe, answer: Answer) -> None:
    """Sailthru may say in several ways that there is none."""
    await order_that_is_looked_up(pipe, answer)
    assert [one.extid for one in pipe.sailthru.sandbox.state.purchases] == ["o1"]
    assert len(pipe.sailthru.calls("GET /purchase")) == MISSES_TO_POST_AGAIN


@pytest.mark.parametrize("answer", FOUND.values(), ids=FOUND)
async def test_an_order_that_a_look_up_shows_is_delivered(pipe: Pipe, answer: Answer) -> None:
    """The reply may be the purchase itself, or have the frame of the reply to a POST."""
    await order_that_is_looked_up(pipe, answer)
    assert len(pipe.sailthru.calls("POST /purchase")) == 1
    assert await pipe.counts() == {"delivered": 1}
