"""Which lanes and accounts a waker serves in its passes, with a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import Mock

import pytest
import redis.asyncio
from structlog.testing import capture_logs

from pipeline.delivery.capacity import MESSAGE_BOXES, QUEUE_MESSAGES
from pipeline.events.models import Lane
from pipeline.mailbox.store import MailboxStore
from pipeline.settings import load_settings
from pipeline.storage import keys
from workers.app import create_app
from workers.process import WorkerProcess
from workers.waker import Waker

SHOES, HATS = "shoes", "hats"
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
    runtime.engine.bound.return_value = FULL
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
