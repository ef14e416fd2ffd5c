"""Whatever lies in the raw stream, it leaves it for one place, and what is delivered has an end.

`make test-random` tries 2,000 streams.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from typing import Any

import redis.asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.counters import BESIDE, Count
from pipeline.events.models import Lane
from pipeline.mailbox.claim import Entry
from pipeline.storage import keys
from tests.support.pipe import (
    ACCOUNT,
    Pipe,
    added,
    identify,
    open_pipe,
    order,
    page,
    removed,
    track,
)
from tests.support.redis_server import RedisServer
from tests.unit.mapping import strategies

EXAMPLES = 2_000 if settings.get_current_profile_name() == "deep" else 60
MAX_WAIT_S = 86_400.0
"""Past every deadline of these accounts."""
BUGS = frozenset({"crashed", "poison"})

DEADLINES: dict[str, Any] = {"user_wait": 60.0, "email_wait": 600.0}
ACCOUNTS: tuple[dict[str, Any], ...] = (
    {},
    {"mapping": "classic"},
    {"unknown_user": "ignore", "dedupe_window": 0.0, "allow_delete": True},
)
SAMPLES: tuple[dict[str, Any], ...] = (
    identify("u1"),
    track("u1"),
    track("u1", "User Deleted"),
    track("u1", "Subscribed", list="news"),
    added("u1"),
    removed("u1"),
    order("u1", "o1"),
    track("u1", "Order Refunded", order_id="o1", email="u1@example.org"),
    page("u1"),
    {**page("u1"), "type": "screen"},
    {"type": "group", "userId": "u1", "groupId": "g1"},
    {"type": "alias", "userId": "u1", "previousId": "a1"},
)
FIELDS = (
    *("type", "event", "userId", "anonymousId", "previousId", "groupId", "messageId", "timestamp"),
    *("context", "integrations", "traits", "properties", "name", "category", "sailpipe"),
)
FLAGS = st.sampled_from(({"replay": True}, {"replay": 1}, {}))


def _replaced(sample: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The sample with a field and some of its properties replaced by anything, or left as it is."""
    wrong = st.dictionaries(st.sampled_from(FIELDS), strategies.json_values | FLAGS, max_size=1)
    inner = sample.get("properties", {})
    names = st.sampled_from((*inner, *strategies.FIELDS))
    odd = st.dictionaries(names, strategies.json_values, max_size=2)
    return st.builds(
        lambda outside, inside: {**sample, "properties": {**inner, **inside}, **outside},
        strategies.mostly(st.just({}), wrong),
        odd,
    )


EVENTS = st.sampled_from(SAMPLES).flatmap(_replaced) | strategies.events
RAWS = strategies.mostly(
    EVENTS.map(json.dumps).map(str.encode),
    st.binary(max_size=60)
    | strategies.json_values.map(json.dumps).map(str.encode)
    | EVENTS.map(
        lambda event: json.dumps(event, ensure_ascii=False).encode("utf-8", "surrogatepass")
    ),
)
NAMES = st.sampled_from((b"default", b"shoes", b"")) | st.binary(max_size=20)
ENTRIES = st.fixed_dictionaries(
    {b"event": RAWS}, optional={b"account": NAMES, b"replay": NAMES, b"extra": st.binary()}
) | st.dictionaries(st.binary(max_size=9), st.binary(max_size=20), min_size=1, max_size=3)
STREAMS = st.lists(
    strategies.mostly(RAWS.map(lambda raw: {b"event": raw}), ENTRIES), min_size=2, max_size=12
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(entries=STREAMS, account=st.sampled_from(ACCOUNTS))
def test_every_raw_entry_is_split_into_one_place_and_settled(
    redis_server: RedisServer, entries: Sequence[dict[bytes, bytes]], account: dict[str, Any]
) -> None:
    """Split, each entry is in one place; delivered, it has an end that is no fault of ours.

    In a real Redis, whose JSON in scripts has limits of its own.
    """
    asyncio.run(_split_and_deliver(redis_server.url, entries, account))


async def _split_and_deliver(
    url: str, entries: Sequence[dict[bytes, bytes]], account: dict[str, Any]
) -> None:
    client = redis.asyncio.Redis.from_url(url)
    await client.flushall()
    async with open_pipe(client=client, **DEADLINES, **account) as pipe:
        await pipe.post_raw(entries)
        assert await pipe.redis.xlen(keys.RAW) == 0
        await _check_places(pipe, len(entries))
        await pipe.run(MAX_WAIT_S)
        assert await _waiting(pipe) == []
        await _check_places(pipe, len(entries))
        assert not BUGS & {*await pipe.reasons()}
        _check_calls(pipe)


async def _check_places(pipe: Pipe, accepted: int) -> None:
    """The counters add up to what was accepted or derived, and say what lies in mailboxes and dead letters."""
    counts = await pipe.counts()
    derived = counts.pop(Count.DERIVED, 0)
    outcomes = (n for name, n in counts.items() if name.partition(":")[0] not in BESIDE)
    held = await pipe.redis.xlen(keys.HELD)
    assert sum(outcomes) + held == accepted + derived
    places = await _waiting(pipe)
    assert len(set(places)) == len(places) == _sum(counts, "waiting:")
    assert len(await pipe.reasons()) == _sum(counts, "dead:")


async def _waiting(pipe: Pipe) -> list[str]:
    """The stream ids of all that lies in mailboxes."""
    found: list[str] = []
    for lane in Lane:
        async for key in pipe.redis.scan_iter(match=keys.mail(ACCOUNT, lane, "*")):
            blobs = await pipe.redis.lrange(key, 0, -1)
            found += [Entry.decode(blob).seq for blob in blobs]
    return found


def _sum(counts: dict[str, int], prefix: str) -> int:
    return sum(count for name, count in counts.items() if name.startswith(prefix))


def _check_calls(pipe: Pipe) -> None:
    """What left for Sailthru is strict JSON, and its items are such as a shop can mean."""
    for sent in pipe.sailthru.sent:
        json.dumps(dict(sent.call.params), allow_nan=False, ensure_ascii=False).encode()
        for item in sent.call.params.get("items", ()):
            assert item["qty"] >= 1
            price = item.get("price", 0)
            assert math.isfinite(price)
            assert price >= 0
