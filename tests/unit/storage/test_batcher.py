"""Commands that travel together: each caller gets its own answer, and always gets one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from pipeline.storage.scripts import MAX_COMMANDS, Batcher, Scripts


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        yield client


async def test_answers_come_in_the_order_of_their_commands(client: redis.asyncio.Redis) -> None:
    """More than one round trip's worth, sent by as many tasks at a time."""
    batcher = Batcher(client)
    answers = await asyncio.gather(
        *(batcher.execute("INCR", "n") for _ in range(MAX_COMMANDS * 2 + 1))
    )
    assert answers == list(range(1, MAX_COMMANDS * 2 + 2))


async def test_a_refused_command_fails_alone(client: redis.asyncio.Redis) -> None:
    """One mailbox's error is not its neighbours'."""
    batcher = Batcher(client)
    right, wrong = batcher.execute("INCR", "n"), batcher.execute("HGET", "n", "field")
    both = await asyncio.gather(right, wrong, return_exceptions=True)
    assert both[0] == 1
    assert isinstance(both[1], redis.exceptions.ResponseError)


async def test_a_command_that_cannot_be_sent_leaves_no_caller_waiting(
    client: redis.asyncio.Redis,
) -> None:
    """A caller without an answer would keep its claim, and its claim would be renewed for ever."""
    batcher = Batcher(client)
    with pytest.raises(UnicodeEncodeError):
        await asyncio.wait_for(batcher.execute("SET", "key", "\ud800"), 5)
    assert await batcher.execute("INCR", "n") == 1


async def test_a_cancelled_caller_takes_no_neighbour_along(client: redis.asyncio.Redis) -> None:
    """The others of its round trip get their answers."""
    batcher = Batcher(client)
    tasks = [batcher.execute("INCR", "n") for _ in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert (answers[0], answers[2]) == (1, 3)
    assert isinstance(answers[1], asyncio.CancelledError)


async def test_scripts_that_a_server_has_forgotten_are_loaded_and_run_in_order(
    client: redis.asyncio.Redis,
) -> None:
    """A Redis that was restarted knows no script; callers do not notice."""
    scripts, gate = Scripts(client, "pipeline.gates"), "sailpipe:default:gates:user"
    assert await scripts.run("close_gate", [gate], ["paused", "{}"]) == 1
    await client.script_flush()
    runs = [scripts.run("close_gate", [gate], [f"reason {n}", "{}"]) for n in range(3)]
    again = scripts.run("close_gate", [gate], ["reason 0", "{}"])
    assert await asyncio.gather(*runs, again) == [1, 1, 1, 0]


async def test_a_script_that_cannot_be_loaded_leaves_no_caller_waiting(
    client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis went away between the refusal and the loading."""
    scripts = Scripts(client, "pipeline.gates")
    gone = redis.exceptions.ConnectionError("gone")

    async def refuse(*_: object) -> None:
        raise gone

    await client.script_flush()
    monkeypatch.setattr(client, "script_load", refuse)
    with pytest.raises(redis.exceptions.ConnectionError):
        await asyncio.wait_for(
            scripts.run("close_gate", ["sailpipe:default:gates:user"], ["x", "{}"]), 5
        )
    assert await scripts.execute("INCR", "n") == 1


async def test_no_caller_waits_for_more_than_one_trip_to_a_redis_that_hangs() -> None:
    """The thousandth request of an HTTP server would be refused a minute after the first."""
    trips = 0

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal trips
        trips += 1
        await reader.read()
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        hung = redis.asyncio.Redis(port=port, socket_timeout=0.2, retry=Retry(NoBackoff(), 0))
        batcher = Batcher(hung)
        runs = [batcher.execute("INCR", "n") for _ in range(MAX_COMMANDS * 5)]
        found = await asyncio.gather(*runs, return_exceptions=True)
        await hung.aclose()
    assert {type(one) for one in found} == {redis.exceptions.TimeoutError}
    assert trips == 1
