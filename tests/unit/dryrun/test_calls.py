"""The calls of a dry run: each is kept in its order, as one line that can be compared, and no longer than promised."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import patch

import pytest
import redis.asyncio
import redis.exceptions

from pipeline.dryrun.answers import DryRun
from pipeline.dryrun.calls import KeptCall, KeptCalls
from pipeline.events.models import Lane
from pipeline.mailbox.store import MailboxStore
from pipeline.sailthru.answers import Accepted, Failed
from pipeline.sailthru.calls import Call
from pipeline.storage import keys
from pipeline.storage.numbers import DRY_CALLS_KEEP_MS, DRY_CALLS_KEPT
from pipeline.storage.verdict import Verdict
from tests.support.pipe import ACCOUNT, Pipe, added, identify, open_pipe, order

FAR_MS = 9_000_000_000_000
"""An entry's time that lies behind all others."""


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as opened:
        yield opened


@pytest.fixture
async def dry(redis_url: str) -> AsyncIterator[Pipe]:
    """A pipeline whose calls are kept, and answered as in a dry run."""
    own = redis.asyncio.Redis.from_url(redis_url)
    async with open_pipe(client=own, dry_run=True) as pipe:
        run = DryRun(pipe.redis, ACCOUNT)
        with patch.object(pipe.sailthru, "send", run.send):
            yield pipe


async def lines(client: redis.asyncio.Redis) -> list[dict[str, Any]]:
    return [one.as_json(ACCOUNT) async for one in KeptCalls(client, ACCOUNT).read()]


async def test_each_call_is_kept_with_the_events_it_delivers(dry: Pipe) -> None:
    """Look-ups too. Identifies that go in one call are both named."""
    await dry.post(
        identify("ann", messageId="m1"), identify("ann", traits={"b": 1, "a": 2}, messageId="m2")
    )
    await dry.run(5)
    await dry.post(added("ann", messageId="m3"))
    await dry.run(5)
    found = await lines(dry.redis)
    shown = [(one["messageIds"], f"{one['method']} {one['endpoint']}") for one in found]
    assert shown == [
        (["m1", "m2"], "POST /user"),
        (["m3"], "GET /user"),
        (["m3"], "POST /purchase"),
    ]
    assert await dry.counts() == {"delivered": 3, "folded": 1}
    assert list(found[0]["params"]["vars"]) == ["a", "b"], "in one order, however it came"
    assert found[2]["params"]["email"] == "ann@example.org"


async def test_a_cart_grows_and_a_look_up_finds_what_was_identified(dry: Pipe) -> None:
    """As at Sailthru, had the calls been made: a cart of a minute ago is not begun anew."""
    await dry.post(identify("ann"), added("ann", "p1", email=False))
    await dry.run(60)
    await dry.post(added("ann", "p2", email=False))
    await dry.run(60)
    carts = [one["params"] for one in await lines(dry.redis) if one["endpoint"] == "/purchase"]
    assert [[item["id"] for item in cart["items"]] for cart in carts] == [["p1"], ["p1", "p2"]]
    answer = DryRun(dry.redis, ACCOUNT)
    known = await answer.send(Call("GET", "/user", {"id": "ann", "key": "extid"}), lambda: False)
    unknown = await answer.send(Call("GET", "/user", {"id": "bob", "key": "extid"}), lambda: False)
    assert isinstance(known, Accepted)
    assert known.body["keys"] == {"extid": "ann", "email": "ann@example.org"}
    assert isinstance(unknown, Failed)


async def test_an_order_waits_for_an_email_as_it_would(dry: Pipe) -> None:
    """Nobody has identified, so the look-up finds nobody."""
    await dry.post(order("late", "o-1", email=False))
    await dry.run(5)
    assert await dry.waiting(Lane.PURCHASE, "late") == ["m1"]
    await dry.post(identify("late"))
    await dry.run(5)
    posted = [one for one in await lines(dry.redis) if one["endpoint"] == "/purchase"]
    assert [one["params"]["purchase_keys"] for one in posted] == [{"extid": "o-1"}]


async def test_an_order_whose_process_was_killed_is_not_kept_twice(dry: Pipe) -> None:
    """It is looked up among the calls, as at Sailthru."""

    async def die(*_: Any) -> None:
        raise redis.exceptions.ResponseError("killed here")

    await dry.post(order("ann", "o-1"))
    with patch.object(MailboxStore, "settle", die):
        for box in await dry.lease(Lane.PURCHASE):
            await dry.deliver(Lane.PURCHASE, box)
    await dry.run(120)
    posted = [one for one in await lines(dry.redis) if one["method"] == "POST"]
    assert len(posted) == 1
    assert await dry.counts() == {"delivered": 1}


async def test_calls_go_when_they_are_a_week_old(client: redis.asyncio.Redis) -> None:
    """They hold personal data."""
    kept, key = KeptCalls(client, ACCOUNT), keys.dry_calls(ACCOUNT)
    for number in range(3):
        await kept.add(Call("POST", "/event", {"id": f"u{number}"}), f"u{number}", [f"m{number}"])
    assert 0 < await client.pttl(key) <= DRY_CALLS_KEEP_MS
    names = [one.ids async for one in kept.read()]
    assert names == [("m0",), ("m1",), ("m2",)]
    first, *_ = [one.at async for one in kept.read()]
    assert [one.ids async for one in kept.read(first)] == [("m1",), ("m2",)]
    assert await kept.count() == 3
    await kept.clear()
    assert await kept.count() == 0


async def test_no_more_calls_are_kept_than_promised(client: redis.asyncio.Redis) -> None:
    """The oldest go first, and those that are too old before them. Redis frees some dozens at a time."""
    key, kept = keys.dry_calls(ACCOUNT), KeptCalls(client, ACCOUNT)
    fill = "for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], ARGV[2] .. '-' .. i, 'method', 'GET') end"
    await client.eval(fill, 1, key, 500, 1)
    await kept.add(Call("GET", "/user", {}))
    assert await client.xlen(key) == 1
    await client.eval(fill, 1, key, DRY_CALLS_KEPT + 500, FAR_MS)
    await kept.add(Call("GET", "/user", {}))
    assert DRY_CALLS_KEPT <= await client.xlen(key) < DRY_CALLS_KEPT + 250


async def test_fewer_calls_are_kept_while_memory_is_short(client: redis.asyncio.Redis) -> None:
    """A rehearsal must not fill Redis, and so have events refused, for a week."""
    kept = KeptCalls(client, ACCOUNT)
    for number in range(10):
        await kept.add(Call("POST", "/event", {"id": str(number)}))
    await client.set(keys.VERDICT, Verdict(lanes={ACCOUNT: {"event": 9}}).encode())
    await kept.add(Call("POST", "/event", {"id": "10"}))
    assert await kept.count() == 11
    await client.set(keys.VERDICT, Verdict(memory=85).encode())
    for number in range(30):
        await kept.add(Call("POST", "/event", {"id": f"late {number}"}))
    assert [one["params"]["id"] for one in await lines(client)] == ["late 29"]


def test_a_call_is_found_by_every_name_of_its_person() -> None:
    """The mailbox's, the email and the ids that it says to Sailthru; of an email the letter case is nothing."""
    params = {"id": "U-1", "key": "extid", "keys": {"email": "Ann@Example.org", "extid": "U-1"}}
    call = KeptCall("1-1", ("m1",), "box-1", Call("POST", "/user", params))
    assert call.people == {"box-1", "U-1", "Ann@Example.org"}
    assert all(map(call.is_about, ("box-1", "U-1", "ANN@example.org")))
    assert not call.is_about("u-1")
    assert json.loads(json.dumps(call.as_json("default")))["messageIds"] == ["m1"]
