"""By which way events came: told of each in the log of outcomes, and counted by way and type."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from pipeline.counters import Count
from pipeline.events.models import TYPES, UNREAD, Event
from pipeline.mailbox.claim import Entry
from pipeline.status.trace import trace_event
from pipeline.storage import keys
from pipeline.trace.names import message_name
from pipeline.trace.records import Fate, Record
from pipeline.ways_in import WayIn
from tests.support.mailboxes import Mailboxes, track
from tests.support.pipe import Pipe, identify, open_pipe
from tests.support.pipe import order as an_order
from tests.support.pipe import track as an_event


async def came_in(client: Any) -> dict[str, int]:
    """Way and type -> events."""
    counts = await client.hgetall(keys.counts("default"))
    prefix = f"{Count.CAME_IN}:"
    named = {name.decode(): int(n) for name, n in counts.items()}
    return {name.removeprefix(prefix): n for name, n in named.items() if name.startswith(prefix)}


async def outcome(pipe: Pipe, identity: str) -> Record:
    return (await pipe.outcomes(message_name(identity)))[-1]


def entry(event: dict[str, Any], **fields: str) -> dict[str, str]:
    return {"event": json.dumps(event), **fields}


async def test_what_came_in_is_counted_by_way_and_type_whatever_became_of_it(
    boxes: Mailboxes,
) -> None:
    """A repeat came in, too. A way that is not known is a plain XADD's; what cannot be read is of no type."""
    await boxes.accept(track("m1", "ann"), track("m2", "bob"), via="segment")
    await boxes.accept(track("m1", "ann"), {"type": "page", "userId": "ann"}, via="segment")
    await boxes.accept(track("m3", "ann"))
    await boxes.accept(track("m4", "ann"), via="a stranger's")
    await boxes.accept({"type": "dance"}, via="file")
    await boxes.split()
    assert await came_in(boxes.redis) == {
        "segment:track": 3,
        "segment:page": 1,
        "redis:track": 2,
        f"file:{UNREAD}": 1,
    }


async def test_a_letter_that_is_enqueued_or_split_again_came_in_as_a_replay(
    boxes: Mailboxes,
) -> None:
    """Whatever way its line takes; a page's key makes no replay of one."""
    line = track("m1", "ann") | {"sailpipe": {"replay": True, "letter": "m1"}}
    await boxes.accept(line, via="file")
    await boxes.accept(track("m2", "ann"), replay="m2", key="1", via="segment")
    await boxes.accept(line | {"messageId": "m3"}, via="segment", role="browser")
    await boxes.split()
    assert await came_in(boxes.redis) == {"replay:track": 2, "segment:track": 1}


@pytest.mark.parametrize("way", WayIn)
def test_an_entry_of_a_mailbox_keeps_its_way(way: WayIn) -> None:
    """A plain XADD's says nothing: a million may wait."""
    one = Entry("m1", "5-1", 5, 5, b"{}", via=way)
    assert Entry.decode(one.encode()) == one
    assert (b"via" in one.encode()) == (way is not WayIn.REDIS)


async def test_the_log_of_outcomes_says_by_which_way_each_event_came() -> None:
    """Of one that was delivered, ignored, a repeat, dead, and of one that waits."""
    async with open_pipe() as pipe:
        await pipe.post_raw(
            [
                entry(identify("u1") | {"messageId": "i1"}, via="vibetrace"),
                entry(an_event("u1") | {"messageId": "delivered"}, via="segment", role="server"),
                entry(an_event("u1") | {"messageId": "repeat"}, via="python"),
                entry(an_event("u1") | {"messageId": "repeat"}, via="file"),
                entry(
                    an_event("u1") | {"messageId": "no", "integrations": {"All": False}},
                    via="webhook",
                ),
                entry({"type": "dance", "messageId": "dead"}, via="python", role="browser"),
                entry(an_order("u2", "o1", email=False) | {"messageId": "waits"}, via="file"),
            ]
        )
        await pipe.run(5)
        fates = {
            name: (one.fate, one.via, one.way)
            for name in ("delivered", "repeat", "no", "dead", "waits")
            for one in [await outcome(pipe, name)]
        }
        assert fates == {
            "delivered": (Fate.DELIVERED, "segment", ""),
            "repeat": (Fate.DELIVERED, "python", ""),
            "no": (Fate.IGNORED, "webhook", ""),
            "dead": (Fate.DEAD, "python", "browser"),
            "waits": (Fate.WAITS, "file", ""),
        }
        found = await trace_event(pipe.redis, pipe.settings, "repeat", pipe.clock)
        assert {one["fate"]: one["via"] for one in found["events"]} == {
            "delivered": "python",
            "duplicate": "file",
        }


async def test_what_only_waits_says_by_which_way_it_came() -> None:
    """In the raw stream, and in a mailbox of which no outcome is known."""
    async with open_pipe() as pipe:
        await pipe.pause("event")
        await pipe.post_raw([entry(an_event("u1") | {"messageId": "boxed"}, via="segment")])
        raw = entry(an_event("u1") | {"messageId": "raw"}, via="python")
        await pipe.redis.xadd(keys.RAW, raw)
        for identity, way in (("boxed", "segment"), ("raw", "python")):
            [one] = (await trace_event(pipe.redis, pipe.settings, identity, pipe.clock))["events"]
            assert (one["via"], one["waiting"]["via"]) == (way, way)
        await pipe.redis.delete(keys.RAW)


async def test_a_letter_that_goes_back_into_its_mailbox_came_as_a_replay() -> None:
    """Its first arrival keeps its own way."""
    async with open_pipe() as pipe:
        letter = an_order("u1", "o1", email=False) | {"messageId": "m1"}
        await pipe.post_raw([entry(letter, via="segment")])
        await pipe.run(80 * 3600)
        await pipe.post(identify("u1"))
        await pipe.run(30)
        await pipe.outcomes()
        found = await trace_event(pipe.redis, pipe.settings, "m1", pipe.clock)
        assert [one["via"] for one in found["events"]] == ["segment", "replay"]


def test_every_type_of_an_event_is_counted_by_its_name() -> None:
    """Fields of the counter are few, whatever is sent."""
    types = {
        get_args(one.model_fields["type"].annotation)[0] for one in get_args(get_args(Event)[0])
    }
    assert types | {UNREAD} == set(TYPES)
