"""The HTTP server's way into the raw stream: what comes together travels together, and a batch is whole or absent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio

from pipeline.admission import LOOK_EVERY
from pipeline.errors import QueueFull
from pipeline.producer import AsyncProducer
from pipeline.raw_entries import Labels
from pipeline.storage import keys


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        yield client


async def calls(client: redis.asyncio.Redis, command: str) -> int:
    """How often Redis has run a command since the test began."""
    stats: dict[str, Any] = await client.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])


async def taken(client: redis.asyncio.Redis) -> list[dict[bytes, bytes]]:
    found: Any = await client.xrange(keys.RAW)
    return [fields for _, fields in found]


async def test_single_events_that_come_together_share_their_round_trips(
    client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round trip costs ten times what an event does."""
    trips = 0
    execute = redis.asyncio.client.Pipeline.execute

    async def counted(pipe: Any, raise_on_error: bool = True) -> list[Any]:
        nonlocal trips
        trips += 1
        return await execute(pipe, raise_on_error)

    producer = AsyncProducer(client)
    await producer.send_all([b"first"])
    monkeypatch.setattr("redis.asyncio.client.Pipeline.execute", counted)
    await asyncio.gather(*(producer.send_all([b"%d" % n], Labels("brand")) for n in range(80)))
    assert trips == 1
    assert await taken(client) == [
        {b"event": b"first"},
        *({b"event": b"%d" % n, b"account": b"brand"} for n in range(80)),
    ]


@pytest.mark.parametrize("account", ["default", "brand"])
async def test_a_batch_is_one_command_and_keeps_its_order(
    client: redis.asyncio.Redis, account: str
) -> None:
    """As many as one request may bring."""
    raws = [b"%d" % n for n in range(2500)]
    await AsyncProducer(client).send_all(raws, Labels(account))
    entries = await taken(client)
    assert [fields[b"event"] for fields in entries] == raws
    owner = None if account == "default" else account.encode()
    assert {fields.get(b"account") for fields in entries} == {owner}


async def test_no_event_of_a_batch_is_taken_when_redis_is_full(
    client: redis.asyncio.Redis,
) -> None:
    """The caller sends the whole batch again."""
    producer = AsyncProducer(client)
    await producer.send_all([b"1", b"2"])
    await client.config_set("maxmemory", "1")
    try:
        with pytest.raises(QueueFull, match="memory"):
            await producer.send_all([b"3", b"4"])
    finally:
        await client.config_set("maxmemory", "0")
    assert len(await taken(client)) == 2


async def test_a_batch_of_nothing_is_taken_without_a_command(
    client: redis.asyncio.Redis,
) -> None:
    """An SDK that flushes an empty queue is answered 200."""
    await AsyncProducer(client).send_all([])
    assert await client.exists(keys.RAW) == 0


async def test_the_length_of_the_raw_stream_is_asked_for_now_and_then(
    client: redis.asyncio.Redis,
) -> None:
    """Once in LOOK_EVERY events, and again whenever the bound may have been reached."""
    producer = AsyncProducer(client)
    await client.config_resetstat()
    for _ in range(2 * LOOK_EVERY // 100):
        await producer.send_all([b"{}"] * 100)
    scripts = await calls(client, "evalsha")
    assert await calls(client, "xlen") - scripts <= 2 + 1


async def test_the_bound_holds_though_others_append_too(client: redis.asyncio.Redis) -> None:
    """What others add is seen at the next look, LOOK_EVERY events later at most."""
    producer = AsyncProducer(client, bound=LOOK_EVERY * 3)
    await producer.send_all([b"{}"])
    other = AsyncProducer(client)
    for _ in range(3):
        await other.send_all([b"{}"] * LOOK_EVERY)
    before = await client.xlen(keys.RAW)

    async def send_on() -> None:
        for _ in range(LOOK_EVERY + 1):
            await producer.send_all([b"{}"])

    with pytest.raises(QueueFull):
        await send_on()
    assert await client.xlen(keys.RAW) < before + LOOK_EVERY
    await client.delete(keys.RAW)
    await producer.send_all([b"{}"])
