"""Addresses that look deliverable and that Sailthru will not have: typos, and half of what is being typed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.mailbox.claim import REFUSED_KEPT
from pipeline.sailthru.calls import Call
from pipeline.sandbox.options import SandboxOptions
from pipeline.storage import keys
from tests.support.fake_sailthru import BAD_ADDRESS
from tests.support.pipe import ACCOUNT, START, Pipe, added, identify, open_pipe, order, track

Event = dict[str, Any]
DAY_S = 86_400.0
GOOD, BAD = "ann@example.org", "ann@example.c"
VISITOR: Event = {"userId": None, "anonymousId": "a1"}


def says(email: str, user: str = "ann", **traits: Any) -> Event:
    """An identify."""
    return identify(user, traits={"email": email, **traits})


def bought(email: str | None = None, number: str = "o1", **fields: Any) -> Event:
    event = order("ann", number, email=False)
    if email:
        event["properties"]["email"] = email
    return event | fields


def sent(pipe: Pipe, bucket: str = "POST /purchase") -> list[str]:
    """The address of each call of a bucket that Sailthru took or refused."""
    return [str(call.address) for call in pipe.sailthru.calls(bucket)]


def taken(pipe: Pipe) -> list[str]:
    """Whose the orders are that Sailthru has."""
    return [one.email for one in pipe.sailthru.sandbox.state.purchases]


async def remembered(pipe: Pipe, user: str = "ann") -> dict[str, str]:
    fields = await pipe.redis.hgetall(keys.user(ACCOUNT, user))
    return {name.decode(): value.decode() for name, value in fields.items()}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("lag_s", [0.0, 5.0])
async def test_a_mistyped_address_costs_neither_the_identify_nor_the_order_behind_it(
    together: bool, lag_s: float
) -> None:
    """The identify goes out without it, and the order to the good one that came before."""
    async with open_pipe(sandbox=SandboxOptions(lag_s=lag_s)) as pipe:
        for event in (says(GOOD), says(BAD, plan="gold"), bought()):
            await pipe.post(event)
            await pipe.run(0.0 if together else 60.0)
        await pipe.run(600)
        assert taken(pipe) == [GOOD]
        [profile] = pipe.sailthru.sandbox.state.profiles
        assert (profile.keys["email"], profile.vars) == (GOOD, {"plan": "gold"})
        assert await pipe.counts() == {"delivered": 3, "notes:traits.email": 1}


async def test_an_address_is_refused_once_a_day(pipe: Pipe) -> None:
    """It is remembered beside its user, in any spelling of its case, and asked about again after a day."""
    await pipe.post(says(BAD), says(BAD.upper(), n=1), bought(BAD))
    await pipe.run(60)
    assert sent(pipe, "POST /user") == [BAD, "None"]
    assert sent(pipe) == []
    await pipe.post(says(GOOD))
    await pipe.run(60)
    assert taken(pipe) == [GOOD]
    await pipe.run(DAY_S)
    await pipe.post(says(BAD, n=2))
    await pipe.run(60)
    assert sent(pipe, "POST /user")[-2:] == [BAD, "None"]
    noted = {"notes:traits.email": 3, "notes:properties.email": 1}
    assert await pipe.counts() == {"delivered": 5, "folded": 1} | noted


async def test_an_address_that_was_refused_days_ago_is_learned_like_any_other(pipe: Pipe) -> None:
    """Sailthru may have taken it meanwhile; what a look-up shows then is waited for by nothing."""
    await pipe.post(says(BAD))
    await pipe.run(DAY_S + 60)
    shown = {"id": "ann", "key": "extid", "keys": {"email": "ann@example.cc"}}
    pipe.sailthru.sandbox.handle("POST", "/user", shown, pipe.clock.now() - 60)
    await pipe.redis.hset(
        keys.user(ACCOUNT, "ann"),
        "refused",
        json.dumps({"ann@example.cc": pipe.now_ms() - 2 * 86_400_000}),
    )
    await pipe.post(bought(), bought(number="o2"))
    await pipe.run(60)
    assert taken(pipe) == ["ann@example.cc"] * 2
    assert (await remembered(pipe))["email"] == "ann@example.cc"


async def test_a_refused_address_is_unlearned_and_not_learned_again(pipe: Pipe) -> None:
    """Until Sailthru shows one or an event shows another."""
    await pipe.post(says(BAD))
    assert (await remembered(pipe))["email"] == BAD
    await pipe.run(10)
    await pipe.post(says(BAD), track("ann") | {"context": {"traits": {"email": BAD}}})
    await pipe.run(10)
    fields = await remembered(pipe)
    assert not {"email", "email_strength", "email_at"} & fields.keys()
    assert list(json.loads(fields["refused"])) == [BAD]
    await pipe.post(says(GOOD))
    assert (await remembered(pipe))["email"] == GOOD


async def test_what_sailthru_refused_falls_through_to_the_next_address(pipe: Pipe) -> None:
    """Own context, own property, learned, userId, profile: each is tried once."""
    user = "id..x@example.org"  # no address for Sailthru, though it looks like one
    wanted = {"id": user, "key": "extid", "keys": {"email": GOOD}}
    pipe.sailthru.sandbox.handle("POST", "/user", wanted, START - 60)
    event = bought("own..1@example.org", userId=user)
    event["context"] = {"traits": {"email": "own..2@example.org"}}
    await pipe.post(event)
    await pipe.run(60)
    assert sent(pipe) == ["own..2@example.org", "own..1@example.org", user, GOOD]
    assert taken(pipe) == [GOOD]
    noted = {"notes:context.traits.email": 1, "notes:properties.email": 1}
    assert await pipe.counts() == {"delivered": 1} | noted


@pytest.mark.parametrize(
    ("event", "path"),
    [
        (bought(BAD), "properties.email"),
        (
            added("ann", email=False) | {"context": {"traits": {"email": BAD}}},
            "context.traits.email",
        ),
    ],
)
async def test_what_has_no_other_address_waits_for_one(event: Event, path: str) -> None:
    """It goes on as soon as one is shown, without another call to the bad one."""
    async with open_pipe(email_wait=DAY_S) as pipe:
        await pipe.post(event)
        await pipe.run(60)
        await pipe.post(says(GOOD))
        await pipe.run(10)
        assert sent(pipe) == [BAD, GOOD]
        assert await pipe.counts() == {"delivered": 2, f"notes:{path}": 1}


async def test_an_order_that_waited_in_vain_is_replayed_by_a_good_address() -> None:
    """It died of the bad one, and comes back by itself."""
    async with open_pipe(email_wait=60.0) as pipe:
        await pipe.post(bought(BAD))
        await pipe.run(120)
        assert await pipe.reasons() == ["missing_email"]
        await pipe.post(says(GOOD))
        await pipe.run(10)
        assert taken(pipe) == [GOOD]


async def test_replay_helps_what_died_of_a_bad_address(pipe: Pipe) -> None:
    """While a fifth of all answers called addresses bad, it was tried again until it died."""
    await pipe.post(bought("o..1@example.org"))
    pipe.sailthru.trouble(BAD_ADDRESS, on="POST /purchase", times=1)
    await pipe.post(*(says(f"x..{n}@example.org", f"u{n}") for n in range(6)))
    await pipe.run(60)
    await pipe.post(says(GOOD))
    await pipe.run(6 * 3600)
    await pipe.moves.replay([letter.id for letter in await pipe.letters()])
    await pipe.run(60)
    assert taken(pipe) == [GOOD]
    assert await pipe.reasons() == []


async def test_a_guest_whose_only_address_is_refused_dies_at_once(pipe: Pipe) -> None:
    """No later event can show another of somebody without an id."""
    await pipe.post(bought(BAD, userId=None))
    await pipe.run(60)
    assert await pipe.reasons() == ["rejected"]


async def test_a_refusal_of_nearly_all_addresses_costs_nobody_theirs(pipe: Pipe) -> None:
    """Sailthru's trouble: from the fifth user on the calls are tried again, and delivered afterwards."""
    names = [f"u{number}" for number in range(12)]
    trouble = pipe.sailthru.trouble(BAD_ADDRESS, on="POST /user", about="@")
    await pipe.post(*map(identify, names))
    await pipe.run(5)
    pipe.sailthru.troubles.remove(trouble)
    await pipe.run(3600)
    profiles = [one.keys.get("email") for one in pipe.sailthru.sandbox.state.profiles]
    assert await pipe.counts() == {"delivered": 12, "notes:traits.email": 4}
    assert len([email for email in profiles if email]) >= 8


async def test_an_address_that_is_sent_while_it_is_typed_ends_with_the_whole_one(
    pipe: Pipe,
) -> None:
    """What has no dot in its domain is noted, what Sailthru refuses is left out, and the last one counts."""
    whole = "tina.long@shop.example"
    for length in range(4, len(whole) + 1):
        await pipe.post(identify("", traits={"email": whole[:length], "n": length}) | VISITOR)
        await pipe.run(0.4)
    await pipe.post(track("", "Checkout Started") | VISITOR, bought(userId=None, anonymousId="a1"))
    await pipe.run(60)
    assert taken(pipe) == [whole]
    [profile] = pipe.sailthru.sandbox.state.profiles
    assert (profile.keys["email"], profile.keys["extid"]) == (whole, "a1")
    assert profile.vars["n"] == len(whole)
    assert "dead" not in " ".join(await pipe.counts())


async def test_one_bad_address_after_the_other_is_refused_once_each(
    pipe: Pipe,
) -> None:
    """However long an address is typed, the latest few are remembered."""
    typed = ["a..a@x." + "organisations"[:length] for length in range(1, 14)]
    await pipe.post(*map(says, typed))
    await pipe.run(60)
    refused = [one for one in sent(pipe, "POST /user") if one != "None"]
    assert refused == typed
    assert await pipe.counts() == {"delivered": len(typed), "notes:traits.email": len(typed)}
    assert len(json.loads((await remembered(pipe))["refused"])) == REFUSED_KEPT


def test_the_address_of_a_call_is_the_email_it_names_or_gives() -> None:
    """Of a purchase, of a profile's keys, and of the id."""
    by_email = {"id": GOOD, "key": "email"}
    assert Call("POST", "/purchase", {"email": GOOD}).address == GOOD
    assert (
        Call("POST", "/user", {"id": "u", "key": "extid", "keys": {"email": GOOD}}).address == GOOD
    )
    assert Call("GET", "/user", by_email).address == GOOD
    assert Call("POST", "/user", {"id": "u", "key": "extid"}).address is None
