"""Batcher: many tasks' commands in few round trips, each with its own reply or error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio
import redis.exceptions

from pipeline.mailbox.batcher import MOST, Batcher
from pipeline.redis_client import open_async_redis
from tests.support.redis_server import free_port


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with open_async_redis(redis_url) as client:
        yield client


async def test_each_command_gets_its_own_reply_in_any_number(client: redis.asyncio.Redis) -> None:
    batcher = Batcher(client)
    replies = await asyncio.gather(
        *(batcher.execute("ECHO", str(number)) for number in range(3 * MOST))
    )
    assert replies == [str(number).encode() for number in range(3 * MOST)]


async def test_an_error_reaches_only_whoever_caused_it(client: redis.asyncio.Redis) -> None:
    batcher = Batcher(client)
    wrong = asyncio.create_task(batcher.execute("EVALSHA", "0" * 40, 0))
    right = asyncio.create_task(batcher.execute("PING"))
    assert await right in (b"PONG", True)
    with pytest.raises(redis.exceptions.NoScriptError):
        await wrong


async def test_commands_together_cost_fewer_round_trips_than_alone(
    client: redis.asyncio.Redis,
) -> None:
    """Counted by Redis: each read from a socket that brought commands is one event."""
    batcher = Batcher(client)
    before = (await client.info("stats"))["total_reads_processed"]
    await asyncio.gather(*(batcher.execute("PING") for _ in range(MOST)))
    after = (await client.info("stats"))["total_reads_processed"]
    assert after - before < MOST / 4


async def test_a_caller_that_gives_up_costs_nobody_else_a_reply(
    client: redis.asyncio.Redis,
) -> None:
    batcher = Batcher(client)
    tasks = [asyncio.create_task(batcher.execute("ECHO", name)) for name in ("a", "b", "c")]
    await asyncio.sleep(0)
    tasks[1].cancel()
    assert await tasks[0] == b"a"
    assert await tasks[2] == b"c"


async def test_all_are_told_when_redis_is_away_and_served_when_it_is_back() -> None:
    async with open_async_redis(f"redis://127.0.0.1:{free_port()}/0") as client:
        batcher = Batcher(client)
        answers = await asyncio.gather(
            *(batcher.execute("PING") for _ in range(3)), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [redis.exceptions.ConnectionError] * 3
        with pytest.raises(redis.exceptions.ConnectionError):
            await batcher.execute("PING")
