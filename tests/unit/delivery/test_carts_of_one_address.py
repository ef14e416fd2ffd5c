"""Carts of several ids that have one address: Sailthru keeps one cart there, whoever changes it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.sandbox.options import SandboxOptions
from pipeline.storage import keys
from tests.support.fake_sailthru import TIMED_OUT
from tests.support.pipe import ACCOUNT, Pipe, added, identify, open_pipe, order, product, track

ANN, BOB = "ann@example.org", "bob@example.org"
BROWSER, SERVER = "browser", "server"
LAGGING = SandboxOptions(lag_s=1.0, unknown_user_on_event=False)


@pytest.fixture
async def shop() -> AsyncIterator[Pipe]:
    """A pipeline whose Sailthru's reads lag its writes by a second."""
    async with open_pipe(sandbox=LAGGING) as pipe:
        yield pipe


def of(email: str | None) -> dict[str, Any]:
    return {"context": {"traits": {"email": email}}} if email else {}


def put(user: str, item: str, email: str | None = ANN) -> dict[str, Any]:
    return added(user, item, email=False) | of(email)


def take(user: str, item: str, email: str | None = ANN) -> dict[str, Any]:
    return track(user, "Product Removed", **product(item)) | of(email)


def buy(user: str, number: str, email: str | None = ANN) -> dict[str, Any]:
    return order(user, number, email=False) | of(email)


def cart(pipe: Pipe, email: str = ANN) -> dict[str, int]:
    """What Sailthru has in somebody's cart."""
    profile = pipe.sailthru.sandbox.state.profiles.find("email", email)
    if profile is None or profile.cart is None:
        return {}
    return {item["id"]: item["qty"] for item in profile.cart.shown["items"]}


@pytest.mark.parametrize("is_known", [False, True])
@pytest.mark.parametrize("gap_s", [0.0, 0.5, 600.0])
async def test_what_the_server_sold_is_not_in_the_browsers_cart_again(
    shop: Pipe, gap_s: float, is_known: bool
) -> None:
    """No alias joins the two ids; Sailthru has a profile of the browser's, or none."""
    if is_known:
        await shop.post(identify(BROWSER, traits={"email": ANN}))
    await shop.post(put(BROWSER, "p1"))
    await shop.run(10)
    await shop.post(buy(SERVER, "o1"))
    await shop.run(gap_s)
    await shop.post(put(BROWSER, "p2"))
    await shop.run(30)
    assert cart(shop) == {"p2": 1}


async def test_an_id_that_is_new_adds_to_what_lies_in_the_cart_of_its_address(shop: Pipe) -> None:
    await shop.post(put(BROWSER, "p1", ANN.upper()))
    await shop.run(10)
    await shop.post(put("phone", "p2"))
    await shop.run(30)
    assert cart(shop) == {"p1": 1, "p2": 1}


async def test_an_address_that_only_a_profile_shows_leads_to_its_cart_too(shop: Pipe) -> None:
    """The profile is read before it shows that another id has bought."""
    await shop.post(identify(BROWSER, traits={"email": ANN}))
    await shop.run(10)
    await shop.redis.delete(keys.user(ACCOUNT, BROWSER))
    await shop.post(put("phone", "p1"))
    await shop.run(10)
    await shop.post(buy(SERVER, "o1"))
    await shop.run(0.5)
    await shop.post(put(BROWSER, "p2", None))
    await shop.run(30)
    assert cart(shop) == {"p2": 1}


async def test_a_change_that_is_tried_again_is_made_to_the_cart_that_an_order_emptied_meanwhile(
    shop: Pipe,
) -> None:
    await shop.post(put(BROWSER, "p1"))
    await shop.run(10)
    shop.sailthru.trouble(TIMED_OUT, on="POST /purchase", processed=False, times=1)
    await shop.post(put(BROWSER, "p2"))
    await shop.run()
    await shop.post(buy(SERVER, "o1"))
    await shop.run(60)
    assert cart(shop) == {"p2": 1}


async def test_an_order_that_is_only_found_by_its_look_up_has_emptied_the_cart_of_its_address(
    shop: Pipe,
) -> None:
    await shop.post(put(BROWSER, "p1"))
    await shop.run(10)
    shop.sailthru.trouble(TIMED_OUT, on="POST /purchase", processed=True, times=1)
    await shop.post(buy(SERVER, "o1"))
    await shop.run(60)
    await shop.post(put(BROWSER, "p2"))
    await shop.run(30)
    assert cart(shop) == {"p2": 1}


async def test_a_cart_for_somebody_else_starts_from_nothing_of_the_buyers_address(
    shop: Pipe,
) -> None:
    """What another id has in the cart of the buyer's address is not sent to the other's."""
    await shop.post(track(BROWSER) | of(ANN), put("phone", "p1"))
    await shop.run(10)
    await shop.post(track(BROWSER, "Product Added", **product("p2"), email=BOB))
    await shop.run(30)
    assert (cart(shop), cart(shop, BOB)) == ({"p1": 1}, {"p2": 1})


async def test_an_address_that_a_page_alone_has_shown_brings_no_cart_to_another(shop: Pipe) -> None:
    """A page says that the address of its visitor is Ann's; the visitor's profile has Bob's."""
    await shop.post(identify(BROWSER, traits={"email": BOB}), put("phone", "p1"))
    await shop.run(10)
    fields = {"email": ANN, "email_strength": "3", "email_by": "browser"}
    await shop.redis.hset(keys.user(ACCOUNT, BROWSER), mapping=fields)
    await shop.post(put(BROWSER, "p2", None))
    await shop.run(30)
    assert (cart(shop), cart(shop, BOB)) == ({"p1": 1}, {"p2": 1})


USERS = {"u1": ANN, "u2": ANN, "u3": ANN, "u4": BOB, "u5": BOB}
STEP = st.tuples(
    st.sampled_from(("put", "put", "put", "take", "buy", "identify")),
    st.sampled_from(sorted(USERS)),
    st.sampled_from(("p1", "p2")),
    st.booleans(),
    st.sampled_from((0.0, 0.5, 2.0, 600.0)),
)


@example(
    [("put", "u1", "p1", True, 0.5), ("buy", "u2", "p1", True, 0.5), ("put", "u1", "p2", True, 0.0)]
)
@settings(max_examples=25)
@given(st.lists(STEP, min_size=3, max_size=14))
def test_each_address_has_the_cart_of_all_that_its_ids_did_in_turn(
    steps: list[tuple[str, str, str, bool, float]],
) -> None:
    """A plain count of what was put in, taken out and bought agrees, however far reads lag."""
    expected: dict[str, Counter[str]] = {ANN: Counter(), BOB: Counter()}
    known: set[str] = set()

    async def run() -> None:
        async with open_pipe(sandbox=LAGGING) as pipe:
            for number, (what, user, item, shows, gap_s) in enumerate(steps):
                email, count = USERS[user], expected[USERS[user]]
                shown = email if shows or user not in known else None
                known.add(user)
                match what:
                    case "put":
                        count[item] += 1
                        await pipe.post(put(user, item, shown))
                    case "take" if count[item]:
                        count[item] -= 1
                        await pipe.post(take(user, item, shown))
                    case "buy":
                        count.clear()
                        await pipe.post(buy(user, f"o{number}", shown))
                    case _:
                        await pipe.post(identify(user, traits={"email": email}))
                await pipe.run(gap_s)
            await pipe.run(60)
            for email, count in expected.items():
                assert cart(pipe, email) == +count

    asyncio.run(run())
