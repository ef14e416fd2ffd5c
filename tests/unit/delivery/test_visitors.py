"""A visitor who shows a customer's email reaches the customer's profile, and leaves it its extid."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.events.models import Lane
from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.profiles import Profile
from pipeline.storage import keys
from tests.support.fake_sailthru import NOT_SENT, REFUSED
from tests.support.pipe import ACCOUNT, START, Pipe, added, identify, open_pipe, order, page, track

ANN = "ann@example.org"
BY_EMAIL = "GET /user"


def visitor(anonymous_id: str, **fields: Any) -> dict[str, Any]:
    """What makes an event a visitor's."""
    return {"userId": None, "anonymousId": anonymous_id, **fields}


def visit(anonymous_id: str, email: str = ANN, /, **traits: Any) -> dict[str, Any]:
    """An identify without a userId: the newsletter box."""
    return {"type": "identify", "anonymousId": anonymous_id, "traits": {"email": email, **traits}}


def imported(pipe: Pipe, email: str = ANN, **more: str) -> None:
    """A profile that no event told us of."""
    wanted = {"id": email, "key": "email", "keys": more, "keysconflict": "merge"}
    pipe.sailthru.sandbox.handle("POST", "/user", wanted, START - 60)


def profile(pipe: Pipe, email: str = ANN) -> Profile:
    found = pipe.sailthru.sandbox.state.profiles.find("email", email)
    assert found is not None
    return found


def addressed(pipe: Pipe, bucket: str) -> list[tuple[Any, Any]]:
    """Key and id of each call of a bucket."""
    return [(call.params["key"], call.params["id"]) for call in pipe.sailthru.calls(bucket)]


async def test_a_visitor_with_a_customers_email_is_delivered_to_the_customer(pipe: Pipe) -> None:
    """The visitor's later events are, too; the customer's own events still find their profile."""
    await pipe.post(identify("ann", traits={"email": ANN, "plan": "gold"}))
    await pipe.run(600)
    await pipe.post(visit("phone", "Ann@Example.org", news=True))
    await pipe.post(track("", "Looked") | visitor("phone"), page("") | visitor("phone"))
    await pipe.post(track("ann", "Paid"))
    await pipe.run(10)
    [one] = pipe.sailthru.sandbox.state.profiles
    assert (one.keys["extid"], one.keys["email"]) == ("ann", ANN)
    assert one.vars == {"plan": "gold", "news": True}
    assert addressed(pipe, "POST /event") == [("extid", "ann")] * 2
    [seen] = pipe.sailthru.sandbox.state.pageviews
    assert seen["params"]["userIdValue"] == "ann"
    assert pipe.sailthru.calls(BY_EMAIL) == []
    assert await pipe.counts() == {"delivered": 5}


@pytest.mark.parametrize("kind", ["identify", "Subscribed"])
async def test_a_visitor_with_the_email_of_an_unknown_profile_does_not_replace_its_extid(
    pipe: Pipe, kind: str
) -> None:
    """It is looked up, once; the call is addressed by the email, and later events by that extid."""
    imported(pipe, extid="crm-1")
    subscribed = track("", "Subscribed", list="News", email=ANN) | visitor("phone")
    first = visit("phone", n=1) if kind == "identify" else subscribed
    await pipe.post(first, track("", "Looked") | visitor("phone"))
    await pipe.run(10)
    await pipe.post(visit("phone", n=2), track("", "Came back") | visitor("phone"))
    await pipe.run(10)
    [one] = pipe.sailthru.sandbox.state.profiles
    assert one.keys["extid"] == "crm-1"
    assert one.vars["n"] == 2
    assert addressed(pipe, BY_EMAIL) == [("email", ANN)]
    assert addressed(pipe, "POST /user") == [("email", ANN)] * 2
    assert addressed(pipe, "POST /event") == [("extid", "crm-1")] * 2
    assert await pipe.counts() == {"delivered": 4}


async def test_events_that_wait_behind_a_visitors_identify_go_where_it_went(pipe: Pipe) -> None:
    """They lie in the visitor's mailbox already when the profile is found."""
    imported(pipe, extid="crm-1")
    trouble = pipe.sailthru.trouble(NOT_SENT, on="POST /user")
    await pipe.post(visit("phone"), track("", "Looked") | visitor("phone"))
    await pipe.run(20)
    assert await pipe.waiting(Lane.EVENT, "phone") == ["m2"]
    pipe.sailthru.troubles.remove(trouble)
    await pipe.run(30)
    assert addressed(pipe, "POST /event") == [("extid", "crm-1")]
    assert await pipe.counts() == {"delivered": 2}


@pytest.mark.parametrize("known", [{}, {"extid": "phone"}, None])
async def test_without_another_extid_the_anonymous_id_is_the_extid(
    pipe: Pipe, known: dict[str, str] | None
) -> None:
    """No profile, one that is known by email alone, or the visitor's own."""
    if known is not None:
        imported(pipe, **known)
    await pipe.post(visit("phone", n=1), track("", "Looked") | visitor("phone"))
    await pipe.run(10)
    await pipe.post(visit("phone", n=2))
    await pipe.run(10)
    [one] = pipe.sailthru.sandbox.state.profiles
    assert (one.keys["extid"], one.keys["email"], one.vars) == ("phone", ANN, {"n": 2})
    assert addressed(pipe, BY_EMAIL) == [("email", ANN)]
    assert addressed(pipe, "POST /event") == [("extid", "phone")]


async def test_a_visitor_is_looked_up_once_for_an_email_and_again_for_another(pipe: Pipe) -> None:
    """It is not looked up for each identify, nor again when the first call failed."""
    pipe.sailthru.trouble(NOT_SENT, on="POST /user", times=1)
    for number in range(5):
        await pipe.post(visit("phone", n=number))
        await pipe.run(30)
    assert addressed(pipe, BY_EMAIL)[2:] == []
    asked = len(addressed(pipe, BY_EMAIL))
    await pipe.post(visit("phone", "other@example.org"))
    await pipe.run(10)
    assert addressed(pipe, BY_EMAIL)[asked:] == [("email", "other@example.org")]


async def test_a_customer_whom_reads_do_not_show_yet_keeps_the_extid() -> None:
    """The visitor's identify came first and waits; the customer's is delivered meanwhile."""
    async with open_pipe(sandbox=SandboxOptions(lag_s=3600.0)) as pipe:
        pipe.sailthru.trouble(NOT_SENT, on=BY_EMAIL, times=2)
        await pipe.post(visit("phone"))
        await pipe.run(1)
        await pipe.post(identify("ann"))
        await pipe.run(60)
        [one] = pipe.sailthru.sandbox.state.profiles
        assert one.keys["extid"] == "ann"
        await pipe.post(track("", "Looked") | visitor("phone"), track("ann", "Paid"))
        await pipe.run(10)
        assert addressed(pipe, "POST /event") == [("extid", "ann")] * 2


async def test_a_customer_who_shows_up_during_the_look_up_keeps_the_extid(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was learned is asked once more when the answer is in."""
    learned = [None, "ann"]

    async def owner(email: str, *, besides: str) -> str | None:
        assert (email, besides) == (ANN, "phone")
        return learned.pop(0)

    monkeypatch.setattr(pipe.store, "owner", owner)
    await pipe.post(visit("phone"))
    await pipe.run(5)
    assert addressed(pipe, "POST /user") == [("email", ANN)]
    assert learned == []


@pytest.mark.parametrize("gap_s", [0.0, 0.5, 60.0])
async def test_the_first_visitor_with_an_email_keeps_the_profile(gap_s: float) -> None:
    """Two devices, or the sessions of a shop that gives no userIds, however reads lag."""
    async with open_pipe(sandbox=SandboxOptions(lag_s=1.0)) as pipe:
        for number, name in enumerate(("phone", "tablet", "car")):
            await pipe.post(visit(name, ANN, **{name: number}))
            await pipe.run(gap_s)
        for name in ("phone", "tablet", "car"):
            await pipe.post(track("", "Looked") | visitor(name))
        await pipe.run(20)
        [one] = pipe.sailthru.sandbox.state.profiles
        assert one.keys["extid"] == "phone"
        assert one.vars == {"phone": 0, "tablet": 1, "car": 2}
        sent = sorted(addressed(pipe, "POST /event"), reverse=True)
        assert sent == [("extid", "phone"), ("email", ANN), ("email", ANN)]
        assert await pipe.counts() == {"delivered": 6}


async def test_a_visitor_whose_profile_becomes_a_customers_is_followed_there(pipe: Pipe) -> None:
    """The newsletter box first, the sign-up later and elsewhere: Sailthru makes one profile of both."""
    await pipe.post(visit("phone"))
    await pipe.run(60)
    assert profile(pipe).keys["extid"] == "phone"
    await pipe.post(identify("ann"))
    await pipe.run(60)
    assert profile(pipe).keys["extid"] == "ann"
    await pipe.post(track("", "Looked") | visitor("phone"))
    await pipe.run(10)
    assert addressed(pipe, "POST /event") == [("extid", "ann")]


async def test_signing_up_at_the_device_that_went_to_a_profile_makes_it_the_users(
    pipe: Pipe,
) -> None:
    """The visitor has no profile of their own to merge; a userId may take an extid's place."""
    imported(pipe, extid="crm-1")
    await pipe.post(visit("phone"))
    await pipe.run(10)
    await pipe.post(identify("ann", anonymousId="phone"), track("", "Looked") | visitor("phone"))
    await pipe.run(10)
    [one] = pipe.sailthru.sandbox.state.profiles
    assert one.keys["extid"] == "ann"
    assert addressed(pipe, "POST /event") == [("extid", "ann")]


async def test_the_next_person_at_a_device_is_not_the_one_before(pipe: Pipe) -> None:
    """Another email, which no profile has: the customer's profile, email and orders are left alone."""
    await pipe.post(identify("ann"), visit("till"), visit("till", "bob@example.org", bob=True))
    await pipe.post(track("", "Looked") | visitor("till"))
    await pipe.post(order("ann", "o1", email=False))
    await pipe.run(10)
    assert profile(pipe).keys["extid"] == "ann"
    assert "bob" not in profile(pipe).vars
    assert profile(pipe, "bob@example.org").keys["extid"] == "till"
    assert addressed(pipe, "POST /event") == [("extid", "till")]
    [bought] = pipe.sailthru.sandbox.state.purchases
    assert bought.email == ANN


async def test_a_visitor_does_not_give_a_customer_their_old_address_back(pipe: Pipe) -> None:
    """The identify that shows it is delivered to them all the same."""
    await pipe.post(identify("ann"))
    await pipe.run(5)
    await pipe.post(identify("ann", traits={"email": "new@example.org"}))
    await pipe.run(5)
    await pipe.post(visit("phone", n=1), order("ann", "o1", email=False))
    await pipe.run(10)
    [one] = pipe.sailthru.sandbox.state.profiles
    assert (one.keys["extid"], one.keys["email"], one.vars) == ("ann", "new@example.org", {"n": 1})
    [bought] = pipe.sailthru.sandbox.state.purchases
    assert bought.email == "new@example.org"


async def test_a_visitors_letter_is_replayed_to_the_later_owner_of_the_email(pipe: Pipe) -> None:
    """Dead before the customer was known; the mailbox it comes back to is the visitor's."""
    pipe.sailthru.trouble(REFUSED, on="POST /user", times=1)
    await pipe.post(visit("phone", n=1))
    await pipe.run(10)
    await pipe.post(identify("ann"))
    await pipe.run(10)
    assert await pipe.reasons() == ["rejected"]
    await pipe.moves.replay([letter.id for letter in await pipe.letters()])
    await pipe.run(10)
    [one] = pipe.sailthru.sandbox.state.profiles
    assert (one.keys["extid"], one.vars) == ("ann", {"n": 1})


async def test_a_visitors_identifies_fold_and_are_one_look_up_and_one_call(pipe: Pipe) -> None:
    """Those behind the first repeat its email or show none."""
    await pipe.pause("account")
    await pipe.post(visit("phone", a=1), visit("phone", b=2))
    await pipe.post(identify("", traits={"c": 3}) | visitor("phone"))
    await pipe.resume("account")
    await pipe.run(10)
    assert [len(pipe.sailthru.calls(name)) for name in (BY_EMAIL, "POST /user")] == [1, 1]
    assert profile(pipe).vars == {"a": 1, "b": 2, "c": 3}


async def test_a_visitor_of_a_found_profile_still_has_no_cart(pipe: Pipe) -> None:
    """A cart needs a userId (reference: document 001), and one mailbox in which it is changed."""
    imported(pipe, extid="crm-1")
    await pipe.post(visit("phone"))
    await pipe.run(10)
    await pipe.post(added("", email=False) | visitor("phone"))
    await pipe.run(10)
    assert await pipe.reasons() == ["missing_user_id"]


async def test_events_of_a_visitor_whose_profile_is_gone_are_ignored(pipe: Pipe) -> None:
    """Events of any visitor unknown to Sailthru are ignored: most visitors are never identified."""
    imported(pipe, extid="crm-1")
    await pipe.post(visit("phone"))
    await pipe.run(10)
    pipe.sailthru.sandbox.handle("DELETE", "/user", {"id": ANN, "key": "email"}, START + 10)
    await pipe.post(track("", "Looked") | visitor("phone"))
    await pipe.run(10)
    assert await pipe.counts() == {"delivered": 1, "ignored:unknown_user": 1}


async def test_what_is_remembered_of_a_visitor_is_one_email_and_where_it_went(pipe: Pipe) -> None:
    """It stays one, however many people use the device."""
    for number in range(3):
        await pipe.post(visit("phone", f"v{number}@example.org"))
        await pipe.run(10)
    fields = await pipe.redis.hgetall(keys.user(ACCOUNT, "phone"))
    assert fields[b"last_identify"] == b'["v2@example.org", "extid", "phone"]'
