"""Edited letters, on a real Redis and on fakeredis."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import fakeredis
import pytest

from pipeline.counters import Count
from pipeline.deadletters.edits import BadChange, Cast, Change, Rename, Set, Unset
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.fixing import fix
from pipeline.deadletters.letter import Letter
from pipeline.deadletters.mending import ChangedMeanwhile, Mending, mend, preview, shown_event
from pipeline.deadletters.states import GroupState, GroupStates
from pipeline.deadletters.store import DeadLetters, SeveralLetters
from pipeline.errors import Reason
from pipeline.events.models import MAX_EVENT_BYTES, Lane
from pipeline.settings import AccountSettings
from pipeline.storage import keys
from pipeline.storage.redis_client import open_async_redis
from tests.support.letters import Pipeline, order, track

SETTINGS = AccountSettings(customer_id="c")
EMAIL = Set(("properties", "email"), "ann@shop.example")


@pytest.fixture(params=["real", "fake"])
async def pipeline(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Pipeline]:
    real = request.param == "real"
    async with open_async_redis(redis_url) if real else fakeredis.FakeAsyncRedis() as opened:
        yield Pipeline(opened)


@pytest.fixture
def letters(pipeline: Pipeline) -> DeadLetters:
    return DeadLetters(pipeline.redis, "default")


async def kill_order(pipeline: Pipeline, number: int = 1) -> None:
    await pipeline.kill(order(number), lane=Lane.PURCHASE, reason=Reason.MISSING_EMAIL)


async def edit(pipeline: Pipeline, letter: Letter, *changes: Any) -> None:
    await Mending(pipeline.redis, "default").write(mend(letter, changes, SETTINGS, 0.0))


async def raw_of_mail(pipeline: Pipeline, lane: Lane, user: str) -> list[dict[str, Any]]:
    blobs: Any = await pipeline.redis.lrange(keys.mail("default", lane, user), 0, -1)
    return [json.loads(blob.partition(b"\n")[2]) for blob in blobs]


async def counts(pipeline: Pipeline) -> dict[str, int]:
    table: dict[Any, Any] = await pipeline.redis.hgetall(keys.counts("default"))
    ways_in = f"{Count.CAME_IN}:".encode()
    return {
        name.decode(): int(value)
        for name, value in table.items()
        if int(value) and not name.startswith(ways_in)
    }


async def test_a_change_shows_what_it_does_to_the_event_and_to_its_calls(
    pipeline: Pipeline, letters: DeadLetters
) -> None:
    """Nothing is written by it."""
    await kill_order(pipeline)
    letter = await letters.get("m1")
    url = Set(("properties", "products", "*", "url"), "https://shop.example/p1")
    mended = mend(letter, [EMAIL, url], SETTINGS, 0.0)
    assert mended.event_diff == [
        '+ properties.email: "ann@shop.example"',
        '+ properties.products.0.url: "https://shop.example/p1"',
    ]
    assert mended.before["error"]["reason"] == "unmappable"
    posted = mended.after["calls"][-1]
    assert (posted["endpoint"], posted["params"]["email"]) == ("/purchase", "ann@shop.example")
    assert await letters.get("m1") == letter


async def test_an_edited_letter_is_replayed_as_what_it_is_now(
    pipeline: Pipeline, letters: DeadLetters
) -> None:
    """It leaves the store when it is split, in its own order and under its own messageId; sent twice, it goes once."""
    await kill_order(pipeline)
    before = await letters.get("m1")
    await edit(pipeline, before, EMAIL)
    edited = await letters.get("m1")
    assert shown_event(edited)["properties"]["email"] == "ann@shop.example"
    assert replace(edited.header, edited=0) == before.header
    assert edited.header.edited == 1
    assert await letters.replay(["m1"]) == 1
    assert await letters.replay(["m1"]) == 1
    await pipeline.split()
    assert await letters.find(Filter(), limit=9) == []
    [event] = await raw_of_mail(pipeline, Lane.PURCHASE, "u1")
    assert event["properties"]["email"] == "ann@shop.example"
    assert (await counts(pipeline))["waiting:purchase"] == 1
    entry = (await pipeline.claim("u1", Lane.PURCHASE)).head
    assert (entry.id, entry.first, entry.replay) == ("m1", before.header.first_seen_ms, True)


async def test_with_another_user_it_goes_to_that_ones_mailbox(
    pipeline: Pipeline, letters: DeadLetters
) -> None:
    await pipeline.kill(track(1))
    await edit(pipeline, await letters.get("m1"), Set(("userId",), "bob"))
    await letters.replay(["m1"])
    await pipeline.split()
    assert [one["userId"] for one in await raw_of_mail(pipeline, Lane.EVENT, "bob")] == ["bob"]
    assert await raw_of_mail(pipeline, Lane.EVENT, "u1") == []


async def test_what_is_no_json_is_edited_as_a_whole(
    pipeline: Pipeline, letters: DeadLetters
) -> None:
    await pipeline.send(b"not json")
    await pipeline.split()
    [one] = await letters.find(Filter(), limit=9)
    letter = await letters.get(one.id)
    with pytest.raises(BadChange, match="no JSON object"):
        mend(letter, [EMAIL], SETTINGS, 0.0)
    mended = preview(letter, track(7), SETTINGS, 0.0)
    assert mended.event_diff[0] == '- event: "not json"'
    await Mending(pipeline.redis, "default").write(mended)
    await letters.replay([one.id])
    await pipeline.split()
    assert [event["messageId"] for event in await raw_of_mail(pipeline, Lane.EVENT, "u7")] == ["m7"]


async def test_an_edit_of_what_has_changed_meanwhile_is_refused(
    pipeline: Pipeline, letters: DeadLetters
) -> None:
    """By an edit, a replay or a drop."""
    await pipeline.kill(track(1))
    letter = await letters.get("m1")
    await edit(pipeline, letter, Set(("a",), 1))
    with pytest.raises(ChangedMeanwhile):
        await edit(pipeline, letter, Set(("a",), 2))
    again = await letters.get("m1")
    await letters.drop(["m1"])
    with pytest.raises(ChangedMeanwhile):
        await edit(pipeline, again, Set(("a",), 2))
    assert await letters.find(Filter(), limit=9) == []


async def test_an_edit_that_makes_an_event_too_large_is_refused(
    pipeline: Pipeline, letters: DeadLetters
) -> None:
    await pipeline.kill(track(1))
    letter = await letters.get("m1")
    with pytest.raises(BadChange, match="more than"):
        mend(letter, [Set(("x",), "y" * MAX_EVENT_BYTES)], SETTINGS, 0.0)


async def test_a_fix_changes_what_it_can_and_counts_the_rest(
    pipeline: Pipeline, letters: DeadLetters
) -> None:
    """Without `mending` it changes nothing and says the same."""
    await pipeline.kill(
        track(1) | {"n": "1"}, track(2) | {"n": "one"}, track(3), track(4) | {"n": "4"}
    )
    ids = [f"m{n}" for n in (1, 2, 3, 4, 5)]
    changes: list[Change] = [
        Cast(("n",), "int"),
        Rename(("n",), ("properties", "number")),
        Unset(("none",)),
    ]
    seen = await fix(letters, ids, changes, SETTINGS, 0.0, mending=None)
    assert (seen.changed, seen.unchanged, seen.gone) == (2, 1, 1)
    assert seen.refused == {"n cannot be read as int.": 1}
    assert (await letters.get("m1")).header.edited == 0
    done: list[int] = []
    mending = Mending(pipeline.redis, "default")
    made = await fix(letters, ids, changes, SETTINGS, 0.0, mending=mending, on_done=done.append)
    assert (made.changed, made.unchanged, made.gone, sum(done)) == (2, 1, 1, 4)
    assert shown_event(await letters.get("m4"))["properties"] == {"number": 4}
    again = await fix(letters, ids, changes, SETTINGS, 0.0, mending=mending)
    assert (again.changed, again.unchanged) == (0, 3)


async def test_a_shortened_id_names_one_letter_or_none(
    pipeline: Pipeline, letters: DeadLetters
) -> None:
    for number in (1000, 1001, 2000):
        await pipeline.kill(track(number))
    assert await letters.id_of("m200") == "m2000"
    assert await letters.id_of("m1000") == "m1000"
    assert await letters.id_of("m20") == "m20", "too short to stand for another"
    with pytest.raises(SeveralLetters, match="2 dead letters begin with 'm100'"):
        await letters.id_of("m100")
    assert (await letters.select_ids(["m200"])).ids == ("m2000",)
    assert await letters.named("m200") == [], (
        "another event's id that begins so is no letter of this messageId"
    )


async def test_a_groups_state_is_kept_until_it_is_open_again_or_old(pipeline: Pipeline) -> None:
    states = GroupStates(pipeline.redis, "default")
    await states.set("f1", GroupState.IGNORED, "ann", "a test")
    await states.set("f2", GroupState.ACKNOWLEDGED, "ann", "")
    marks = await states.read()
    assert (marks["f1"].state, marks["f1"].by, marks["f1"].why) == ("ignored", "ann", "a test")
    await states.set("f2", GroupState.OPEN, "bob", "")
    assert set(await states.read()) == {"f1"}
    assert await states.forget(marks["f1"].at_ms) == 0
    assert await states.forget(marks["f1"].at_ms + 1) == 1
    assert await states.read() == {}
