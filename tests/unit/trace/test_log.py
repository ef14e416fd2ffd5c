"""The log of outcomes in Redis: what is written is found, and what is too much goes in its order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import fakeredis
import pytest
import redis.asyncio
import redis.exceptions
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.clock import SystemClock
from pipeline.lanes import Lane
from pipeline.storage import keys
from pipeline.trace.log import TraceLog
from pipeline.trace.names import message_name, order_name, person_name
from pipeline.trace.records import SHARES, Fate, MadeCall, Part, Record

MOST = 1 << 30
LANE = {
    Part.PAGE: Lane.PAGE,
    Part.EVENT: Lane.EVENT,
    Part.USER: Lane.USER,
    Part.ORDER: Lane.PURCHASE,
}


def record(number: int, part: Part = Part.EVENT, user: str = "u1") -> Record:
    """An outcome with names of its own, and its user's."""
    fate = Fate.DEAD if part is Part.DEAD else Fate.DELIVERED
    return Record(
        id=f"m{number}",
        fate=fate,
        lane=LANE.get(part, Lane.EVENT).value,
        user=user,
        accepted=number,
        at=number + 5,
        calls=(MadeCall("POST /event", 200, 40, number + 4),),
        names=(message_name(f"m{number}"), person_name(user), order_name(f"o{number}")),
    )


@pytest.fixture(params=["fakeredis", "redis"])
async def log(request: pytest.FixtureRequest) -> AsyncIterator[TraceLog]:
    """A log in a fake and in a real Redis, one after the other."""
    if request.param == "fakeredis":
        yield TraceLog(fakeredis.FakeAsyncRedis(), "default")
        return
    async with redis.asyncio.Redis.from_url(request.getfixturevalue("redis_url")) as client:
        yield TraceLog(client, "default")


_written = st.lists(
    st.lists(st.tuples(st.sampled_from(Part), st.integers(1, 4)), min_size=1, max_size=12),
    min_size=1,
    max_size=3,
)


@given(_written)
@settings(max_examples=25)
async def test_each_outcome_is_found_by_each_of_its_names_and_by_no_other(
    written: list[list[tuple[Part, int]]],
) -> None:
    """In whatever part and block it lies."""
    log, number, there = TraceLog(fakeredis.FakeAsyncRedis(), "default"), 0, []
    for batch in written:
        made = []
        for part, user in batch:
            number += 1
            made.append(record(number, part, f"u{user}"))
        await log.write(made, MOST)
        there += made
    for one in there:
        assert await log.find([message_name(one.id)]) == [one]
        assert await log.find([order_name(f"o{one.accepted}")]) == [one]
    for user in range(1, 5):
        own = [one for one in there if one.user == f"u{user}"]
        assert await log.find([person_name(f"u{user}")]) == own
    assert await log.find([person_name("u5"), message_name("u1")]) == []


async def test_the_newest_of_each_part_are_found_first(log: TraceLog) -> None:
    """A person may have more outcomes than anybody wants to see."""
    await log.write([record(n) for n in range(300)], MOST)
    await log.write([record(n) for n in range(300, 600)], MOST)
    await log.write([record(1, Part.ORDER)], MOST)
    found = await log.find([person_name("u1")], most=2)
    assert [one.id for one in found] == ["m1", "m598", "m599"]


async def test_what_was_written_before_a_letter_came_is_not_looked_through(log: TraceLog) -> None:
    """Each look at a letter would else read the whole log, of three days."""
    for start in range(0, 40_000, 1_000):
        some = [record(n, user=f"u{n}") for n in range(start, start + 1_000)]
        await log.write(some, 2**30)

    async def steps(since_ms: int) -> int:
        looking = log.look(Part.EVENT, [message_name("m0")], since_ms)
        return len([blocks async for _, blocks in looking])

    later = round(SystemClock().now() * 1000) + 60_000
    assert (await steps(0) > 1, await steps(later)) == (True, 1)
    assert [one.id for one in await log.find([message_name("m0")])] == ["m0"]


async def test_page_views_go_first_and_orders_last(log: TraceLog) -> None:
    """Each part keeps its share whatever the others are; what it does not use they may."""
    await log.write([record(n, Part.ORDER) for n in range(1_500)], MOST)
    room = (await log.kept()).bytes * 2
    for start in range(0, 6_000, 500):
        for part in (Part.PAGE, Part.EVENT):
            await log.write([record(n, part, f"u{n}") for n in range(start, start + 500)], room)
    await log.trim(1e6, room)
    kept = await log.kept()
    book = await log._redis.hgetall(keys.trace_book("default"))
    sizes = {part: int(book.get(f"bytes:{part}".encode(), 0)) for part in Part}
    assert kept.bytes <= room
    assert sizes[Part.ORDER] > room * SHARES[Part.ORDER] / 16
    assert sizes[Part.PAGE] < room * SHARES[Part.PAGE] / 16 + 15_000
    assert sizes[Part.PAGE] > room * SHARES[Part.PAGE] / 16 - 6_000 > 0
    assert sizes[Part.EVENT] > room * SHARES[Part.EVENT] / 16
    assert len(await log.find([person_name("u1")], parts=[Part.ORDER], most=9_999)) == 1_500
    assert await log.find([message_name("m0")], parts=[Part.PAGE]) == []
    assert kept.since[Part.ORDER] == kept.began
    assert kept.complete_since == max(kept.since.values())
    assert (kept.began or 0) < kept.since[Part.PAGE]


@pytest.mark.parametrize("flood", [Part.PAGE, Part.EVENT, Part.USER, Part.DEAD])
async def test_a_flood_costs_no_order(flood: Part) -> None:
    """Whoever has a page's key can send any number of page views, and of events that die."""
    log = TraceLog(fakeredis.FakeAsyncRedis(), "default")
    await log.write([record(n, Part.ORDER) for n in range(200)], MOST)
    room = (await log.kept()).bytes * 4
    for start in range(0, 4_000, 500):
        await log.write([record(n, flood) for n in range(start, start + 500)], room)
    assert (await log.kept()).bytes <= room + 30_000
    assert len(await log.find([person_name("u1")], parts=[Part.ORDER])) == 200


async def test_what_is_counted_is_what_there_is(log: TraceLog) -> None:
    """Also after blocks were removed: a counter that drifts would fill Redis or empty the log."""
    for start in range(0, 3_000, 100):
        await log.write([record(n) for n in range(start, start + 100)], 60_000)
    entries: Any = await log._redis.xrange(keys.trace("default", Part.EVENT))
    kept = await log.kept()
    assert kept.records == sum(int(fields[b"n"]) for _, fields in entries)
    text = sum(len(fields[b"i"]) + len(fields[b"d"]) for _, fields in entries)
    assert text < kept.bytes <= 60_000


async def test_what_is_too_old_goes_and_the_answer_says_since_when(log: TraceLog) -> None:
    """Its age is when it was written."""
    await log.write([record(1)], MOST)
    await log.trim(3600, MOST)
    assert len(await log.find([message_name("m1")])) == 1
    await log.trim(-60, MOST)
    assert await log.find([message_name("m1")]) == []
    kept = await log.kept()
    assert (kept.records, kept.bytes) == (0, 0)
    assert kept.since[Part.EVENT] >= (kept.began or 0) > 0


async def test_a_log_that_is_off_leaves_nothing(log: TraceLog) -> None:
    """Neither blocks nor what was kept of them."""
    await log.write([record(1), record(2, Part.ORDER)], MOST)
    await log.trim(None, MOST)
    assert await log._redis.keys() == []
    assert (await log.kept()).complete_since is None


async def test_a_loss_is_remembered(log: TraceLog) -> None:
    """Who finds nothing learns that there may have been something."""
    await log.write([record(1)], MOST)
    assert (await log.kept()).lost is None
    await log.write([record(2)], MOST, lost=True)
    kept = await log.kept()
    assert kept.lost is not None
    assert kept.complete_since == kept.lost


async def test_a_full_redis_takes_no_outcome(redis_url: str) -> None:
    """The log is not worth an event."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        await client.config_set("maxmemory", 1)
        try:
            with pytest.raises(redis.exceptions.ResponseError):
                await TraceLog(client, "default").write([record(1)], MOST)
        finally:
            await client.config_set("maxmemory", 0)
        assert await client.keys() == []


async def test_the_room_is_bounded_by_redis_memory(redis_url: str) -> None:
    """An eighth of it, over all accounts."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        log = TraceLog(client, "default")
        assert await log.room(1 << 20, 1) == 1 << 20
        await client.config_set("maxmemory", 160 << 20)
        try:
            assert await log.room(1 << 30, 2) == 10 << 20
        finally:
            await client.config_set("maxmemory", 0)
