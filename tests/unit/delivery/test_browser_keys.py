"""What a write key of role `browser` can do to anybody, from the raw entry to the calls that leave."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.deadletters.export import export_line
from pipeline.events.models import Lane
from pipeline.sailthru.calls import Call
from pipeline.storage import keys
from tests.support.fake_sailthru import REFUSED
from tests.support.pipe import ACCOUNT, Pipe, identify, open_pipe, order, product, track
from tests.unit.mapping import strategies

USER, EVENT, CART = "POST /user", "POST /event", "POST /purchase"
EVIL = "eve@example.net"


async def from_page(pipe: Pipe, *events: dict[str, Any]) -> None:
    """As a key of role `browser` sends them."""
    await pipe.post_raw([{"event": json.dumps(event), "role": "browser"} for event in events])


def shown(user: str, email: str = EVIL, **more: Any) -> dict[str, Any]:
    return {"type": "identify", "userId": user, "traits": {"email": email, "size": 7}, **more}


def emails(pipe: Pipe) -> dict[str, str]:
    """Extid -> email, as Sailthru has them."""
    profiles = pipe.sailthru.sandbox.state.profiles
    return {one.keys["extid"]: one.keys.get("email", "") for one in profiles if "extid" in one.keys}


async def learned(pipe: Pipe, user: str) -> tuple[bytes | None, ...]:
    found: Any = await pipe.redis.hmget(keys.user(ACCOUNT, user), "email", "email_strength")
    return tuple(found)


async def test_a_page_cannot_give_a_user_another_address(pipe: Pipe) -> None:
    """The traits arrive, the order goes where the server said."""
    await pipe.post(identify("ann"))
    await pipe.run(10)
    await from_page(pipe, shown("ann"))
    await pipe.post(order("ann", "o1", email=False))
    await pipe.run(10)
    assert emails(pipe) == {"ann": "ann@example.org"}
    assert pipe.sailthru.calls(USER)[-1].params == {
        "id": "ann",
        "key": "extid",
        "vars": {"size": 7},
    }
    [bought] = pipe.sailthru.calls(CART)
    assert bought.params["email"] == "ann@example.org"
    assert await learned(pipe, "ann") == (b"ann@example.org", b"1")


async def test_a_page_cannot_replace_an_address_that_only_sailthru_knows(pipe: Pipe) -> None:
    """A user who came to Sailthru before sailpipe did: the profile is looked up first."""
    pipe.sailthru.sandbox.handle(
        "POST", "/user", {"id": "ann", "key": "extid", "keys": {"email": "ann@example.org"}}, 1.0
    )
    await from_page(pipe, shown("ann"))
    await pipe.run(10)
    assert emails(pipe) == {"ann": "ann@example.org"}
    assert [call.params.get("keys") for call in pipe.sailthru.calls(USER)] == [None]


@pytest.mark.parametrize("again", [False, True])
async def test_an_order_asks_sailthru_before_it_believes_a_page(pipe: Pipe, again: bool) -> None:
    """The shop's server has never shown an email of this customer. A cart is theirs, too, in every order of events."""
    keys_of = {"id": "ann", "key": "extid", "keys": {"email": "ann@example.org"}}
    pipe.sailthru.sandbox.handle("POST", "/user", keys_of, 1.0)
    await from_page(pipe, shown("ann"))
    await pipe.run(10 if again else 0)
    await from_page(pipe, shown("ann"))
    await pipe.post(order("ann", "o1", email=False), track("ann", "Product Added", **product("p2")))
    await pipe.run(60)
    assert [call.params["email"] for call in pipe.sailthru.calls(CART)] == ["ann@example.org"] * 2


async def test_an_order_leaves_for_what_a_page_showed_where_nothing_else_is_known(
    pipe: Pipe,
) -> None:
    """Most shops identify in the page, and their servers send orders by the userId alone. The server's word is final."""
    await from_page(pipe, shown("ann", "ann@example.org"))
    await pipe.post(order("ann", "o1", email=False))
    await pipe.run(60)
    await pipe.post(identify("ann", traits={"email": "right@example.org"}))
    await from_page(pipe, shown("ann"))
    await pipe.post(order("ann", "o2", email=False))
    await pipe.run(60)
    found = [call.params["email"] for call in pipe.sailthru.calls(CART)]
    assert found == ["ann@example.org", "right@example.org"]
    assert await pipe.redis.hget(keys.user(ACCOUNT, "ann"), "email_by") is None


async def test_a_page_cannot_take_over_the_profile_of_an_address(pipe: Pipe) -> None:
    """A subscriber's profile, which has no extid, and a customer's: both stay what they are."""
    handle = pipe.sailthru.sandbox.handle
    handle("POST", "/user", {"id": "sue@example.org", "key": "email", "vars": {"of": "sue"}}, 1.0)
    await pipe.post(identify("ann"))
    await pipe.run(10)
    await from_page(pipe, shown("eve", "sue@example.org"), shown("eve", "ann@example.org"))
    await from_page(pipe, {**shown("", "sue@example.org"), "anonymousId": "a1"})
    await pipe.run(10)
    assert emails(pipe) == {"ann": "ann@example.org", "eve": ""}
    conflicts = {call.params.get("keysconflict") for call in pipe.sailthru.calls(USER)[1:]}
    assert conflicts <= {None, "error"}


async def test_a_page_gives_a_new_user_their_address_and_asks_once(pipe: Pipe) -> None:
    """Most shops identify their customers in the page."""
    await from_page(pipe, shown("ann", "ann@example.org"))
    await pipe.run(10)
    assert emails(pipe) == {"ann": "ann@example.org"}
    assert len(pipe.sailthru.calls("GET /user")) == 2
    assert await learned(pipe, "ann") == (b"ann@example.org", b"3")
    await from_page(pipe, shown("ann", "Ann@example.org"))
    await pipe.run(10)
    assert len(pipe.sailthru.calls("GET /user")) == 2
    assert "keys" not in pipe.sailthru.calls(USER)[-1].params


async def test_a_visitor_who_corrects_a_mistyped_address_is_reached_by_the_right_one(
    pipe: Pipe,
) -> None:
    """The first one stays the key of the visitor's profile; the second has a profile of its own."""
    visit = {"type": "identify", "anonymousId": "a1"}
    await from_page(pipe, visit | {"traits": {"email": "anm@example.org"}})
    await pipe.run(10)
    await from_page(pipe, visit | {"traits": {"email": "ann@example.org"}})
    await pipe.run(10)
    await from_page(pipe, {"type": "track", "event": "Read", "anonymousId": "a1"})
    await pipe.run(10)
    assert [call.params["id"] for call in pipe.sailthru.calls(USER)] == ["a1", "ann@example.org"]
    assert pipe.sailthru.calls(EVENT)[0].params["id"] == "ann@example.org"


async def test_a_page_merges_nobody(pipe: Pipe) -> None:
    """Any id can be called an anonymousId. The ids are linked, and an id that is another's stays so."""
    await pipe.post(identify("ann"))
    await pipe.run(10)
    await from_page(pipe, shown("eve", anonymousId="ann"), shown("eve", anonymousId="a1"))
    await from_page(pipe, shown("max", anonymousId="a1"))
    await pipe.run(10)
    assert [
        one for one in pipe.sailthru.calls("GET /user") if one.params["id"] in {"ann", "a1"}
    ] == []
    assert emails(pipe).keys() == {"ann", "eve", "max"}
    assert await pipe.store.leads_to("a1") == "eve"


async def test_nothing_waits_for_a_merge_that_a_page_may_not_ask_for(pipe: Pipe) -> None:
    """Identifies that call each other's user an anonymousId: an order behind them would wait for a minute."""
    await pipe.post(identify("ann"), identify("max"))
    await pipe.run(10)
    await from_page(pipe, shown("ann", anonymousId="max"), shown("max", anonymousId="ann"))
    await pipe.post(order("ann", "o1"), order("max", "o2"))
    await pipe.run(1)
    assert len(pipe.sailthru.calls(CART)) == 2


async def test_a_visitors_order_does_not_get_the_address_of_whom_a_page_links_it_to(
    pipe: Pipe,
) -> None:
    """An order that waits for an email, of a user whose id an attacker calls an anonymousId."""
    await pipe.post(identify("eve", traits={"email": EVIL}), order("ann", "o1", email=False))
    await pipe.run(10)
    await from_page(pipe, {"type": "identify", "userId": "eve", "anonymousId": "ann"})
    await pipe.run(10)
    assert pipe.sailthru.calls(CART) == []
    assert await learned(pipe, "ann") == (None, None)


async def test_no_visitor_can_make_an_id_a_shared_one(pipe: Pipe) -> None:
    """Each event of that customer would be a dead letter, or go to no profile of theirs."""
    await pipe.post(identify("ann"))
    await from_page(pipe, *(shown("ann", f"e{n}@example.net") for n in range(9)))
    await pipe.post(track("ann"))
    await pipe.run(10)
    assert [call.params["id"] for call in pipe.sailthru.calls(EVENT)] == ["ann"]
    assert await pipe.reasons() == []


async def test_an_address_that_a_page_shows_owns_no_events_of_others(pipe: Pipe) -> None:
    """What comes with the address alone would go to the attacker's profile."""
    await from_page(pipe, shown("eve", "sue@example.org"))
    await pipe.post(
        {"type": "track", "event": "Read", "context": {"traits": {"email": "sue@example.org"}}}
    )
    await pipe.run(10)
    assert await pipe.store.owner("sue@example.org", besides="") is None


async def test_a_page_lifts_no_optout_and_sets_none() -> None:
    """Neither by Subscribed nor by the setting OPTOUT; it joins DEFAULT_LIST and what BROWSER_LISTS names."""
    async with open_pipe(
        optout="none", default_list="All", browser_lists=frozenset({"News"})
    ) as pipe:
        await from_page(pipe, shown("ann"), track("ann", "Subscribed", list="News"))
        await from_page(pipe, track("ann", "Subscribed", list="All"))
        await from_page(pipe, track("ann", "Subscribed", list="Staff"))
        await pipe.run(10)
        calls = pipe.sailthru.calls(USER)
        assert [call.params["lists"] for call in calls] == [{"All": 1}, {"News": 1}, {"All": 1}]
        assert [call for call in calls if "optout_email" in call.params] == []
        [letter] = await pipe.letters()
        assert letter.header.detail.startswith("properties.list")


async def test_a_pages_cart_is_reminded_by_the_settings_and_links_to_the_shop() -> None:
    """Or the shop itself would mail a link to any place, with any template."""
    async with open_pipe(
        product_base_url="https://shop.example.org/p",
        reminder_template="Cart",
        reminder_time="1 hour",
    ) as pipe:
        evil = {"reminder_template": "Sale", "reminder_time": "1 minute"}
        cart = track("ann", "Product Added", **product("p1"), **evil, email="ann@example.org")
        cart["properties"]["url"] = "https://shop.example.org@evil.example/p1"
        cart["context"] = {"page": {"url": "https://evil.example/"}}
        await from_page(pipe, cart)
        await pipe.run(10)
        [call] = pipe.sailthru.calls(CART)
        assert call.params["items"][0]["url"] == "https://shop.example.org/p/p1"
        assert call.params["reminder_template"] == "Cart"
        await pipe.post(cart)
        await pipe.run(10)
        assert pipe.sailthru.calls(CART)[-1].params["reminder_template"] == "Sale"


async def test_what_a_page_may_not_send_is_counted_and_leaves_nothing(pipe: Pipe) -> None:
    """No letter, no messageId remembered: the server's own order of that id is delivered."""
    bought = order("ann", "o1") | {"messageId": "m-o1"}
    await from_page(pipe, bought, {"type": "alias", "userId": "eve", "previousId": "ann"})
    assert await pipe.counts() == {"ignored:refused_by_role": 2}
    await pipe.post(bought)
    await pipe.run(10)
    assert len(pipe.sailthru.calls(CART)) == 1
    assert await pipe.letters() == []
    assert [key async for key in pipe.redis.scan_iter("*anon*")] == []


async def test_an_entry_for_an_unknown_account_that_is_refused_is_counted_too(pipe: Pipe) -> None:
    """Else anybody could fill the dead letters with orders, which are trimmed last."""
    entry = {"event": json.dumps(order("ann", "o1")), "role": "browser", "account": "none"}
    await pipe.post_raw([entry])
    assert await pipe.counts() == {"ignored:refused_by_role": 1}


async def test_a_guessed_message_id_hides_no_event_of_a_server(pipe: Pipe) -> None:
    """The same id, type and name; a page's own repeat is dropped as ever."""
    event = track("ann", "Registered") | {"messageId": "m1"}
    await from_page(pipe, event, event)
    await pipe.post(event)
    assert await pipe.waiting(Lane.EVENT, "ann") == ["m1", "m1"]
    assert (await pipe.counts())["duplicates"] == 1


@pytest.mark.parametrize("way", ["replay", "export", "refused"])
async def test_a_letter_keeps_its_role(pipe: Pipe, way: str) -> None:
    """By a replay, by an exported line that a server enqueues, and where the splitter refused it."""
    body = shown("ann") | {"messageId": "m1", "integrations": {"Sailthru": {"lists": ["Staff"]}}}
    if way == "refused":
        body["timestamp"] = "x" * 40_000
    pipe.sailthru.trouble(REFUSED, on=USER)
    await from_page(pipe, body)
    await pipe.run(10)
    [letter] = await pipe.letters()
    assert (letter.header.role, letter.as_json()["role"]) == ("browser", "browser")
    pipe.sailthru.troubles.clear()
    if way == "export":
        line = export_line(letter)
        assert line is not None
        await pipe.post_raw([{"event": line}])
    else:
        await pipe.moves.replay([letter.id])
        await pipe.post()
    await pipe.run(10)
    if way == "refused":
        [again] = await pipe.letters()
        assert again.header.role == "browser"
        return
    assert "lists" not in pipe.sailthru.calls(USER)[-1].params
    assert await pipe.letters() == []


async def test_the_replay_flag_of_a_page_is_not_obeyed(pipe: Pipe) -> None:
    """It removes the letter that it names."""
    pipe.sailthru.trouble(REFUSED, on=CART)
    await pipe.post(order("ann", "o1"))
    await pipe.run(10)
    [letter] = await pipe.letters()
    flag = {"replay": True, "letter": letter.id, "key": letter.header.key}
    await from_page(pipe, track("ann") | {"sailpipe": flag})
    assert [one.id for one in await pipe.letters()] == [letter.id]


def _is_harmless(call: Call) -> bool:
    """Whether a call neither unsubscribes, re-addresses, buys, refunds, deletes nor merges anybody."""
    params = call.params
    match call.bucket:
        case "POST /user":
            lists = params.get("lists", {})
            gives = params.get("keys", {}).keys() <= {"email"}
            merges = params.get("keysconflict", "error") != "error"
            return (
                not params.keys() & {"optout_email", "login"}
                and lists in ({}, {"All": 1})
                and gives
                and not merges
            )
        case "POST /purchase":
            return params["incomplete"] == 1 and not params.keys() & {
                "send_template",
                "reminder_template",
            }
        case "POST /event":
            return "schedule_time" not in params
        case bucket:
            return bucket.startswith("GET ") or call.is_pageview


_IDS = st.sampled_from(("ann", "eve", "a1", "ann@example.org", None))
_ADDRESS = st.sampled_from(("ann@example.org", EVIL, "sue@example.org"))
_KNOWN = st.fixed_dictionaries(
    {
        "type": st.sampled_from(("identify", "track")),
        "event": st.sampled_from(("Subscribed", "Read", "Product Added", "Order Completed")),
        "userId": _IDS,
        "anonymousId": _IDS,
        "traits": st.fixed_dictionaries({"email": _ADDRESS, "lists": st.just({"All": 0})}),
        "properties": st.fixed_dictionaries(
            {
                "email": _ADDRESS,
                "list": st.sampled_from(("All", "Staff")),
                **{k: st.just(v) for k, v in product("p1").items()},
            }
        ),
        "context": st.fixed_dictionaries({"traits": st.fixed_dictionaries({"email": _ADDRESS})}),
    },
    optional={
        "integrations": st.sampled_from(
            ({"Sailthru": {"id": "ann", "key": "extid"}}, {"Sailthru": {"lists": {"All": 0}}}, {})
        )
    },
)


@settings(deadline=None, max_examples=40)
@given(sent=st.lists(_KNOWN | strategies.events, max_size=8))
def test_whatever_a_page_sends_nobody_is_harmed(sent: list[dict[str, Any]]) -> None:
    """Random events, odd ones and likely ones, in front of, between and behind a server's. What the server's customer
    bought leaves for the address that the server said, and no call of a page's does harm."""

    async def run() -> None:
        async with open_pipe(default_list="All", allow_delete=True, optout="none") as pipe:
            half = len(sent) // 2
            await from_page(pipe, *sent[:half])
            await pipe.run(100)
            before = len(pipe.sailthru.sent)
            assert all(_is_harmless(one.call) for one in pipe.sailthru.sent[:before])
            await pipe.post(identify("ann"))
            await pipe.run(100)
            behind = len(pipe.sailthru.sent)
            await from_page(pipe, *sent[half:])
            await pipe.run(100)
            assert all(_is_harmless(one.call) for one in pipe.sailthru.sent[behind:])
            behind = len(pipe.sailthru.sent)
            await pipe.post(order("ann", "o1", email=False))
            await pipe.run(100)
            bought = [one.call for one in pipe.sailthru.sent[behind:] if one.call.bucket == CART]
            assert [call.params["email"] for call in bought] == ["ann@example.org"]
            assert emails(pipe)["ann"] == "ann@example.org"

    asyncio.run(run())


@pytest.mark.parametrize("mapping", ["default", "classic"])
@pytest.mark.parametrize("name", ["Subscribed", "Product Added", "Product Removed", "Any Name"])
async def test_a_page_schedules_no_event_whatever_it_is_called(name: str, mapping: str) -> None:
    """A Subscribed that names no list is a custom event; with MAPPING=classic all but orders are."""
    async with open_pipe(mapping=mapping) as pipe:
        await pipe.post(identify("ann"))
        await from_page(pipe, track("ann", name) | {"properties": {"schedule_time": "+1 hour"}})
        await pipe.run(20)
        events = [one.call for one in pipe.sailthru.sent if one.call.bucket == EVENT]
        assert all(_is_harmless(call) for call in events)


async def test_made_up_users_of_a_page_take_one_live_call_each(pipe: Pipe) -> None:
    """Sailthru does not know them, so each is looked for again and again while its wait lasts: as bulk."""
    await from_page(pipe, *(track(f"nobody{n}") for n in range(60)))
    await pipe.run(5)
    assert len({one.call.params["id"] for one in pipe.sailthru.sent}) == 60
    pipe.clock.advance(600)
    pipe.sailthru.sent.clear()
    await pipe.post(identify("ann"), track("ann"))
    await pipe.run(1)
    calls = [one.call for one in pipe.sailthru.sent if one.call.bucket == EVENT]
    assert calls[0].params["id"] == "ann"


async def test_a_servers_event_behind_those_of_a_page_is_live(pipe: Pipe) -> None:
    await from_page(pipe, *(track(f"nobody{n}") for n in range(60)), track("ann"))
    await pipe.run(5)
    await pipe.post(track("ann"))
    pipe.clock.advance(600)
    pipe.sailthru.sent.clear()
    await pipe.run(1)
    assert pipe.sailthru.sent[0].call.params["id"] == "ann"
