"""The async twins of the Python way in, on a real Redis: loops, forks, a Redis that is away or hangs."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import redis

import pipeline
from pipeline.accept import _ASYNC_PRODUCERS, _PRODUCERS
from pipeline.errors import ConfigError, EnqueueError, InvalidEvent, QueueFull
from pipeline.producer import ANSWER_S, RAW_HOLD
from pipeline.storage import keys
from pipeline.storage.verdict import Verdict
from tests.support.commands import DEADLINE_S, wait_until

REGISTERED = {"type": "track", "userId": "u1", "event": "Registered"}
ORDER = {"type": "track", "userId": "u1", "event": "Order Completed"}


@pytest.fixture(autouse=True)
def _no_producer_yet() -> Iterator[None]:
    _PRODUCERS.clear()
    yield
    _PRODUCERS.clear()
    assert _ASYNC_PRODUCERS == {}, "a loop has ended, and its connections are left"


@pytest.fixture
def client(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    monkeypatch.setenv("SAILPIPE_REDIS_URL", redis_url)
    with redis.Redis.from_url(redis_url) as opened:
        yield opened


@pytest.fixture
def silent_url() -> Iterator[str]:
    """Of a Redis that hangs: connections are taken, and nothing is ever answered."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def entries(client: redis.Redis) -> list[dict[bytes, bytes]]:
    found: Any = client.xrange(keys.RAW)
    return [fields for _, fields in found]


def test_the_twins_do_what_they_are_twins_of(client: redis.Redis) -> None:
    """Ids are returned, labels are set, the order is kept."""

    async def program() -> list[str]:
        first = await pipeline.enqueue_async({**REGISTERED, "messageId": "m-1"})
        more = await pipeline.enqueue_many_async([REGISTERED] * 3, "brand", bulk=True)
        last = await pipeline.enqueue_async(REGISTERED, account="brand", role="browser")
        return [first, *more, last]

    ids = asyncio.run(program())
    found = entries(client)
    assert [json.loads(fields.pop(b"event"))["messageId"] for fields in found] == ids
    assert ids[0] == "m-1"
    came = {b"via": b"python"}
    bulk = {**came, b"account": b"brand", b"class": b"bulk"}
    page = {**came, b"account": b"brand", b"role": b"browser"}
    assert found == [came, bulk, bulk, bulk, page]


def test_a_loop_that_ends_leaves_no_connection(client: redis.Redis) -> None:
    """Programs that call asyncio.run now and then must not collect sockets."""

    def connections() -> set[str]:
        return {one["id"] for one in client.client_list()}

    before = connections()
    for _ in range(3):
        asyncio.run(pipeline.enqueue_async(REGISTERED))
        assert _ASYNC_PRODUCERS == {}
    wait_until(lambda: connections() <= before, "the connections are closed")
    assert client.xlen(keys.RAW) == 3


def test_tasks_of_a_loop_share_their_connections(client: redis.Redis) -> None:
    """A hundred requests at once are a hundred events and a few round trips."""

    async def program() -> int:
        await pipeline.enqueue_async(REGISTERED)
        before = client.info("stats")["total_connections_received"]
        await asyncio.gather(*(pipeline.enqueue_async(REGISTERED) for _ in range(100)))
        return int(client.info("stats")["total_connections_received"] - before)

    assert asyncio.run(program()) == 0
    assert client.xlen(keys.RAW) == 101


def test_many_wait_while_the_raw_stream_is_long_and_the_loop_goes_on(client: redis.Redis) -> None:
    """As an import does."""
    with client.pipeline() as pipe:
        for _ in range(RAW_HOLD):
            pipe.xadd(keys.RAW, {"event": "{}"})
        pipe.execute()

    async def program() -> list[str]:
        sending = asyncio.create_task(pipeline.enqueue_many_async([REGISTERED] * 2))
        done, _ = await asyncio.wait([sending], timeout=0.3)
        assert not done
        client.delete(keys.RAW)
        return await sending

    assert len(asyncio.run(program())) == client.xlen(keys.RAW) == 2


def test_both_refuse_what_the_splitter_refuses(client: redis.Redis) -> None:
    """QueueFull, and nothing is appended."""
    client.set(keys.VERDICT, Verdict(memory=90).encode())

    async def program() -> None:
        for send in (pipeline.enqueue_async(REGISTERED), pipeline.enqueue_many_async([REGISTERED])):
            with pytest.raises(QueueFull, match="memory"):
                await send

    asyncio.run(program())
    assert client.xlen(keys.RAW) == 0


def test_an_invalid_event_refuses_all_before_anything_is_sent(client: redis.Redis) -> None:
    with pytest.raises(InvalidEvent):
        asyncio.run(pipeline.enqueue_many_async([REGISTERED, {"type": "track"}]))
    assert client.xlen(keys.RAW) == 0


def each_way(event: dict[str, Any], **labels: Any) -> list[Callable[[], object]]:
    return [
        lambda: pipeline.enqueue(event, **labels),
        lambda: pipeline.enqueue_many([event, event], **labels),
        lambda: asyncio.run(pipeline.enqueue_async(event, **labels)),
        lambda: asyncio.run(pipeline.enqueue_many_async([event, event], **labels)),
    ]


@pytest.mark.parametrize("way", range(4))
def test_what_a_page_may_not_send_is_refused_and_never_sent(client: redis.Redis, way: int) -> None:
    """A program that hands on what pages send says so, and is told as with a write key of that role."""
    with pytest.raises(InvalidEvent, match="server key only"):
        each_way(ORDER, role="browser")[way]()
    each_way(REGISTERED, role="browser")[way]()
    assert {fields.get(b"role") for fields in entries(client)} == {b"browser"}


@pytest.mark.parametrize("way", range(4))
def test_data_of_another_version_are_left_alone(client: redis.Redis, way: int) -> None:
    client.set(keys.FORMAT, "9999")
    with pytest.raises(ConfigError, match="newer format 9999"):
        each_way(REGISTERED)[way]()
    assert client.xlen(keys.RAW) == 0


@pytest.mark.parametrize("way", range(4))
def test_after_a_failure_it_is_looked_anew_where_redis_is(
    client: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch, way: int
) -> None:
    """A program that runs on while Redis moves needs no restart."""
    monkeypatch.setenv("SAILPIPE_REDIS_URL", "redis://127.0.0.1:1/0")
    with pytest.raises(EnqueueError, match="nothing listens there"):
        each_way(REGISTERED)[way]()
    monkeypatch.setenv("SAILPIPE_REDIS_URL", redis_url)
    each_way(REGISTERED)[way]()
    assert client.xlen(keys.RAW) in {1, 2}


def test_the_same_loop_looks_anew_too(
    client: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While other tasks of it fail, each by itself."""

    async def program() -> None:
        monkeypatch.setenv("SAILPIPE_REDIS_URL", "redis://127.0.0.1:1/0")
        failed = await asyncio.gather(
            *(pipeline.enqueue_async(REGISTERED) for _ in range(5)), return_exceptions=True
        )
        assert [type(one) for one in failed] == [EnqueueError] * 5
        monkeypatch.setenv("SAILPIPE_REDIS_URL", redis_url)
        await pipeline.enqueue_async(REGISTERED)

    asyncio.run(program())
    assert client.xlen(keys.RAW) == 1


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> float:
    """The bound, made short in the place that says it."""
    monkeypatch.setattr("pipeline.storage.redis_client.CONNECT_TIMEOUT_S", 0.2)
    monkeypatch.setattr("pipeline.storage.redis_client.REPLY_TIMEOUT_S", 0.3)
    monkeypatch.setattr("pipeline.producer.ANSWER_S", 0.5)
    return 0.5


@pytest.mark.parametrize("way", range(4))
def test_a_redis_that_hangs_is_waited_for_no_longer_than_is_said(
    silent_url: str, short_waits: float, monkeypatch: pytest.MonkeyPatch, way: int
) -> None:
    """It takes the connection and never answers. Half of the unshortened bound is the test's own slack."""
    monkeypatch.setenv("SAILPIPE_REDIS_URL", silent_url)
    began = time.monotonic()
    with pytest.raises(EnqueueError, match="does not answer in time"):
        each_way(REGISTERED)[way]()
    assert time.monotonic() - began < short_waits + ANSWER_S / 2


def test_tasks_do_not_wait_for_a_redis_that_hangs_one_after_the_other(
    silent_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are more of them than connections: without the bound over all of it they would take four turns."""
    monkeypatch.setattr("pipeline.storage.redis_client.REPLY_TIMEOUT_S", 2.0)
    monkeypatch.setattr("pipeline.producer.ANSWER_S", 2.0)
    monkeypatch.setenv("SAILPIPE_REDIS_URL", silent_url)

    async def program() -> list[Any]:
        calls: list[Coroutine[Any, Any, object]] = []
        for _ in range(100):
            calls += [
                pipeline.enqueue_async(REGISTERED),
                pipeline.enqueue_many_async([REGISTERED] * 2),
            ]
        failed: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
        return failed

    began = time.monotonic()
    assert {type(one) for one in asyncio.run(program())} == {EnqueueError}
    assert time.monotonic() - began < 7.0, "four turns take eight seconds"


FORKS = """
import asyncio, os, pipeline
event = {"type": "track", "userId": "u1", "event": "Registered"}

async def several():
    await asyncio.gather(*(pipeline.enqueue_async(event) for _ in range(10)))
    await pipeline.enqueue_many_async([event] * 10)

def child_does(work):
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    return child

async def main():
    await several()
    child = child_does(lambda: asyncio.run(several()))
    await several()
    return child

asyncio.run(several())
pipeline.enqueue(event)
children = [child_does(lambda: (asyncio.run(several()), pipeline.enqueue(event))), asyncio.run(main())]
pipeline.enqueue(event)
raise SystemExit(any(os.waitpid(child, 0)[1] for child in children))
"""


def test_a_forked_child_has_connections_of_its_own(client: redis.Redis, redis_url: str) -> None:
    """Between two loops, and in the middle of one; sync and async."""
    # Python 3.12 warns of a fork where a thread is: asyncio's for names of hosts.
    quiet = "ignore:This process:DeprecationWarning"
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-W", "error", "-W", quiet, "-c", FORKS],
        env={**os.environ, "SAILPIPE_REDIS_URL": redis_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert client.xlen(keys.RAW) == 5 * 20 + 3


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_was_ended_by_hand_is_not_kept(client: redis.Redis) -> None:
    """It closes no generators; what it had is let go when the next loop begins."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(pipeline.enqueue_async(REGISTERED))
    loop.close()
    assert list(_ASYNC_PRODUCERS) == [loop]
    asyncio.run(pipeline.enqueue_async(REGISTERED))
    gc.collect()
    assert client.xlen(keys.RAW) == 2
