"""Who delivers what was leased, with a real Redis and Celery's real publisher."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
import redis
from kombu.exceptions import OperationalError

from pipeline.events.models import Lane
from pipeline.mailbox.claim import WakeResult
from pipeline.ownership.wakeups import remove_wakeups
from pipeline.settings import load_settings
from pipeline.storage import keys
from pipeline.storage.redis_client import open_async_redis
from workers.app import create_app
from workers.process import WorkerProcess
from workers.waker import Waker

NOT_FULL = WakeResult(now=1, gate="open", in_process="", boxes=("ann", "bob"))
FULL = WakeResult(now=1, gate="open", in_process="full", boxes=("ann", "bob"))


@pytest.fixture
def store(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client
        client.config_set("maxmemory", "0")


@pytest.fixture
def runtime() -> Any:
    """What a waker hands mailboxes to that it delivers itself."""
    runtime = Mock(spec_set=["engine", "loop", "submit"])
    runtime.engine.stores = {}
    runtime.engine.rate.return_value = 300.0
    return runtime


@pytest.fixture
def waker(redis_url: str, runtime: Any) -> Iterator[Waker]:
    """A waker of a process that consumes the lane of events only."""
    settings = load_settings({"SAILPIPE_REDIS_URL": redis_url})
    with create_app(WorkerProcess(settings, redis_url)) as app:
        yield Waker(app, runtime, {"event"})


def messages(store: redis.Redis, lane: Lane) -> int:
    return int(store.llen(keys.celery_queue(lane)))


def test_leased_mailboxes_are_published(waker: Waker, store: redis.Redis, runtime: Any) -> None:
    """Any process may deliver it."""
    waker.dispatch("default", Lane.PAGE, NOT_FULL)
    assert messages(store, Lane.PAGE) == 1
    runtime.submit.assert_not_called()


def test_mailboxes_that_a_full_redis_leases_are_delivered_in_process(
    waker: Waker, store: redis.Redis, runtime: Any
) -> None:
    """It would take no message."""
    waker.dispatch("default", Lane.EVENT, FULL)
    assert messages(store, Lane.EVENT) == 0
    runtime.submit.assert_called_once_with("default", Lane.EVENT, ["ann", "bob"])


def test_mailboxes_of_a_queue_shared_with_another_target_are_delivered_in_process(
    waker: Waker, store: redis.Redis, runtime: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A message could reach the other's process. Nothing is wrong with Redis, and nothing is said to be."""
    shared = WakeResult(now=1, gate="open", in_process="shared", boxes=("ann", "bob"))
    waker.dispatch("default", Lane.EVENT, shared)
    assert messages(store, Lane.EVENT) == 0
    runtime.submit.assert_called_once_with("default", Lane.EVENT, ["ann", "bob"])
    assert not caplog.records


def test_a_message_that_redis_has_no_memory_for_is_delivered_in_process(
    waker: Waker, store: redis.Redis, runtime: Any
) -> None:
    """Redis was not full when it leased, but is by now; Celery says so in its own way."""
    store.config_set("maxmemory", "1")
    waker.dispatch("default", Lane.EVENT, NOT_FULL)
    runtime.submit.assert_called_once_with("default", Lane.EVENT, ["ann", "bob"])


def test_a_lane_that_others_serve_is_left_to_them(
    waker: Waker, store: redis.Redis, runtime: Any
) -> None:
    """Its leases run out, and who serves the lane is leased it."""
    store.config_set("maxmemory", "1")
    with pytest.raises(OperationalError):
        waker.dispatch("default", Lane.PAGE, NOT_FULL)
    runtime.submit.assert_not_called()


async def test_a_reset_takes_an_account_s_messages_out_of_the_queues(
    waker: Waker, store: redis.Redis, redis_url: str
) -> None:
    """They name mailboxes of the trial. Other accounts' messages stay."""
    waker.dispatch("default", Lane.PAGE, NOT_FULL)
    waker.dispatch("shoes", Lane.PAGE, NOT_FULL)
    async with open_async_redis(redis_url) as client:
        assert await remove_wakeups(client, "default") == 1
        assert await remove_wakeups(client, "default") == 0
        assert await remove_wakeups(client, "shoes") == 1
    assert messages(store, Lane.PAGE) == 0
