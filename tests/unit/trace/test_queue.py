"""What waits to be written to the log of outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest
import redis.exceptions

from pipeline.clock import ManualClock
from pipeline.settings import AccountSettings
from pipeline.trace.log import TraceLog
from pipeline.trace.names import message_name
from pipeline.trace.queue import MAX_PENDING, TraceQueue
from pipeline.trace.records import Fate, Record


def read(thing: str) -> Iterator[tuple[str, Record]]:
    """`ACCOUNT ID` -> a record of it."""
    account, identity = thing.split(" ")
    yield account, Record(identity, Fate.DELIVERED, names=(message_name(identity),))


@pytest.fixture
def client() -> Any:
    return fakeredis.FakeAsyncRedis()


@pytest.fixture
def queue(client: Any) -> TraceQueue[str]:
    """For an account that keeps outcomes and one that does not."""
    accounts = {
        "on": AccountSettings(name="on"),
        "off": AccountSettings(name="off", trace_keep="off"),
    }
    return TraceQueue(client, accounts, read, ManualClock())


async def ids(client: Any, account: str, *names: str) -> list[str]:
    found = await TraceLog(client, account).find([message_name(one) for one in names])
    return [one.id for one in found]


async def test_each_account_has_what_is_its_own(client: Any, queue: TraceQueue[str]) -> None:
    """One that keeps none gets none."""
    queue.pending.extend(["on m1", "off m2", "other m3", "on m4"])
    await queue.flush()
    assert await ids(client, "on", "m1", "m2", "m3", "m4") == ["m1", "m4"]
    assert await ids(client, "off", "m2") == []


async def test_what_waits_at_the_end_is_written(client: Any, queue: TraceQueue[str]) -> None:
    """A process that is told to stop loses none."""
    running = asyncio.create_task(queue.run())
    await asyncio.sleep(0)
    queue.pending.append("on m1")
    running.cancel()
    await asyncio.wait([running])
    assert await ids(client, "on", "m1") == ["m1"]


async def test_what_is_too_much_is_lost_and_said(client: Any, queue: TraceQueue[str]) -> None:
    """The oldest: the queue has a bound."""
    queue.pending.extend(f"on m{n}" for n in range(MAX_PENDING + 1))
    await queue.flush()
    assert await ids(client, "on", "m0", "m1") == ["m1"]
    assert (await TraceLog(client, "on").kept()).lost is not None


async def test_one_that_cannot_be_told_costs_no_other(client: Any, queue: TraceQueue[str]) -> None:
    """A bug in the log is said in the log, and nothing else comes of it."""
    queue.pending.extend(["on m1", "nonsense", "on m2"])
    await queue.flush()
    assert await ids(client, "on", "m1", "m2") == ["m1", "m2"]
    assert (await TraceLog(client, "on").kept()).lost is not None


async def test_a_redis_that_is_away_costs_outcomes_only(
    client: Any, queue: TraceQueue[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next write says so."""

    async def fail(*_: Any, **__: Any) -> None:
        raise redis.exceptions.ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(TraceLog, "write", fail)
        queue.pending.append("on m1")
        await queue.flush()
    queue.pending.append("on m2")
    await queue.flush()
    assert await ids(client, "on", "m1", "m2") == ["m2"]
    assert (await TraceLog(client, "on").kept()).lost is not None
