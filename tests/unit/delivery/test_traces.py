"""What the log of outcomes says of an event, from its acceptance to its end."""

from __future__ import annotations

import json

from pipeline.trace.names import message_name, order_name, person_name
from pipeline.trace.records import Fate, Record
from tests.support.pipe import START, identify, open_pipe, order, track


def fates(found: list[Record]) -> list[tuple[str, Fate, str]]:
    return [(one.id, one.fate, one.reason) for one in found]


async def test_a_delivered_event_is_found_by_all_its_names() -> None:
    """With its call, its lane and its mailbox."""
    async with open_pipe() as pipe:
        await pipe.post(
            identify("u1", traits={"email": "Ann@example.org"})
            | {"anonymousId": "a1", "messageId": "i1"}
        )
        await pipe.run(5)
        await pipe.post(track("u1") | {"messageId": "t1"})
        await pipe.run(5)
        [one] = await pipe.outcomes(message_name("t1"))
        assert (one.fate, one.lane, one.user, one.way) == (Fate.DELIVERED, "event", "u1", "")
        [call] = one.calls
        assert (call.endpoint, call.status) == ("POST /event", 200)
        assert one.accepted <= call.at <= one.at
        for name in ("u1", "ann@example.org"):
            assert [r.id for r in await pipe.outcomes(person_name(name))] == ["i1", "t1"]
        assert [r.id for r in await pipe.outcomes(person_name("a1"))] == ["i1"]


async def test_an_order_that_waits_says_for_what_and_until_when() -> None:
    """Then what became of it, by its order id as well."""
    async with open_pipe() as pipe:
        await pipe.post(order("u1", "o1", email=False) | {"messageId": "m1"})
        await pipe.run(1)
        [waits] = await pipe.outcomes(order_name("o1"))
        assert (waits.fate, waits.reason, waits.lane) == (Fate.WAITS, "email", "purchase")
        assert waits.due > START * 1000
        assert [call.endpoint for call in waits.calls] == ["GET /user"]
        await pipe.post(identify("u1"))
        await pipe.run(30)
        *_, last = await pipe.outcomes(order_name("o1"))
        assert (last.fate, [call.endpoint for call in last.calls][-1]) == (
            Fate.DELIVERED,
            "POST /purchase",
        )


async def test_events_that_went_out_in_one_call_say_so() -> None:
    """Each names the first of them."""
    async with open_pipe() as pipe:
        await pipe.post(*(identify("u1") | {"messageId": f"i{n}"} for n in range(3)))
        await pipe.run(5)
        found = [(await pipe.outcomes(message_name(f"i{n}")))[-1] for n in range(3)]
        assert len({one.fold for one in found}) == 1
        assert found[0].fold == found[0].seq


async def test_a_repeat_an_ignored_and_a_refused_event_are_found() -> None:
    """They never had a mailbox."""
    async with open_pipe() as pipe:
        off = {"integrations": {"Sailthru": False}, "messageId": "off"}
        await pipe.post(track("u1") | {"messageId": "m1"}, track("u1") | off)
        await pipe.post(track("u1") | {"messageId": "m1"})
        await pipe.post_raw([{"event": json.dumps({"messageId": "bad", "type": "nonsense"})}])
        await pipe.run(5)
        assert (Fate.DUPLICATE, "event") in [
            (one.fate, one.lane) for one in await pipe.outcomes(message_name("m1"))
        ]
        assert fates(await pipe.outcomes(message_name("off"))) == [
            ("off", Fate.IGNORED, "integrations_off")
        ]
        [bad] = await pipe.outcomes(message_name("bad"))
        assert (bad.fate, bad.reason) == (Fate.DEAD, "invalid_event")
        assert bad.part.value == "dead"


async def test_an_event_that_a_page_may_not_send_leaves_no_trace() -> None:
    """Whoever reads the page could fill the log with them."""
    async with open_pipe() as pipe:
        forged = {"event": json.dumps(order("u1", "o1") | {"messageId": "m1"}), "role": "browser"}
        await pipe.post_raw([forged])
        assert await pipe.outcomes(message_name("m1"), order_name("o1")) == []


async def test_a_second_event_of_one_order_is_ignored_and_found_with_the_first() -> None:
    """So that it shows what it is a repeat of."""
    async with open_pipe() as pipe:
        await pipe.post(identify("u1"))
        await pipe.post(order("u1", "o1") | {"messageId": "m1"})
        await pipe.run(5)
        await pipe.post(order("u1", "o1") | {"messageId": "m2"})
        await pipe.run(5)
        found = await pipe.outcomes(order_name("o1"))
        assert fates(found) == [("m1", Fate.DELIVERED, ""), ("m2", Fate.IGNORED, "duplicate_order")]


async def test_an_account_that_keeps_no_outcomes_writes_none() -> None:
    """TRACE_KEEP=off."""
    async with open_pipe(trace_keep="off") as pipe:
        await pipe.post(track("u1") | {"messageId": "m1"})
        await pipe.run(5)
        assert await pipe.outcomes(message_name("m1")) == []
        assert not await pipe.redis.keys("sailpipe:default:trace*")
