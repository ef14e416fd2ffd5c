"""Calls of Sailthru's own API on their way: in order with all other events of their person, and sent as they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.deadletters.filters import Filter
from pipeline.deadletters.store import DeadLetters
from pipeline.events.models import Lane
from pipeline.mapping.native import order_key
from pipeline.sailthru.answers import Answer
from pipeline.storage import keys
from pipeline.storage.numbers import POISON_AFTER
from tests.support.fake_sailthru import BAD_ADDRESS, BAD_GATEWAY, REFUSED, TIMED_OUT
from tests.support.pipe import ACCOUNT, START, Pipe, added, identify, open_pipe, order, track

EMAIL = "u1@example.org"
ITEM = {"id": "p1", "title": "Tea", "price": 450, "qty": 2, "url": "https://shop.example.org/p1"}
JOINED = {"id": "u1", "key": "extid", "event": "Joined"}
TEA = {"email": EMAIL, "items": [ITEM]}


def call(endpoint: str, **params: Any) -> dict[str, Any]:
    return {"type": "sailthru", "endpoint": endpoint, "params": params}


def bought(**more: Any) -> dict[str, Any]:
    return call("/purchase", **TEA, **more)


def orders(pipe: Pipe) -> list[str | None]:
    return [one.extid for one in pipe.sailthru.sandbox.state.purchases]


async def test_a_call_is_sent_as_it_is(pipe: Pipe) -> None:
    """Nested vars, names with blanks and the time of an event are Sailthru's to read."""
    user = {"id": "u1", "key": "extid", "keys": {"email": EMAIL}, "vars": {"a": {"b c": [1.5]}}}
    event = {"id": "u1", "key": "extid", "event": "wishlist add", "schedule_time": "+1 day"}
    await pipe.post(call("/user", **user), call("/event", **event), call("/return", **TEA))
    await pipe.run(60)
    sent = {one.call.bucket: one.call.params for one in pipe.sailthru.sent}
    assert sent == {"POST /user": user, "POST /event": event, "POST /return": TEA}
    assert await pipe.counts() == {"delivered": 3}


async def test_the_ways_in_share_one_order_per_user(pipe: Pipe) -> None:
    """By extid, by the email that is known as theirs, and as mapped events: one mailbox a lane."""
    await pipe.post(identify("u1"))
    await pipe.run(60)
    mixed = [
        track("u1", "one"),
        call("/event", id="u1", key="extid", event="two"),
        call("/event", id=EMAIL.upper(), event="three"),
        call("/event", id=EMAIL, key="email", event="four"),
        track("u1", "five"),
    ]
    await pipe.pause("event")
    await pipe.post(*mixed)
    assert len(await pipe.waiting(Lane.EVENT, "u1")) == len(mixed)
    await pipe.resume("event")
    await pipe.run(60)
    sent = [one.params["event"] for one in pipe.sailthru.calls("POST /event")]
    assert sent == ["one", "two", "three", "four", "five"]


async def test_an_event_waits_for_the_call_that_makes_its_profile(pipe: Pipe) -> None:
    """A client saves a user and sends an event: Sailthru would not know the user yet."""
    await pipe.pause("user")
    await pipe.post(
        call("/user", id="u1", key="extid"), call("/event", id="u1", key="extid", event="Joined")
    )
    await pipe.run(20)
    assert pipe.sailthru.sent == []
    await pipe.resume("user")
    await pipe.run(20)
    assert [one.call.bucket for one in pipe.sailthru.sent] == ["POST /user", "POST /event"]


async def test_a_call_that_gives_a_profile_its_email_is_learned_from(pipe: Pipe) -> None:
    """The mapped order of that user needs no look-up."""
    await pipe.post(call("/user", id="u1", key="extid", keys={"email": EMAIL}))
    await pipe.post(order("u1", "o1", email=False))
    await pipe.run(60)
    (posted,) = pipe.sailthru.calls("POST /purchase")
    assert posted.params["email"] == EMAIL
    assert pipe.sailthru.calls("GET /user") == []


@pytest.mark.parametrize(
    "params",
    [
        {"id": "5f1", "key": "sid", "keys": {"email": EMAIL}},
        {"id": EMAIL, "keys": {"sms": "+4912345"}},
        {"id": EMAIL, "vars": {"extid": "u1"}},
    ],
)
async def test_a_call_that_names_no_extid_links_nobody(pipe: Pipe, params: dict[str, Any]) -> None:
    """An email is nobody's until an extid comes with it."""
    await pipe.post(call("/user", **params))
    assert await pipe.redis.keys(f"{keys.account_prefix(ACCOUNT)}alias:*") == []
    assert await pipe.waiting(Lane.USER, EMAIL) == ["m1"]


async def test_an_order_whose_answer_is_lost_is_looked_up_and_not_posted_again(pipe: Pipe) -> None:
    """By its own key, and by the one that was made for it."""
    pipe.sailthru.trouble(TIMED_OUT, on="POST /purchase", processed=True, times=2)
    await pipe.post(bought(purchase_keys={"extid": "o1"}), bought())
    await pipe.run(120)
    first, second = orders(pipe)
    assert (first, second and second[:9]) == ("o1", "sailpipe-")
    asked = [one.params["purchase_id"] for one in pipe.sailthru.calls("GET /purchase")]
    assert asked == [first, second]
    assert await pipe.counts() == {"delivered": 2}


async def test_an_order_is_looked_up_by_the_same_key_the_day_after(pipe: Pipe) -> None:
    """The key is of the day on which it was accepted, not of the one on which it is tried."""
    await pipe.pause("purchase")
    await pipe.post(bought())
    await pipe.run(90_000)
    pipe.sailthru.trouble(TIMED_OUT, on="POST /purchase", processed=True, times=1)
    await pipe.resume("purchase")
    await pipe.run(120)
    (made,) = orders(pipe)
    assert made == order_key(TEA, START)
    (asked,) = pipe.sailthru.calls("GET /purchase")
    assert asked.params["purchase_id"] == made


async def test_two_equal_orders_are_two(pipe: Pipe) -> None:
    """As at Sailthru. The ids of mapped orders are none of theirs (ORDER_WINDOW)."""
    await pipe.post(order("u1", "o1"))
    await pipe.post(bought(purchase_keys={"extid": "o1"}), bought(purchase_keys={"extid": "o1"}))
    await pipe.run(120)
    assert orders(pipe) == ["o1", "o1", "o1"]
    assert await pipe.counts() == {"delivered": 3}


async def test_equal_orders_of_one_day_have_one_key_and_others_another(pipe: Pipe) -> None:
    """However their parameters are ordered."""
    again = {"type": "sailthru", "endpoint": "/purchase", "params": dict(reversed(TEA.items()))}
    await pipe.post(bought(), again, bought(message_id="b1"))
    await pipe.run(60)
    await pipe.run(86_400)
    await pipe.post(bought())
    await pipe.run(60)
    first, second, other, tomorrow = orders(pipe)
    assert first == second
    assert len({first, other, tomorrow}) == 3


async def test_a_cart_replaces_the_one_there_is_and_the_next_change_builds_on_it(
    pipe: Pipe,
) -> None:
    """Without a look-up: Sailthru's reads may still show the cart before."""
    await pipe.post(identify("u1"), added("u1", "old"))
    await pipe.run(60)
    looked_up = len(pipe.sailthru.calls("GET /user"))
    cart = call("/purchase", email=EMAIL, items=[ITEM], incomplete=1)
    await pipe.post(cart, added("u1", "new"))
    await pipe.run(60)
    _, replaced, last = pipe.sailthru.calls("POST /purchase")
    assert [one["id"] for one in replaced.params["items"]] == ["p1"]
    assert [one["id"] for one in last.params["items"]] == ["p1", "new"]
    assert len(pipe.sailthru.calls("GET /user")) == looked_up


async def test_a_cart_of_another_address_of_the_user_is_not_built_on(pipe: Pipe) -> None:
    """It lies in the profile of that address, until Sailthru joins the two."""
    newer = "new@example.org"
    await pipe.post(identify("u1"), identify("u1", traits={"email": newer}))
    await pipe.run(60)
    await pipe.post(call("/purchase", email=EMAIL, items=[ITEM], incomplete=1))
    await pipe.post(added("u1", "new", email=False))
    await pipe.run(60)
    of_old, of_new = pipe.sailthru.calls("POST /purchase")
    assert (of_old.params["email"], of_new.params["email"]) == (EMAIL, newer)
    assert [one["id"] for one in of_new.params["items"]] == ["new"]


async def test_a_call_is_a_repeat_of_one_to_the_same_endpoint_alone(pipe: Pipe) -> None:
    """By its messageId, which only who writes to Redis can choose."""
    same = {"messageId": "same"}
    user, event = call("/user", id="u1", key="extid"), call("/event", **JOINED)
    await pipe.post(user | same, event | same, event | same)
    await pipe.run(60)
    assert await pipe.counts() == {"delivered": 2, "duplicates": 1}


@pytest.mark.parametrize(
    ("dead", "later", "is_overtaken"),
    [
        (call("/user", id="u1", key="extid", vars={"city": "died"}), identify("u1"), True),
        (call("/user", id="u1", key="extid", vars={"city": "died"}), added("u1"), False),
        (call("/purchase", email=EMAIL, items=[{**ITEM, "id": "died"}], incomplete=1), added("u1"), True),
        (added("u1", "died"), bought(), True),
        (added("u1", "died"), bought(incomplete=1), True),
        (bought(message_id="died"), bought(), False),
        (call("/event", **JOINED, vars={"a": "died"}), call("/event", **JOINED), False),
    ],
    ids=["user", "user and cart", "cart", "order", "later cart", "orders", "events"],
)  # fmt: skip
async def test_a_call_is_overtaken_as_a_mapped_event_is(
    pipe: Pipe, dead: dict[str, Any], later: dict[str, Any], *, is_overtaken: bool
) -> None:
    """A replay of everything leaves out what would undo something later."""
    await pipe.post(identify("u1"))
    await pipe.run(60)
    pipe.sailthru.trouble(REFUSED, about="died", times=1)
    await pipe.post(dead)
    await pipe.run(60)
    await pipe.post(later)
    await pipe.run(60)
    letters = await DeadLetters(pipe.redis, ACCOUNT).select(Filter())
    assert letters.overtaken == ({"m2"} if is_overtaken else frozenset())


@pytest.mark.parametrize("endpoint", ["/purchase", "/return"])
async def test_orders_and_returns_are_the_last_letters_to_be_removed(
    pipe: Pipe, endpoint: str
) -> None:
    """As mapped ones are, beyond DEAD_MAX."""
    pipe.sailthru.trouble(REFUSED, times=1)
    await pipe.post(call(endpoint, **TEA))
    await pipe.run(60)
    (letter,) = await pipe.letters()
    assert letter.header.order


async def test_an_order_empties_the_cart_for_the_next_change(pipe: Pipe) -> None:
    """What was bought does not come back."""
    await pipe.post(identify("u1"), added("u1", "old"), bought(purchase_keys={"extid": "o1"}))
    await pipe.post(added("u1", "new"))
    await pipe.run(60)
    last = pipe.sailthru.calls("POST /purchase")[-1]
    assert [one["id"] for one in last.params["items"]] == ["new"]


async def test_an_opt_out_of_a_call_is_known_to_the_mapped_ones_behind_it(pipe: Pipe) -> None:
    """An opt-out that was said before is not said again, unless another came between."""
    of_event = track("u1", "Read") | {"integrations": {"Sailthru": {"optoutValue": "all"}}}
    lifted = call("/user", id="u1", key="extid", optout_email="none")
    await pipe.post(identify("u1"), of_event, lifted, {**of_event, "messageId": "again"})
    await pipe.run(60)
    sent = [one.params.get("optout_email") for one in pipe.sailthru.calls("POST /user")]
    assert [one for one in sent if one] == ["all", "none", "all"]


@pytest.mark.parametrize("refusal", [REFUSED, BAD_ADDRESS])
async def test_what_sailthru_refuses_is_a_letter_that_can_be_mended(
    pipe: Pipe, refusal: Any
) -> None:
    """Nothing is left out of it to please Sailthru; the letter has what came in."""
    pipe.sailthru.trouble(refusal, on="POST /user", times=1)
    sent = call("/user", id="u1", key="extid", keys={"email": EMAIL})
    await pipe.post(sent)
    await pipe.run(60)
    (letter,) = await pipe.letters()
    row = letter.as_row()
    assert (row["reason"], row["type"], row["user"], row["lane"]) == (
        *("rejected", "sailthru", "u1", "user"),
    )
    assert json.loads(letter.raw) == {"messageId": "m1", **sent}
    await pipe.moves.replay([letter.id])
    await pipe.run(60)
    assert await pipe.counts() == {"delivered": 1}


async def test_a_call_that_sailthru_cannot_take_is_a_letter_without_a_call(pipe: Pipe) -> None:
    """It came by XADD, where nothing is checked."""
    await pipe.post_raw(
        [
            {"event": b'{"type":"sailthru","endpoint":"/user","params":{"id":"u1","n":1e400}}'},
            {"event": b'{"type":"sailthru","endpoint":"/send","params":{"id":"u1"}}'},
            {"event": b'{"type":"sailthru","endpoint":"/event","params":[]}'},
            {"event": json.dumps(call("/event", id="u1", event="open"))},
        ]
    )
    await pipe.run(60)
    assert pipe.sailthru.sent == []
    reasons = ["invalid_event", "invalid_event", "reserved_event", "unmappable"]
    assert sorted(await pipe.reasons()) == reasons


async def test_a_page_may_send_no_call_of_sailthrus_own(pipe: Pipe) -> None:
    """Whoever reads its key could do what the account's secret may."""
    raw = json.dumps(call("/user", id="u1", key="extid"))
    await pipe.post_raw([{"event": raw, "role": "browser"}])
    await pipe.run(60)
    assert pipe.sailthru.sent == []
    assert await pipe.counts() == {"ignored:refused_by_role": 1}


TROUBLES: Sequence[tuple[Answer | None, bool]] = (
    (None, True),
    (None, False),
    (TIMED_OUT, True),
    (TIMED_OUT, False),
    (BAD_GATEWAY, True),
)
"""What may happen to one call: its worker is killed, or its answer lost; and whether it was carried out."""
STEPS = st.lists(
    st.one_of(
        st.sampled_from(("order", "equal order", "cart", "empty", "mapped order", "added")),
        st.tuples(st.sampled_from(TROUBLES), st.sampled_from(("POST", "POST", "GET"))),
        st.sampled_from((0.05, 5.0, 20.0)),
    ),
    min_size=2,
    max_size=12,
).filter(lambda steps: sum(isinstance(step, tuple) for step in steps) < POISON_AFTER)


def event_of(step: str, number: int) -> dict[str, Any]:
    """The event of one step; `number` tells those of one kind apart."""
    one = [{**ITEM, "id": f"p{number}"}]
    match step:
        case "order":
            return call("/purchase", email=EMAIL, items=one, purchase_keys={"extid": f"n{number}"})
        case "equal order":
            return call("/purchase", email=EMAIL, items=[ITEM], message_id=str(number))
        case "cart":
            return call("/purchase", email=EMAIL, items=one, incomplete=1)
        case "empty":
            return call("/purchase", email=EMAIL, items=[], incomplete=1)
        case "mapped order":
            return order("u1", f"o{number}")
        case _:
            return added("u1", f"a{number}")


async def bought_and_left(steps: Sequence[Any], *, calm: bool) -> tuple[list[Any], list[Any]]:
    """The orders that Sailthru has, in order, and the cart, after these steps; `calm`: one by one, without troubles."""
    async with open_pipe() as pipe:
        await pipe.post(identify("u1"))
        await pipe.run(10)
        for number, step in enumerate(steps):
            if isinstance(step, str):
                await pipe.post(event_of(step, number))
            elif isinstance(step, float):
                await pipe.run(step)
            elif not calm:
                (answer, processed), method = step
                on = f"{method} /purchase"
                pipe.sailthru.trouble(answer, on=on, processed=processed, times=1)
            if calm:
                await pipe.run(60)
        await pipe.run(3600)
        assert (await pipe.counts()).keys() - {"folded"} == {"delivered"}
        state = pipe.sailthru.sandbox.state
        (profile,) = state.profiles
        cart = [one["id"] for one in profile.cart.shown["items"]] if profile.cart else []
        return [one.extid for one in state.purchases], cart


@settings(max_examples=20)
@given(STEPS)
def test_whatever_is_lost_or_killed_every_order_is_there_once_and_the_cart_is_right(
    steps: Sequence[Any],
) -> None:
    """As if the same calls and mapped events had been sent one after the other."""

    async def run() -> None:
        stormy = await bought_and_left(steps, calm=False)
        assert stormy == await bought_and_left(steps, calm=True)

    asyncio.run(run())
