"""Processes whose connections to Redis break: Celery starts its consumer anew in the same process."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from pipeline.storage import keys
from tests.support.commands import running, wait_until

DRY = {"SAILPIPE_API_KEY": "k", "SAILPIPE_API_SECRET": "s", "SAILPIPE_DRY_RUN": "true"}


def test_a_worker_that_lost_its_connections_delivers_on(redis_url: str, tmp_path: Path) -> None:
    """What is stopped for good when a worker ends lives on when only its consumer starts anew."""
    environment = {"SAILPIPE_REDIS_URL": redis_url, **DRY}
    with redis.Redis.from_url(redis_url) as client:

        def deliver(user: str, so_far: int) -> None:
            event = {"type": "identify", "userId": user, "traits": {"email": f"{user}@example.org"}}
            client.xadd(keys.RAW, {"event": json.dumps(event)})
            counts = keys.counts("default")
            wait_until(lambda: client.hget(counts, "delivered") == b"%d" % so_far, user)

        with (
            running("splitter", directory=tmp_path, **environment) as splitter,
            running("worker", directory=tmp_path, **environment) as worker,
        ):
            deliver("ann", 1)
            for kind in ("normal", "pubsub"):
                client.client_kill_filter(_type=kind, skipme=True)
            for process in (splitter, worker):
                process.wait_for("Connection to broker lost")
            deliver("bob", 2)
            assert (splitter.process.poll(), worker.process.poll()) == (None, None)


@contextmanager
def hang_ups(handler: signal.Handlers) -> Iterator[None]:
    """What a process that is started meanwhile does at SIGHUP: these tests may themselves run under `nohup`."""
    before = signal.signal(signal.SIGHUP, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("command", ["worker", "splitter"])
def test_a_hang_up_stops_a_process_as_a_term_does(
    command: str, redis_url: str, tmp_path: Path
) -> None:
    """A supervisor starts it anew, with new settings; Celery itself would fail to run its command line again."""
    environment = {"SAILPIPE_REDIS_URL": redis_url, **DRY}
    with (
        hang_ups(signal.SIG_DFL),
        running(command, directory=tmp_path, **environment) as process,
    ):
        process.wait_for("ready.")
        assert process.stop(signal.SIGHUP) == 0
        assert "ImportError" not in process.output


def test_a_hang_up_does_not_end_a_worker_that_outlives_its_terminal(
    redis_url: str, tmp_path: Path
) -> None:
    """`nohup sailpipe worker`."""
    with (
        hang_ups(signal.SIG_IGN),
        running("worker", directory=tmp_path, SAILPIPE_REDIS_URL=redis_url, **DRY) as worker,
    ):
        worker.wait_for("ready.")
        worker.process.send_signal(signal.SIGHUP)
        with redis.Redis.from_url(redis_url) as client:
            due = keys.due("default", "user")
            client.zadd(due, {"nobody": 1})
            wait_until(lambda: client.zcard(due) == 0, "it looks at what is due")
        assert worker.process.poll() is None
