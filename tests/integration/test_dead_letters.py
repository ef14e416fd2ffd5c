"""The store of dead letters, on a real Redis and on fakeredis, with letters the real scripts made."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import fakeredis
import pytest
import redis.asyncio

from pipeline.counters import Count
from pipeline.deadletters import reading
from pipeline.deadletters.export import export_line
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.store import DeadLetters, UnknownLetter
from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.storage import keys
from pipeline.storage.redis_client import open_async_redis
from tests.support.letters import Pipeline, order, track

CLOCK_STEP_S = 0.01
"""A timer may ring this much early by the clock it is read from."""


@pytest.fixture(params=["real", "fake"])
async def client(
    request: pytest.FixtureRequest, redis_url: str
) -> AsyncIterator[redis.asyncio.Redis]:
    real = request.param == "real"
    async with open_async_redis(redis_url) if real else fakeredis.FakeAsyncRedis() as opened:
        yield opened


@pytest.fixture
def pipeline(client: redis.asyncio.Redis) -> Pipeline:
    return Pipeline(client)


@pytest.fixture
def letters(client: redis.asyncio.Redis) -> DeadLetters:
    return DeadLetters(client, "default")


async def ids(letters: DeadLetters, wanted: Filter | None = None) -> list[str]:
    return [letter.id for letter in await letters.find(wanted or Filter(), limit=1000)]


async def counts(pipeline: Pipeline) -> dict[str, int]:
    table: dict[Any, Any] = await pipeline.redis.hgetall(keys.counts("default"))
    ways_in = f"{Count.CAME_IN}:".encode()
    return {
        name.decode(): int(value)
        for name, value in table.items()
        if int(value) and not name.startswith(ways_in)
    }


async def test_letters_are_found_newest_first_by_what_is_asked(
    pipeline: Pipeline, letters: DeadLetters
) -> None:
    """Each filter narrows; all of them must hold."""
    await pipeline.kill(track(1), died_at_ms=1_000)
    await pipeline.kill(track(2), died_at_ms=2_000, reason=Reason.TOO_OLD)
    await pipeline.kill(order(3), lane=Lane.PURCHASE, died_at_ms=3_000, reason=Reason.MISSING_EMAIL)
    await pipeline.send(b"not json")
    await pipeline.split()
    refused = (await letters.find(Filter(), limit=1))[0]
    assert (refused.as_row()["reason"], refused.as_row()["lane"]) == ("invalid_json", None)
    assert await ids(letters) == [refused.id, "m3", "m2", "m1"]
    assert await ids(letters, Filter(lane=Lane.EVENT)) == ["m2", "m1"]
    assert await ids(letters, Filter(reason=Reason.MISSING_EMAIL)) == ["m3"]
    assert await ids(letters, Filter(user="u1")) == ["m1"]
    assert await ids(letters, Filter(since_ms=2_000, lane=Lane.EVENT)) == ["m2"]
    assert await ids(letters, Filter(user="u1", lane=Lane.PURCHASE)) == []
    one = await letters.get("m1")
    assert await ids(letters, Filter(group=one.header.fingerprint)) == ["m1"]
    assert json.loads(one.raw) == track(1)


async def test_paging_returns_every_letter_once_even_when_all_died_in_one_millisecond(
    pipeline: Pipeline, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages go by time, and a crash can kill a whole batch in the same millisecond."""
    monkeypatch.setattr(reading, "PAGE", 2)
    await pipeline.kill(*(track(n) for n in range(5)), died_at_ms=5_000)
    await pipeline.kill(*(track(n) for n in range(5, 8)), died_at_ms=4_000)
    assert sorted(await ids(letters)) == [f"m{n}" for n in range(8)]
    assert set((await ids(letters))[:5]) == {f"m{n}" for n in range(5)}


async def test_a_page_stays_small_however_many_letters_came_before_it(
    pipeline: Pipeline, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was told already is not asked for again, not even when all died in one millisecond."""
    answered: list[int] = []
    run = letters._scripts.run

    async def watched(name: str, keys: list[str], args: list[Any]) -> Any:
        reply = await run(name, keys, args)
        answered.append(len(reply) // 3)
        return reply

    monkeypatch.setattr(letters._scripts, "run", watched)
    monkeypatch.setattr(reading, "PAGE", 2)
    for number in range(8):
        await pipeline.kill(track(number), died_at_ms=1_000)
    assert len(await ids(letters)) == 8
    assert answered == [2, 2, 2, 2, 0]


async def test_a_replay_puts_letters_back_in_the_order_their_events_came(
    pipeline: Pipeline, letters: DeadLetters
) -> None:
    """A user's later event must not overtake an earlier one because it died first."""
    await pipeline.kill(track(1, "u"), died_at_ms=9_000)
    await pipeline.kill(track(2, "u"), died_at_ms=3_000)
    await pipeline.kill(track(3, "u"), died_at_ms=6_000)
    chosen = await letters.select(Filter(user="u"))
    assert chosen.reasons == {"rejected": 3}
    told: list[int] = []
    assert await letters.replay(chosen.ids, rate=10_000, on_done=told.append) == 3
    assert sum(told) == 3
    claim = await pipeline.claim("u", Lane.EVENT)
    assert [entry.id for entry in claim.entries] == ["m1", "m2", "m3"]
    assert [json.loads(entry.raw) for entry in claim.entries] == [track(n, "u") for n in (1, 2, 3)]
    assert await counts(pipeline) == {"waiting:event": 3}
    assert await letters.replay(chosen.ids) == 0, "a letter that is gone is not sent again"


async def test_what_the_splitter_refused_is_split_again(
    pipeline: Pipeline, letters: DeadLetters
) -> None:
    """It never had a lane; today's rules may take it. A second death gives the same letter."""
    await pipeline.send({"type": "track", "event": "Seen", "messageId": "m1"})
    await pipeline.split()
    assert await ids(letters) == ["m1"]
    assert await letters.replay(["m1"]) == 1
    assert await ids(letters) == []
    await pipeline.split()
    assert await ids(letters) == ["m1"]
    assert await counts(pipeline) == {"dead:missing_user_id": 1}


async def test_dropped_letters_are_counted_as_removed(
    pipeline: Pipeline, letters: DeadLetters
) -> None:
    """I1: every letter is counted as removed."""
    await pipeline.kill(track(1), track(2))
    steps = list[int]()
    assert await letters.drop(["m1", "m7"], on_done=steps.append) == 1
    assert steps == [2]
    assert await ids(letters) == ["m2"]
    assert await counts(pipeline) == {"dead:rejected": 1, "removed": 1}


async def test_an_unknown_id_is_named(pipeline: Pipeline, letters: DeadLetters) -> None:
    """One among known ids is refused before anything is done; an id that is given twice counts once."""
    await pipeline.kill(track(1))
    assert (await letters.select_ids(["m1", "m1"])).ids == ("m1",)
    with pytest.raises(UnknownLetter, match="no dead letter 'm9' in account default"):
        await letters.select_ids(["m1", "m9"])


async def test_a_paced_replay_never_goes_faster_than_it_may(
    pipeline: Pipeline, letters: DeadLetters
) -> None:
    """At 100/s ten may go at once, then ten every tenth of a second: 30 take at least 0.2 s."""
    await pipeline.kill(*(track(n) for n in range(30)))
    chosen = await letters.select(Filter())
    began, steps = asyncio.get_running_loop().time(), list[int]()
    assert await letters.replay(chosen.ids, rate=100, on_done=steps.append) == 30
    assert asyncio.get_running_loop().time() - began >= 0.2 - CLOCK_STEP_S
    assert steps == [10, 10, 10]


async def test_groups_count_what_died_of_the_same_cause(
    pipeline: Pipeline, letters: DeadLetters
) -> None:
    """Numbers in a message are ids or sizes: they do not make another cause."""
    await pipeline.kill(track(1), detail="no user 17")
    await pipeline.kill(track(2), track(3, "u2"), detail="no user 23")
    await pipeline.kill(track(4), detail="no list")
    found = [group.as_json() for group in await letters.groups(Filter())]
    assert [(one["letters"], one["users"], one["detail"]) for one in found] == [
        (3, 2, "no user 23"),
        (1, 1, "no list"),
    ]
    assert found[0]["lanes"] == ["event"]


async def test_letters_are_kept_for_a_time(pipeline: Pipeline, letters: DeadLetters) -> None:
    """After that they are removed and counted as such, without an alert."""
    await pipeline.kill(track(1), died_at_ms=1_000)
    await pipeline.kill(track(2))
    assert await letters.expire(keep_s=3600) == 1
    assert await letters.expire(keep_s=3600) == 0
    assert await ids(letters) == ["m2"]
    assert await counts(pipeline) == {"dead:rejected": 1, "removed": 1}


async def test_an_exported_letter_enqueued_again_takes_the_place_of_its_letter(
    pipeline: Pipeline, letters: DeadLetters
) -> None:
    """It skips dedupe and removes the letter; one without a messageId finds its letter, too."""
    nameless = track(2)
    del nameless["messageId"]
    await pipeline.kill(track(1), nameless)
    chosen = await letters.select(Filter())
    lines = [export_line(letter) async for letter in letters.read(chosen.ids)]
    assert all(lines)
    await pipeline.send(*(line for line in lines if line))
    await pipeline.split()
    assert await ids(letters) == []
    assert await counts(pipeline) == {"waiting:event": 2, "removed": 2}
