"""Splitting in a process of its own: beside `celery -A workers worker`, or as `sailpipe splitter`."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest
import redis

from pipeline.events.models import Lane
from pipeline.splitter.lease import LEASE_MS
from pipeline.storage import keys
from pipeline.supervisor.celery_command import SPLIT_QUEUE, celery_command, splitter_command
from tests.support.commands import DEADLINE_S, wait_until
from workers.process import EXIT_WITHIN_S

PLAIN = [sys.executable, "-m", "celery", "-A", "workers", "worker"]
EVENT: dict[Any, Any] = {"event": '{"type":"track","event":"Seen","userId":"u1"}'}


@pytest.fixture
def store(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@contextmanager
def started(command: list[str], redis_url: str) -> Iterator[psutil.Process]:
    """A process of ours; neither it nor a child of it outlives the block."""
    environment = {
        "SAILPIPE_REDIS_URL": redis_url,
        "SAILPIPE_API_KEY": "k",
        "SAILPIPE_API_SECRET": "s",
        "SAILPIPE_API_URL": "http://127.0.0.1:1",
        "SAILPIPE_PAGEVIEW_URL": "http://127.0.0.1:1",
    }
    process = psutil.Popen(command, env={**os.environ, **environment})
    try:
        yield process
    finally:
        if process.is_running():
            process.kill()
            process.wait(DEADLINE_S)


def splits(store: redis.Redis) -> bool:
    """What is accepted leaves the raw stream within a second."""
    accepted: Any = store.xadd(keys.RAW, EVENT)
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        if not store.xrange(keys.RAW, accepted, accepted):
            return True
        time.sleep(0.02)
    return False


def splitters_of(process: psutil.Process) -> list[psutil.Process]:
    """Its child processes that consume SPLIT_QUEUE, whatever they are at."""
    found = []
    for child in process.children(recursive=True):
        try:
            if SPLIT_QUEUE in child.cmdline():
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def consumers(store: redis.Redis) -> int:
    """How many Celery processes wait for messages."""
    return sum(one["cmd"] == "brpop" for one in store.client_list())


def test_a_worker_of_all_queues_splits_in_a_child_that_is_started_again(
    store: redis.Redis, redis_url: str
) -> None:
    """Killed, it is back after the lease it left behind; nothing else in the worker is disturbed."""
    with started(PLAIN, redis_url) as worker:
        wait_until(lambda: splits(store), "it splits")
        [first] = splitters_of(worker)
        first.kill()
        wait_until(lambda: splitters_of(worker) not in ([], [first]), "another is started")
        wait_until(lambda: splits(store), "the other splits", LEASE_MS / 1000 + DEADLINE_S)
        assert worker.is_running()


def test_a_worker_told_to_stop_takes_its_splitter_along(store: redis.Redis, redis_url: str) -> None:
    """SIGTERM to the worker alone: the child gives the lease up, and both end in time."""
    with started(PLAIN, redis_url) as worker:
        wait_until(lambda: splits(store), "it splits")
        [splitter] = splitters_of(worker)
        began = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(DEADLINE_S) == 0
        assert time.monotonic() - began < EXIT_WITHIN_S
        assert not splitter.is_running()
        assert store.get(keys.SPLITTER) is None


def test_a_killed_worker_leaves_no_splitter_behind(store: redis.Redis, redis_url: str) -> None:
    """The kernel ends the child of a worker that cannot do so itself."""
    with started(PLAIN, redis_url) as worker:
        wait_until(lambda: splits(store), "it splits")
        [splitter] = splitters_of(worker)
        worker.kill()
        worker.wait(DEADLINE_S)
        wait_until(lambda: not splitter.is_running(), "the splitter has ended")


def test_a_worker_of_lanes_splits_nothing(store: redis.Redis, redis_url: str) -> None:
    """`sailpipe worker`, and `celery -A workers worker -Q user,event`."""
    with started(celery_command([Lane.USER, Lane.EVENT], 2), redis_url) as worker:
        wait_until(lambda: store.hget(keys.lane("default", "user"), "tick"), "it wakes")
        assert splitters_of(worker) == []
        assert store.get(keys.SPLITTER) is None


def test_a_splitter_that_stops_nudges_one_that_stands_by(
    store: redis.Redis, redis_url: str
) -> None:
    """The nudge goes over the Celery queue that both consume; the other takes over and takes it out."""
    with started(splitter_command(), redis_url) as first:
        wait_until(lambda: store.get(keys.SPLITTER), "one splits")
        with started(splitter_command(), redis_url) as second:
            wait_until(lambda: consumers(store) == 2, "both consume")
            first.send_signal(signal.SIGTERM)
            assert first.wait(DEADLINE_S) == 0
            wait_until(lambda: splits(store), "the other splits")
            assert second.is_running()
            queue = keys.celery_queue(SPLIT_QUEUE)
            wait_until(lambda: not store.llen(queue), "the nudge is taken")
