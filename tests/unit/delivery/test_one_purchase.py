"""One order is one purchase, whoever sends it and however often."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import redis.asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.events.models import Lane
from pipeline.sailthru.answers import Answer
from pipeline.storage import keys
from tests.support.fake_sailthru import BAD_GATEWAY, NOT_SENT, REFUSED, TIMED_OUT
from tests.support.pipe import ACCOUNT, Pipe, identify, open_pipe, order, product, track

Event = dict[str, Any]
EMAIL = "ann@example.org"


def bought(user: str, number: object = "o1", *, email: str = EMAIL, **properties: Any) -> Event:
    """An order of one product for 12.50."""
    given = {"order_id": number, "products": [product("p1")], "total": 12.5, "email": email}
    return track(user, "Order Completed", **given | properties)


def orders(pipe: Pipe) -> list[str | None]:
    return [one.extid for one in pipe.sailthru.sandbox.state.purchases]


async def test_a_thank_you_page_that_is_reloaded_makes_one_purchase(pipe: Pipe) -> None:
    """The page sends the order anew, with another messageId."""
    await pipe.post(bought("u1"))
    await pipe.run(60)
    await pipe.post(bought("u1"))
    await pipe.run(60)
    assert orders(pipe) == ["o1"]
    assert await pipe.counts() == {"delivered": 1, "ignored:duplicate_order": 1}


@pytest.mark.parametrize(
    "again",
    [
        bought("u1", email="ANN@example.org"),
        bought("u2"),
        bought("u1", total="12.50"),
        bought("u1", total=None),
        bought("u1", None, checkout_id="o1"),
        bought(
            "u1", products=[{**product("p1"), "name": "Lamp", "quantity": "1", "price": "12.50"}]
        ),
    ],
    ids=["case", "user", "text", "no total", "checkout_id", "title"],
)
async def test_an_order_is_the_same_however_it_is_written(pipe: Pipe, again: Event) -> None:
    """A page and a server write it differently."""
    await pipe.post(bought("u1"))
    await pipe.run(60)
    await pipe.post(again)
    await pipe.run(60)
    assert orders(pipe) == ["o1"]


@pytest.mark.parametrize(
    "other",
    [
        bought("u1", total=13),
        bought("u1", products=[product("p2")]),
        bought("u1", products=[{**product("p1"), "quantity": 2}], total=25),
        bought("u2", email="bob@example.org"),
    ],
    ids=["total", "product", "quantity", "person"],
)
async def test_another_basket_or_person_under_an_id_is_delivered_and_counted(
    pipe: Pipe, other: Event
) -> None:
    """Shops number orders by the day, by the shop, or by the till."""
    await pipe.post(bought("u1"))
    await pipe.run(60)
    await pipe.post(other)
    await pipe.run(60)
    assert orders(pipe) == ["o1", "o1"]
    assert await pipe.counts() == {"delivered": 2, "order_id_reused": 1}
    await pipe.post(bought("u1"), other)
    await pipe.run(60)
    assert len(orders(pipe)) == 2


@pytest.mark.parametrize("number", ["undefined", "null", "0", "[object Object]", None, ""])
async def test_orders_with_a_placeholder_for_an_id_are_all_delivered(
    pipe: Pipe, number: object
) -> None:
    """The messageId stands for the id then, and is no reason to take one order for another."""
    await pipe.post(bought("u1", number), bought("u1", number))
    await pipe.run(60)
    assert orders(pipe) == ["m1", "m2"]
    assert await pipe.redis.keys(keys.order(ACCOUNT, "*")) == []


async def test_order_window_off_delivers_an_order_as_often_as_it_is_sent() -> None:
    """As before: nothing is remembered of it."""
    async with open_pipe(order_window=None) as pipe:
        await pipe.post(bought("u1"), bought("u1"))
        await pipe.run(60)
        assert orders(pipe) == ["o1", "o1"]
        assert await pipe.redis.keys(keys.order(ACCOUNT, "*")) == []


async def test_an_order_id_is_forgotten_after_order_window() -> None:
    """Nothing is kept for ever."""
    async with open_pipe(order_window=3600.0) as pipe:
        await pipe.post(bought("u1"))
        await pipe.run(5)
        left = await pipe.redis.pttl(keys.order(ACCOUNT, "o1"))
        assert 0 < left <= 3_600_000


async def test_a_second_order_waits_for_the_first_and_uses_up_no_attempt(pipe: Pipe) -> None:
    """Nobody knows yet whether the first one's call was carried out."""
    pipe.sailthru.trouble(TIMED_OUT, on="POST /purchase", processed=True, times=1)
    await pipe.post(bought("u1"), bought("u2"))
    await pipe.run(5)
    state = await pipe.redis.hgetall(keys.mailbox_state(ACCOUNT, Lane.PURCHASE, "u2"))
    assert state[b"waits"] == b"order"
    assert not [name for name in state if name.startswith(b"s:")]
    assert len(pipe.sailthru.calls("POST /purchase")) == 1


async def test_a_second_order_is_looked_at_as_soon_as_the_first_is_settled(pipe: Pipe) -> None:
    """It need not wait for its next look."""
    pipe.sailthru.trouble(NOT_SENT, on="POST /purchase", times=4)
    await pipe.post(bought("u1"), bought("u2"))
    await pipe.run(60)
    (*_, posted) = pipe.sailthru.times("POST /purchase")
    assert await pipe.counts() == {"delivered": 1, "ignored:duplicate_order": 1}
    assert orders(pipe) == ["o1"]
    assert pipe.clock.now() > posted


async def test_an_order_that_dies_lets_the_second_go(pipe: Pipe) -> None:
    """What Sailthru refused once it may take from another: its template, say."""
    pipe.sailthru.trouble(REFUSED, on="POST /purchase", about="p1?a", times=1)
    first = bought("u1", products=[{**product("p1"), "url": "https://shop.example.org/p1?a"}])
    await pipe.post(first, bought("u2"))
    await pipe.run(60)
    assert orders(pipe) == ["o1"]
    assert await pipe.reasons() == ["rejected"]
    await pipe.moves.replay(["m1"])
    await pipe.run(60)
    assert orders(pipe) == ["o1"]
    assert await pipe.counts() == {"delivered": 1, "ignored:duplicate_order": 1}


@pytest.mark.parametrize("processed", [True, False], ids=["processed", "not processed"])
async def test_an_order_that_dies_without_an_answer_is_looked_up_before_the_second_goes(
    redis_url: str, *, processed: bool
) -> None:
    """Its call may have been carried out. A third one knows."""
    client = redis.asyncio.Redis.from_url(redis_url)
    async with open_pipe(client=client, retry_for=0.0, retry_attempts=1) as pipe:
        pipe.sailthru.trouble(TIMED_OUT, on="POST /purchase", processed=processed, times=1)
        await pipe.post(bought("u1"), bought("u2"))
        await pipe.run(120)
        assert orders(pipe) == ["o1"]
        assert await pipe.reasons() == ["exhausted"]
        assert len(pipe.sailthru.calls("GET /purchase")) == (1 if processed else 2)
        await pipe.post(bought("u3"))
        await pipe.run(120)
        assert (await pipe.counts())["ignored:duplicate_order"] == 1
        assert len(pipe.sailthru.calls("GET /purchase")) == (1 if processed else 2)
        await pipe.moves.replay(["m1"])
        await pipe.run(120)
        assert orders(pipe) == ["o1"]
        assert await pipe.letters() == []


async def test_a_worker_that_is_killed_over_an_order_keeps_the_second_from_being_posted(
    pipe: Pipe,
) -> None:
    """The mailbox of the first is taken up again, and its order looked up."""
    pipe.sailthru.trouble(None, on="POST /purchase", processed=True, times=1)
    await pipe.post(bought("u1"), bought("u2"))
    await pipe.run(120)
    assert pipe.kills == 1
    assert orders(pipe) == ["o1"]
    assert await pipe.counts() == {"delivered": 1, "ignored:duplicate_order": 1}


async def test_two_workers_that_post_an_order_at_once_make_one_purchase(pipe: Pipe) -> None:
    """The browser and the server send it at the same moment, of another user each."""
    await pipe.post(bought("u1"), bought("anon"), bought("u3"))
    boxes = await pipe.lease(Lane.PURCHASE)
    assert len(boxes) == 3
    await asyncio.gather(*(pipe.processor.process(Lane.PURCHASE, box) for box in boxes))
    await pipe.run(60)
    assert orders(pipe) == ["o1"]
    assert await pipe.counts() == {"delivered": 1, "ignored:duplicate_order": 2}


async def test_an_order_whose_email_changes_gives_up_what_it_had_reserved(pipe: Pipe) -> None:
    """Another event of that person must not wait for it for ever."""
    pipe.sailthru.trouble(NOT_SENT, on="POST /purchase", about="old@", times=1)
    await pipe.post(identify("u1", traits={"email": "old@example.org"}))
    await pipe.post(order("u1", "o1", email=False))
    await pipe.run(0.2)
    await pipe.post(identify("u1", traits={"email": "new@example.org"}))
    await pipe.run(60)
    await pipe.post(
        order("u2", "o1", email=False) | {"context": {"traits": {"email": "old@example.org"}}}
    )
    await pipe.run(60)
    sent = [call.params["email"] for call in pipe.sailthru.calls("POST /purchase")]
    assert sent == ["old@example.org", "new@example.org", "old@example.org"]
    assert len(orders(pipe)) == 2


async def test_an_id_of_very_many_baskets_keeps_the_newest(pipe: Pipe) -> None:
    """A shop that sends the same id with every order must not fill the memory."""
    for total in range(40):
        await pipe.post(bought("u1", total=total + 1))
        await pipe.run(1)
    assert len(orders(pipe)) == 40
    assert await pipe.redis.hlen(keys.order(ACCOUNT, "o1")) <= 20
    assert (await pipe.counts())["order_id_reused"] == 39
    await pipe.post(bought("u1", total=40))
    await pipe.run(1)
    assert len(orders(pipe)) == 40


TROUBLES: Sequence[tuple[Answer | None, bool]] = (
    (None, True),
    (None, False),
    (TIMED_OUT, True),
    (TIMED_OUT, False),
    (BAD_GATEWAY, True),
    (NOT_SENT, False),
    (REFUSED, False),
)
BASKETS: Mapping[str, list[Event]] = {"a": [product("p1")], "b": [product("p2"), product("p3")]}
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("order"),
            st.sampled_from(("u1", "u2", "u3")),
            st.sampled_from(("o1", "o2")),
            st.sampled_from(sorted(BASKETS)),
        ),
        st.tuples(
            st.just("trouble"),
            st.sampled_from(TROUBLES),
            st.sampled_from(("POST /purchase", "POST /purchase", "GET /purchase")),
        ),
        st.tuples(st.just("run"), st.sampled_from((0.05, 1.0, 5.0, 20.0))),
        st.tuples(st.just("together")),
        st.tuples(st.just("replay")),
    ),
    min_size=3,
    max_size=16,
)


async def _together(pipe: Pipe) -> None:
    """As many workers as mailboxes are due, at once."""
    boxes = await pipe.lease(Lane.PURCHASE)
    done = (pipe.deliver(Lane.PURCHASE, box) for box in boxes)
    await asyncio.gather(*done)


async def _live(pipe: Pipe, steps: Sequence[tuple[Any, ...]]) -> int:
    """Returns how many orders were sent."""
    sent = 0
    for what, *rest in steps:
        if what == "order":
            user, number, basket = rest
            await pipe.post(bought(user, number, products=BASKETS[basket], total=None))
            sent += 1
        elif what == "trouble":
            (answer, processed), bucket = rest
            pipe.sailthru.trouble(answer, on=bucket, processed=processed, times=1)
        elif what == "run":
            await pipe.run(rest[0])
        elif what == "together":
            await _together(pipe)
        else:
            await pipe.moves.replay([letter.id for letter in await pipe.letters()])
    pipe.sailthru.troubles.clear()
    await pipe.run(3600)
    return sent


def _basket(items: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(sorted(item["id"] for item in items))


@pytest.mark.long
@settings(max_examples=150, deadline=None)
@given(steps=STEPS, attempts=st.sampled_from((1, 3)))
def test_at_most_one_purchase_of_a_basket_is_posted_under_an_id(
    steps: Sequence[tuple[Any, ...]], attempts: int
) -> None:
    """Whatever is lost, refused or killed, and whoever replays; and nothing waits for ever."""

    async def run() -> None:
        async with open_pipe(retry_for=0.0, retry_attempts=attempts) as pipe:
            sent = await _live(pipe, steps)
            state = pipe.sailthru.sandbox.state
            made = Counter((one.extid, _basket(one.shown["items"])) for one in state.purchases)
            assert all(count == 1 for count in made.values()), made
            counts = await pipe.counts()
            counts.pop("order_id_reused", None)
            assert sum(counts.values()) == sent
            assert [name for name in counts if name.startswith("waiting")] == []

    asyncio.run(run())
