"""Which lanes and accounts a waker serves in its passes, with a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from unittest.mock import Mock

import pytest
import redis.asyncio
from structlog.testing import capture_logs

from pipeline.delivery.capacity import MESSAGE_BOXES, QUEUE_MESSAGES
from pipeline.events.models import Lane
from pipeline.gates.gates import Closure, Gates
from pipeline.mailbox.store import MailboxStore
from pipeline.settings import load_settings
from pipeline.storage import keys
from pipeline.storage.nudges import Nudges, listen
from tests.support.commands import DEADLINE_S
from workers import waker as waker_module
from workers.app import create_app
from workers.process import WorkerProcess
from workers.waker import Waker

SHOES, HATS = "shoes", "hats"
LEASE_S = 12.0
FULL = QUEUE_MESSAGES * MESSAGE_BOXES
"""Mailboxes with which a lane's Celery queue takes no more."""


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def waker(redis_url: str, store: redis.asyncio.Redis) -> AsyncIterator[Waker]:
    """A waker of two accounts; each may have as many mailboxes leased as fill a queue."""
    runtime = Mock(spec_set=["engine", "loop", "submit"])
    runtime.engine.stores = {name: MailboxStore(store, name) for name in (SHOES, HATS)}
    runtime.engine.bounds.return_value = FULL, FULL
    runtime.engine.rate.return_value = 300.0
    runtime.engine.redis = store
    runtime.engine.leases.min_lease_s = LEASE_S
    with create_app(
        WorkerProcess(load_settings({"SAILPIPE_REDIS_URL": redis_url}), redis_url)
    ) as app:
        yield Waker(app, runtime, {str(lane) for lane in Lane})


async def fill(store: redis.asyncio.Redis, account: str, lane: Lane, boxes: int) -> None:
    """So many mailboxes are due."""
    await store.zadd(keys.due(account, lane), {f"u{number}": 0 for number in range(boxes)})


async def deliver_all(store: Any, lane: Lane) -> set[str]:
    """Take all messages and leases of a lane; returns the accounts that had mailboxes leased."""
    await store.delete(keys.celery_queue(lane))
    return {name for name in (SHOES, HATS) if await store.delete(keys.leased(name, lane))}


async def test_the_backlogs_of_two_accounts_take_turns_in_a_lane(
    waker: Waker, store: redis.asyncio.Redis
) -> None:
    """They share its Celery queue; an account that fills it leaves the next place to the other."""
    for account in (SHOES, HATS):
        await fill(store, account, Lane.EVENT, 3 * FULL)
    served = []
    for _ in range(4):
        await waker.wake_all()
        served.append(await deliver_all(store, Lane.EVENT))
    assert served == [{SHOES}, {HATS}, {SHOES}, {HATS}]


async def test_an_account_that_was_passed_over_keeps_its_turn(
    waker: Waker, store: redis.asyncio.Redis
) -> None:
    """However many passes find the queue full, the next place is not for the account that had the last."""
    for account in (SHOES, HATS):
        await fill(store, account, Lane.EVENT, 3 * FULL)
    for _ in range(4):
        await waker.wake_all()
    assert await deliver_all(store, Lane.EVENT) == {SHOES}
    await waker.wake_all()
    assert await deliver_all(store, Lane.EVENT) == {HATS}


async def test_a_lane_that_cannot_be_leased_keeps_no_other_from_it(
    waker: Waker, store: redis.asyncio.Redis
) -> None:
    """The log says which lane it is, once a minute, and not that Redis is away."""
    await store.set(keys.due(SHOES, Lane.USER), "not a sorted set")
    for account, lane in ((HATS, Lane.USER), (SHOES, Lane.EVENT)):
        await fill(store, account, lane, 1)
    with capture_logs() as said:
        await waker.wake_all()
        await waker.wake_all()
    assert await deliver_all(store, Lane.USER) == {HATS}
    assert await deliver_all(store, Lane.EVENT) == {SHOES}
    (failed,) = said
    assert (failed["event"], failed["account"], failed["lane"]) == ("wake_failed", SHOES, Lane.USER)


async def test_a_redis_that_refuses_writes_is_no_fault_of_a_lane(
    waker: Waker, store: redis.asyncio.Redis
) -> None:
    """It is waited for as one that is away."""
    await store.config_set("min-replicas-to-write", 1)
    try:
        with pytest.raises(redis.exceptions.RedisError):
            await waker.wake_all()
    finally:
        await store.config_set("min-replicas-to-write", 0)


async def test_a_nudge_has_its_lane_woken_long_before_the_next_look(
    waker: Waker, store: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent by the splitter's process, heard by this one."""
    monkeypatch.setattr(waker_module, "TICK_S", 3600.0)
    listening = asyncio.create_task(listen(store, waker.nudged))
    waking = asyncio.create_task(waker.run())
    try:
        async with asyncio.timeout(DEADLINE_S), Nudges(store) as nudges:
            while not await store.hget(keys.lane(HATS, Lane.PAGE), "tick"):
                await asyncio.sleep(0.01)
            while not (await store.pubsub_numsub(keys.DUE_NUDGES))[0][1]:
                await asyncio.sleep(0.01)
            await fill(store, HATS, Lane.EVENT, 1)
            nudges.send([keys.due(HATS, Lane.EVENT), keys.due("strangers", Lane.USER)])
            while not await store.zcard(keys.leased(HATS, Lane.EVENT)):
                await asyncio.sleep(0.01)
    finally:
        for task in (listening, waking):
            task.cancel()
        await asyncio.wait({listening, waking})


TICKS = round(LEASE_S / waker_module.KEEP_TICKS_A_LEASE / waker_module.TICK_S)
"""In which every account has its turn."""


async def ticked(waker: Waker, store: redis.asyncio.Redis) -> set[tuple[str, Lane]]:
    """The lanes that are woken while each account has a turn."""
    lanes = [(account, lane) for account in (SHOES, HATS) for lane in Lane]
    for one in lanes:
        await store.hset(keys.lane(*one), "tick", 0)
    for _ in range(TICKS):
        await waker._tick()
    return {one for one in lanes if await store.hget(keys.lane(*one), "tick") != b"0"}


async def test_empty_lanes_are_looked_at_together_and_left_alone(
    waker: Waker, store: redis.asyncio.Redis
) -> None:
    """A hundred accounts that have nothing to do must cost no more than a few."""
    await waker.wake_all()
    await waker._tick()  # from now on Redis knows the script
    before = await scripts_run(store)
    assert await ticked(waker, store) == set()
    assert await scripts_run(store) - before <= 2 * TICKS


@pytest.mark.parametrize("where", [keys.due, keys.due_bulk, keys.leased])
async def test_a_lane_in_which_something_waits_is_ticked_a_few_times_a_lease(
    waker: Waker, store: redis.asyncio.Redis, where: Callable[[str, str], str]
) -> None:
    """Processes of another target must know that its account is served."""
    await waker.wake_all()
    await store.zadd(where(HATS, Lane.PAGE), {"ann": 4_000_000_000_000})
    assert await ticked(waker, store) == {(HATS, Lane.PAGE)}


async def test_an_empty_lane_behind_a_closed_gate_is_ticked_until_that_is_open(
    waker: Waker, store: redis.asyncio.Redis
) -> None:
    """The splitter of a full Redis moves nothing that only closed lanes could deliver, and reads of the lane whether it is."""
    gates = Gates(store, SHOES)
    await gates.close(Closure("event", "paused", until=0, since=0))
    await waker.wake_all()
    assert await ticked(waker, store) == {(SHOES, Lane.EVENT)}
    await gates.open("event", "paused")
    assert await ticked(waker, store) == {(SHOES, Lane.EVENT)}
    assert await store.hget(keys.lane(SHOES, Lane.EVENT), "closed") == b"0"
    assert await ticked(waker, store) == set()


async def test_a_lane_behind_a_closed_gate_is_left_alone_for_a_while(
    waker: Waker, store: redis.asyncio.Redis
) -> None:
    """However much waits there, and however often its mailboxes are nudged for."""
    await Gates(store, SHOES).close(Closure("event", "paused", until=0, since=0))
    await fill(store, SHOES, Lane.EVENT, 3)
    await waker.wake_all()
    before = await scripts_run(store)
    for _ in range(10):
        waker.nudged([keys.due(SHOES, Lane.EVENT)])
        await waker.wake_due()
    assert await scripts_run(store) == before


async def scripts_run(store: redis.asyncio.Redis) -> int:
    """Scripts that Redis has run since it started."""
    stats: Any = await store.info("commandstats")
    return int(stats.get("cmdstat_evalsha", {"calls": 0})["calls"])


async def test_a_closed_bucket_ends_no_waker(
    waker: Waker, store: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sailthru throttles, or another program has spent the minute: the limiter's rate is 0 until the bucket opens."""
    monkeypatch.setattr(waker._engine, "rate", lambda _account, _lane: 0.0)
    await fill(store, SHOES, Lane.USER, 1)
    await waker.wake_all()
    assert await deliver_all(store, Lane.USER) == {SHOES}
