"""Carts of a shop whose platform never sends a userId (CART_USERS=any)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.pipe import Pipe, added, open_pipe, order, product, removed, track

Event = dict[str, Any]
WHO: Event = {"userId": None, "anonymousId": "till"}
TEA, MUG = "tea", "mug"


@pytest.fixture
async def shop() -> AsyncIterator[Pipe]:
    """A pipeline that makes carts for anybody whose email is known."""
    async with open_pipe(cart_users="any", read_lag=3.0) as pipe:
        yield pipe


def visit(email: str) -> Event:
    """The newsletter box."""
    return {"type": "identify", **WHO, "traits": {"email": email}}


def put(item: str, email: str | None = None) -> Event:
    shown = {"context": {"traits": {"email": email}}} if email else {}
    return added("", item, email=False) | WHO | shown


def take(item: str) -> Event:
    return track("", "Product Removed", **product(item)) | WHO


def bought(number: str, email: str | None = None) -> Event:
    shown = {"context": {"traits": {"email": email}}} if email else {}
    return order("", number, email=False) | WHO | shown


def cart(pipe: Pipe, email: str) -> list[tuple[str, int]]:
    """What Sailthru shows as somebody's cart: ids and quantities."""
    profile = pipe.sailthru.sandbox.state.profiles.find("email", email)
    if profile is None or profile.cart is None:
        return []
    return [(item["id"], item["qty"]) for item in profile.cart.shown["items"]]


@pytest.mark.parametrize("gap_s", [0.0, 1.0, 600.0])
async def test_a_visitor_whose_email_was_learned_has_a_cart(shop: Pipe, gap_s: float) -> None:
    """It is changed, bought and begun anew like a customer's, within the read lag and after it."""
    for event in (visit("sho@example.org"), put(TEA), put(MUG), put(TEA), take(MUG)):
        await shop.post(event)
        await shop.run(gap_s)
    await shop.run(30)
    assert cart(shop, "sho@example.org") == [(TEA, 2)]
    await shop.post(bought("o1"))
    await shop.run(gap_s)
    await shop.post(put(MUG))
    await shop.run(30)
    assert cart(shop, "sho@example.org") == [(MUG, 1)]
    assert await shop.counts() == {"delivered": 7}


async def test_a_cart_change_that_shows_the_visitors_email_needs_no_other_event(shop: Pipe) -> None:
    """A logged-in visitor of such a shop."""
    await shop.post(put(TEA, "sho@example.org"))
    await shop.run(30)
    assert cart(shop, "sho@example.org") == [(TEA, 1)]


async def test_a_visitor_without_an_email_has_no_cart_and_delays_no_other(shop: Pipe) -> None:
    """Most visitors never show one: their changes do not wait for days."""
    await shop.post(put(TEA), removed("ann"))
    await shop.run(30)
    assert sorted(await shop.reasons()) == ["missing_user_id", "nothing_to_remove"]


@pytest.mark.parametrize("gap_s", [0.0, 600.0])
@pytest.mark.parametrize("buys", [False, True])
async def test_of_two_people_at_one_device_each_has_a_cart(
    shop: Pipe, gap_s: float, buys: bool
) -> None:
    """What one of them put in or bought is neither in the other's cart nor gone from it."""
    bob, ann = "bob@example.org", "ann@example.org"
    await shop.post(put("book", bob))
    await shop.run(600)
    await shop.post(put(TEA, ann))
    await shop.run(gap_s)
    if buys:
        await shop.post(bought("o1", ann))
        await shop.run(gap_s)
    await shop.post(put(MUG, bob))
    await shop.run(30)
    assert cart(shop, bob) == [("book", 1), (MUG, 1)]
    assert cart(shop, ann) == ([] if buys else [(TEA, 1)])
