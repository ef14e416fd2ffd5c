"""Sailthru's own text may hold half a surrogate pair: it goes into dead
letters, calls and gates. On a real Redis, whose scripts cannot read such text."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from pipeline.events.models import Lane
from pipeline.sailthru.answers import read_answer
from tests.support.fake_sailthru import REFUSED
from tests.support.pipe import Pipe, added, identify, open_pipe, order, track

CUT = b"\\ud83d"
CUT_TITLE = read_answer(400, b'{"error":99,"errormsg":"Invalid title ' + CUT + b'"}', {})
CUT_KEY = read_answer(401, b'{"error":3,"errormsg":"Invalid key ' + CUT + b'"}', {})
CUT_CART = read_answer(
    200,
    b'{"keys":{"email":"u1@example.org"},"purchase_incomplete":{"items":'
    b'[{"id":"p9","qty":1,"price":1250,"url":"https://shop.example.org/p9","title":"Mug '
    + CUT
    + b'"}]}}',
    {},
)


@pytest.fixture
async def pipe(redis_url: str) -> AsyncIterator[Pipe]:
    async with open_pipe(client=redis.asyncio.Redis.from_url(redis_url)) as opened:
        yield opened


async def test_a_refusal_with_half_an_emoji_is_one_dead_letter_and_loses_nothing_behind_it(
    pipe: Pipe,
) -> None:
    """I1: the letter shows a replacement character, and the user's next orders go out."""
    pipe.sailthru.trouble(CUT_TITLE, on="POST /purchase", about="o1")
    await pipe.post(*(order("u1", number) for number in ("o1", "o2", "o3")))
    await pipe.run(60)
    (letter,) = await pipe.letters()
    assert (letter.id, letter.header.reason) == ("m1", "rejected")
    assert letter.header.detail == "Invalid title \ufffd"
    assert [one.extid for one in pipe.sailthru.sandbox.state.purchases] == ["o2", "o3"]
    assert await pipe.counts() == {"delivered": 2, "dead:rejected": 1}


async def test_a_cart_with_half_an_emoji_in_it_is_taken_back_and_may_die(pipe: Pipe) -> None:
    """What Sailthru had shown is in the call that it refused, and so in the letter."""
    pipe.sailthru.trouble(CUT_CART, on="GET /user")
    pipe.sailthru.trouble(REFUSED, on="POST /purchase", times=1)
    await pipe.post(added("u1", "p1"), order("u1", "o1"))
    await pipe.run(60)
    (letter,) = await pipe.letters()
    titles = [item["title"] for item in letter.header.calls[0]["params"]["items"]]
    assert titles == ["Mug \ufffd", "Product p1"]
    assert await pipe.counts() == {"delivered": 1, "dead:rejected": 1}


async def test_a_gate_closed_with_half_an_emoji_opens_again(pipe: Pipe) -> None:
    """Every wake of the host reads the gate's text."""
    wrong = pipe.sailthru.trouble(CUT_KEY)
    await pipe.post(identify("u1"), track("u1"))
    await pipe.run(60)
    assert [closure.detail for closure in pipe.alerts] == ["Sailthru error 3: Invalid key \ufffd"]
    pipe.sailthru.troubles.remove(wrong)
    await pipe.run(120)
    assert await pipe.counts() == {"delivered": 2}
    assert await pipe.waiting(Lane.USER, "u1") == []
