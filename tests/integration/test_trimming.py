"""A trim of dead letters: a flood loses its own letters, whatever its sender and content."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest
import redis.asyncio

from pipeline.counters import Count
from pipeline.deadletters import store
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.letter import Header
from pipeline.deadletters.store import DeadLetters
from pipeline.errors import Reason
from pipeline.storage import keys
from tests.support.letters import Pipeline, bury, track
from tests.support.mailboxes import Mailboxes

HOUR = 3_600_000
NOW = 500_000 * HOUR + 1_000_000
MAX = 3_000
FLOOD = 20_000
FEWER = 6_000
"""Enough where it is not the number that matters."""

Letters = Iterator[tuple[str, Header]]


@pytest.fixture
def letters(client: redis.asyncio.Redis) -> DeadLetters:
    return DeadLetters(client, "default")


def header(at_ms: int, reason: Reason, detail: str = "it is so", **more: Any) -> Header:
    fields: dict[str, Any] = {"account": "default", "first_seen_ms": at_ms, "died_at": at_ms} | more
    return Header(reason=reason, detail=detail, **fields)


def real_orders() -> Letters:
    """Three a minute until the flood began, of two causes."""
    for number in range(300):
        at = NOW - 20_000 * (300 - number)
        reason = Reason.MISSING_EMAIL if number % 2 else Reason.REJECTED
        user = f"customer-{number}"
        yield f"order-{number}", header(at, reason, lane="purchase", user=user, order=True)


def real_others() -> Letters:
    """A trickle of other letters before the flood, of the kinds that floods are made of, too."""
    kinds = [("event", Reason.REJECTED), ("page", Reason.UNMAPPABLE), ("", Reason.MISSING_USER_ID)]
    for number in range(300):
        lane, reason = kinds[number % 3]
        at = NOW - 20_000 * (300 - number)
        yield f"other-{number}", header(at, reason, f"cause {'abc'[number % 2]}", lane=lane)


def of_one_cause(letters: int = FEWER) -> Letters:
    """Events without a user."""
    for number in range(letters):
        yield f"flood-{number}", header(NOW + number, Reason.MISSING_USER_ID, "no userId")


def of_a_cause_each(letters: int = FEWER) -> Letters:
    """Every event brings a message, a name and a user of its own: groups of one."""
    for number in range(letters):
        word = "".join(chr(ord("a") + int(digit)) for digit in str(number))
        more = {"lane": "event", "user": word, "event": word, "key": str(number)}
        yield f"flood-{number}", header(NOW + number, Reason.REJECTED, f"no such {word}", **more)


def of_invented_orders(letters: int = FEWER) -> Letters:
    """What only a key that may send orders can do."""
    for number in range(letters):
        more = {"lane": "purchase", "user": f"eve-{number}", "order": True}
        yield f"flood-{number}", header(NOW + number, Reason.UNMAPPABLE, "no products", **more)


async def left(letters: DeadLetters) -> set[str]:
    return {letter.id async for letter in letters.scan(Filter())}


async def counts(client: redis.asyncio.Redis) -> dict[str, int]:
    table: dict[Any, Any] = await client.hgetall(keys.counts("default"))
    ways_in = f"{Count.CAME_IN}:".encode()
    return {
        name.decode(): int(value)
        for name, value in table.items()
        if int(value) and not name.startswith(ways_in)
    }


@pytest.mark.parametrize("flood", [of_one_cause, of_a_cause_each])
async def test_a_flood_of_garbage_costs_no_other_letter(
    client: redis.asyncio.Redis, letters: DeadLetters, flood: Any
) -> None:
    """Of one cause or of thousands: what was there before it stays, in its own kind and hour as well."""
    await bury(client, "default", [*real_orders(), *real_others()])
    await bury(client, "default", flood(FLOOD))
    trimmed = await letters.trim(MAX)
    found = await left(letters)
    assert len(found) == MAX
    assert found >= {f"{kind}-{number}" for kind in ("order", "other") for number in range(300)}
    assert (trimmed.letters, trimmed.orders) == (600 + FLOOD - MAX, 0)
    [reason] = trimmed.reasons
    told = await counts(client)
    assert (told["removed"], told[f"trimmed:{reason}"]) == (trimmed.letters, trimmed.letters)
    assert (await letters.trim(MAX)).letters == 0


async def test_letters_that_die_during_a_flood_stay_but_for_those_of_its_own_cause(
    client: redis.asyncio.Redis, letters: DeadLetters
) -> None:
    """Trimmed again and again while it lasts."""
    flood, expected = list(of_one_cause()), set()
    for step in range(10):
        at = NOW + step * FEWER // 10
        own = header(at, Reason.INVALID_EVENT, "userId: must be a string")
        orders = header(at, Reason.REJECTED, lane="purchase", user="ann", order=True)
        await bury(client, "default", flood[step * FEWER // 10 : (step + 1) * FEWER // 10])
        await bury(client, "default", [(f"own-{step}", own), (f"order-{step}", orders)])
        await letters.trim(MAX)
        expected |= {f"own-{step}", f"order-{step}"}
    assert await left(letters) >= expected


async def test_a_flood_of_invented_orders_costs_no_order_that_died_before_it(
    client: redis.asyncio.Redis, letters: DeadLetters
) -> None:
    """All else goes first; then the largest group of orders, the flood."""
    await bury(client, "default", [*real_orders(), *real_others()])
    await bury(client, "default", of_invented_orders())
    trimmed = await letters.trim(MAX)
    found = await left(letters)
    assert {f"order-{number}" for number in range(300)} <= found
    assert not any(name.startswith("other") for name in found)
    assert trimmed.orders == FEWER + 300 - MAX


async def test_a_flood_that_lasts_for_days_leaves_every_group_its_share(
    client: redis.asyncio.Redis, letters: DeadLetters
) -> None:
    """An attacker with patience makes a group each hour; a group of fewer letters is never touched."""
    await bury(client, "default", [*real_orders(), *real_others()])
    hours = (header(NOW + hour * HOUR, Reason.MISSING_USER_ID) for hour in range(1, 101))
    flood = ((f"flood-{n}-{one.died_at}", one) for one in hours for n in range(100))
    await bury(client, "default", flood)
    await letters.trim(MAX)
    found = await left(letters)
    assert {f"order-{number}" for number in range(300)} <= found
    by_hour = {
        at: sum(name.endswith(f"-{at}") for name in found)
        for at in (NOW + hour * HOUR for hour in range(1, 101))
    }
    assert max(by_hour.values()) - min(by_hour.values()) <= 1


async def test_processes_that_trim_at_a_time_remove_no_more_than_one_would(
    client: redis.asyncio.Redis, letters: DeadLetters
) -> None:
    """While people replay and drop: every letter is counted once, and no letter falls below DEAD_MAX."""
    await bury(client, "default", [*real_orders(), *real_others(), *of_a_cause_each()])
    gone = [f"flood-{number}" for number in range(0, 600, 2)]
    async with asyncio.TaskGroup() as group:
        trims = [group.create_task(DeadLetters(client, "default").trim(MAX)) for _ in range(3)]
        drop = group.create_task(letters.drop(gone[:150]))
        replay = group.create_task(letters.replay(gone[150:]))
    found, told = await left(letters), await counts(client)
    trimmed = sum(trim.result().letters for trim in trims)
    assert told["removed"] == drop.result() + trimmed
    assert len(found) + told["removed"] + replay.result() == 600 + FEWER
    assert MAX - drop.result() - replay.result() <= len(found) <= MAX
    assert (await letters.trim(MAX)).letters == 0


async def test_one_step_of_a_trim_looks_at_a_bounded_number_of_letters(
    client: redis.asyncio.Redis, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound does not grow with groups or letters."""
    asked: list[tuple[int, ...]] = []
    trim = letters._moves.trim

    async def watched(*args: Any, **more: Any) -> Any:
        found = await trim(*args, **more)
        asked.append((found[0], sum(found[1].values())))
        return found

    monkeypatch.setattr(letters._moves, "trim", watched)
    await bury(client, "default", [*real_others(), *of_a_cause_each()])
    await letters.trim(MAX)
    assert max(looked for looked, _ in asked) == store.CHUNK
    assert sum(looked for looked, _ in asked) <= 1.2 * FEWER


@pytest.mark.parametrize("full", [False, True])
async def test_the_first_trim_of_an_hour_is_known_by_all_processes(
    client: redis.asyncio.Redis, letters: DeadLetters, full: bool
) -> None:
    """A full Redis, in which nothing is more welcome than a trim, trims and tells as well."""
    await bury(client, "default", [*real_orders(), *real_others()])
    if full:
        await client.config_set("maxmemory", "1")
    try:
        assert (await letters.trim(most=500)).letters == 100
        assert await letters.is_first_trim(3600.0)
        assert not await DeadLetters(client, "default").is_first_trim(3600.0)
        assert await DeadLetters(client, "shoes").is_first_trim(3600.0)
    finally:
        await client.config_set("maxmemory", "0")
    assert 3_500_000 < await client.pttl(keys.dead_told("default")) <= 3_600_000


async def test_groups_are_counted_whatever_becomes_of_their_letters() -> None:
    """What is replayed, dropped or replaced leaves its group; a group of none is forgotten."""
    client = fakeredis.FakeAsyncRedis()
    pipeline = Pipeline(client)
    letters = DeadLetters(client, "default")
    await pipeline.kill(track(1), track(2), track(3))
    await pipeline.send(b"no json")
    await pipeline.split()
    assert sorted((await Mailboxes(client).dead_groups()).values()) == [1, 3]
    await letters.replay(["m1"])
    await letters.drop(["m2"])
    await pipeline.send(track(3) | {"sailpipe": {"replay": True}})
    await pipeline.split()
    [(group, size)] = (await Mailboxes(client).dead_groups()).items()
    assert (group.kind, group.reason, size) == ("", "invalid_json", 1)
