"""Whose address an order, cart, refund or event leaves for, when other people's emails are about."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.sailthru.calls import Call
from pipeline.storage import keys
from tests.support.pipe import ACCOUNT, START, Pipe, added, identify, open_pipe, order, track

DAY_S = 86_400.0


def shared(user: str, email: str, **ids: Any) -> dict[str, Any]:
    """A custom event that names another person."""
    return track(user, "Document Shared", email=email, note="have a look") | ids


def beside(user: str, email: str) -> dict[str, Any]:
    """A custom event with its person's email in `context.traits`."""
    return track(user) | {"context": {"traits": {"email": email}}}


def refund(user: str) -> dict[str, Any]:
    page = {"page": {"url": "https://shop.example.org/account"}}
    return track(user, "Order Refunded", order_id="o1", total=12.5) | {"context": page}


def purchases(pipe: Pipe) -> list[Call]:
    """Every call that is addressed by an email alone."""
    return pipe.sailthru.calls("POST /purchase") + pipe.sailthru.calls("POST /return")


def emails(pipe: Pipe) -> set[str]:
    """The profiles that Sailthru has, by email."""
    profiles = pipe.sailthru.sandbox.state.profiles
    return {one.keys["email"] for one in profiles if "email" in one.keys}


async def test_what_a_customer_bought_never_goes_to_a_person_they_named_in_a_custom_event(
    pipe: Pipe,
) -> None:
    """Order with its confirmation mail, cart with its reminder, and refund."""
    mail = {"integrations": {"Sailthru": {"sendTemplate": "Thanks"}}}
    reminder = {"reminder_template": "Cart", "reminder_time": "60 minutes"}
    await pipe.post(identify("ann"), shared("ann", "max@example.net"))
    await pipe.post(order("ann", "o1", email=False) | mail)
    await pipe.post(added("ann", email=False, **reminder), refund("ann"))
    await pipe.run(10)
    assert [call.params["email"] for call in purchases(pipe)] == ["ann@example.org"] * 3
    assert emails(pipe) == {"ann@example.org"}
    [event] = pipe.sailthru.calls("POST /event")
    assert (event.params["id"], event.params["vars"]["email"]) == ("ann", "max@example.net")
    assert await pipe.counts() == {"delivered": 5}


async def test_a_custom_event_that_names_another_customer_is_its_own_persons(pipe: Pipe) -> None:
    """The other customer gets none of it, even when the person is known by an anonymousId alone."""
    visitor: dict[str, Any] = {"userId": None, "anonymousId": "a1"}
    await pipe.post(identify("bob"), identify("ann"), identify("", traits={}) | visitor)
    await pipe.post(*(shared("ann", f"{name}@example.org") for name in ("cat", "dan", "bob")))
    await pipe.post(shared("", "bob@example.org") | visitor)
    await pipe.run(10)
    ids = [call.params["id"] for call in pipe.sailthru.calls("POST /event")]
    assert sorted(ids) == ["a1", "ann", "ann", "ann"]
    assert await pipe.counts() == {"delivered": 7}


async def test_a_user_who_names_many_people_in_custom_events_is_no_shared_id(pipe: Pipe) -> None:
    """Ten invitations: what comes after them is delivered for the inviter, identifies included."""
    await pipe.post(identify("ann"), *(shared("ann", f"f{n}@example.net") for n in range(10)))
    await pipe.post(track("ann"), identify("ann", traits={"plan": "gold"}))
    await pipe.run(10)
    assert {call.params["id"] for call in pipe.sailthru.calls("POST /event")} == {"ann"}
    [profile] = pipe.sailthru.sandbox.state.profiles
    assert profile.vars == {"plan": "gold"}
    assert await pipe.counts() == {"delivered": 13, "folded": 1}


@pytest.mark.parametrize(
    ("user", "emails", "why"),
    [
        ("guest", 0, "userId is one of SHARED_IDS"),
        ("till", 6, "userId came with more than 5 emails in a day"),
    ],
)
async def test_a_letter_of_a_shared_id_says_why_it_counts_as_one(
    pipe: Pipe, user: str, emails: int, why: str
) -> None:
    """SHARED_IDS is a setting that can be changed; a till needs ids of its customers."""
    await pipe.post(*(beside(user, f"e{number}@example.org") for number in range(emails)))
    await pipe.post(track(user))
    await pipe.run(5)
    [letter] = await pipe.letters()
    assert letter.header.reason == "missing_user_id"
    assert letter.header.detail.endswith(f": {why}")


async def test_an_order_waits_rather_than_go_to_an_address_that_is_data() -> None:
    """Until an event shows the buyer's own."""
    async with open_pipe(email_wait=DAY_S) as pipe:
        await pipe.post(shared("ann", "max@example.net"), order("ann", "o1", email=False))
        await pipe.run(60)
        assert purchases(pipe) == []
        await pipe.post(identify("ann"))
        await pipe.run(5)
        assert [call.params["email"] for call in purchases(pipe)] == ["ann@example.org"]


async def test_a_guests_invitation_goes_to_no_friend(pipe: Pipe) -> None:
    """`guest` is an id, though it is shared: no profile is theirs."""
    await pipe.post(shared("guest", "max@example.net"))
    await pipe.run(5)
    assert await pipe.reasons() == ["missing_user_id"]
    assert pipe.sailthru.sent == []


async def test_an_order_that_shows_another_address_goes_to_that_address(pipe: Pipe) -> None:
    """An order's own property is evidence: it is learned for this buyer's later orders."""
    present = order("ann", "o1", email=False)
    present["properties"]["email"] = "mum@example.org"
    await pipe.post(present, order("ann", "o2", email=False))
    await pipe.run(10)
    assert [call.params["email"] for call in purchases(pipe)] == ["mum@example.org"] * 2


@pytest.mark.parametrize("beside", [identify, lambda user: beside(user, f"{user}@example.org")])
async def test_a_present_takes_the_place_of_no_address_that_tells_of_the_buyer(
    pipe: Pipe, beside: Any
) -> None:
    """The present goes where it says; the next order of the buyer is their own again."""
    present = order("ann", "o1", email=False)
    present["properties"]["email"] = "mum@example.org"
    await pipe.post(beside("ann"), present, order("ann", "o2", email=False))
    await pipe.run(10)
    sent = [call.params["email"] for call in purchases(pipe)]
    assert sent == ["mum@example.org", "ann@example.org"]


async def test_an_email_beside_an_event_takes_the_place_of_none_that_an_identify_stated(
    pipe: Pipe,
) -> None:
    """An old app keeps sending the address from before the change of it."""
    await pipe.post(identify("ann"), beside("ann", "old@example.org"))
    await pipe.post(order("ann", "o1", email=False))
    await pipe.run(10)
    assert [call.params["email"] for call in purchases(pipe)] == ["ann@example.org"]


async def test_any_email_that_an_event_shows_takes_the_place_of_one_that_was_looked_up(
    pipe: Pipe,
) -> None:
    """What an imported profile has may be years old."""
    wanted = {"id": "ann", "key": "extid", "keys": {"email": "crm@example.org"}}
    pipe.sailthru.sandbox.handle("POST", "/user", wanted, START - 60)
    await pipe.post(order("ann", "o1", email=False))
    await pipe.run(10)
    own = order("ann", "o2", email=False)
    own["properties"]["email"] = "new@example.org"
    await pipe.post(own, order("ann", "o3", email=False))
    await pipe.run(10)
    sent = [call.params["email"] for call in purchases(pipe)]
    assert sent == ["crm@example.org", "new@example.org", "new@example.org"]


async def test_a_visitors_order_goes_to_the_address_of_the_user_they_turn_out_to_be() -> None:
    """The strength of the user's address goes with it: the visitor's own, of a checkout, is weaker."""
    visitor: dict[str, Any] = {"userId": None, "anonymousId": "a1"}
    async with open_pipe(email_wait=DAY_S) as pipe:
        await pipe.post(identify("ann"), order("", "o1", email=False) | visitor)
        await pipe.run(60)
        assert purchases(pipe) == []
        await pipe.post(identify("ann", traits={}, anonymousId="a1"))
        await pipe.run(10)
        assert [call.params["email"] for call in purchases(pipe)] == ["ann@example.org"]
        fields = await pipe.redis.hgetall(keys.user(ACCOUNT, "a1"))
        assert fields[b"email_strength"] == b"1"


async def test_a_user_id_that_is_an_email_needs_no_other(pipe: Pipe) -> None:
    """Small shops have no other id: profile, order and cart are one person's, without a wait."""
    user = "Ida@example.org"
    who = {"id": user, "key": "extid"}
    await pipe.post(identify(user, traits={"name": "Ida"}), order(user, "o1", email=False))
    await pipe.post(added(user, "p2", email=False), added(user, "p3", email=False))
    await pipe.run(20)
    assert {call.params["email"] for call in purchases(pipe)} == {user}
    [profile] = pipe.sailthru.sandbox.state.profiles
    assert (profile.keys["extid"], profile.keys["email"]) == (user, "ida@example.org")
    assert profile.cart is not None
    assert [item["id"] for item in profile.cart.shown["items"]] == ["p2", "p3"]
    cart_look_ups = [
        call for call in pipe.sailthru.calls("GET /user") if who.items() <= call.params.items()
    ]
    assert len(cart_look_ups) <= 1
    assert await pipe.counts() == {"delivered": 4, "folded": 1}


async def test_a_cart_of_a_user_id_that_is_an_email_is_kept_while_no_profile_has_both(
    pipe: Pipe,
) -> None:
    """A cart is written by email and read by extid: until an identify joins them ours counts."""
    await pipe.post(added("ida@example.org", "p1", email=False))
    await pipe.run(60)
    await pipe.post(added("ida@example.org", "p2", email=False))
    await pipe.run(60)
    [profile] = pipe.sailthru.sandbox.state.profiles
    assert profile.cart is not None
    assert [item["id"] for item in profile.cart.shown["items"]] == ["p1", "p2"]


@pytest.mark.parametrize("lag_s", [0.0, 3600.0])
async def test_a_learned_email_comes_before_a_user_id_that_is_an_email(
    pipe: Pipe, lag_s: float
) -> None:
    """People change their address; the id that was made of the old one stays."""
    user = "old@example.org"
    await pipe.post(identify(user, traits={"email": "new@example.org"}))
    await pipe.run(lag_s)
    await pipe.post(identify(user, traits={"plan": "gold"}), order(user, "o1", email=False))
    await pipe.run(10)
    assert [call.params["email"] for call in purchases(pipe)] == ["new@example.org"]
    [profile] = pipe.sailthru.sandbox.state.profiles
    assert profile.keys["email"] == "new@example.org"
