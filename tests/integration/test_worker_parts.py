"""A worker whose waker, splitter or renewals fail does not live on as if nothing were."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from pipeline.cli.launcher import WORKERS_STOP_WITHIN_S
from pipeline.events.models import Lane
from pipeline.storage import keys
from pipeline.supervisor.celery_command import SPLIT_QUEUE, celery_command
from tests.support.commands import DEADLINE_S, wait_until
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.long

KEYS = {"SAILPIPE_API_KEY": "k", "SAILPIPE_API_SECRET": "s"}


@pytest.mark.parametrize("part", ["waker", "splitter", "leases"])
def test_a_worker_ends_when_a_part_it_cannot_do_without_fails(part: str, redis_url: str) -> None:
    """It exits with 1, for its supervisor to start it anew, and says what failed but quotes nothing."""
    queue = SPLIT_QUEUE if part == "splitter" else Lane.USER
    ended = subprocess.run(  # noqa: S603 - our own arguments
        celery_command([queue], 2, module="tests.support.broken_worker"),
        env={**os.environ, "SAILPIPE_REDIS_URL": redis_url, "BROKEN_PART": part, **KEYS},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 1, ended.stderr
    assert f"part={part}" in ended.stderr
    assert "error=KeyError" in ended.stderr
    assert "ann@" not in ended.stderr


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that may be frozen."""
    started = RedisServer(tmp_path)
    started.start()
    yield started
    started.kill()


def test_a_worker_told_to_stop_while_redis_hangs_ends_before_it_is_killed(
    server: RedisServer,
) -> None:
    """It takes what is sent and answers nothing: neither the splitter nor Celery waits for longer."""
    worker = subprocess.Popen(  # noqa: S603 - our own arguments
        celery_command([SPLIT_QUEUE, *Lane], 2),
        env={**os.environ, "SAILPIPE_REDIS_URL": server.url, **KEYS},
    )
    try:
        with redis.Redis(port=server.port) as client:
            wait_until(lambda: client.get(keys.SPLITTER), "it splits")
        server.send(signal.SIGSTOP)
        told_at = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        worker.wait(DEADLINE_S)
        assert time.monotonic() - told_at <= WORKERS_STOP_WITHIN_S
    finally:
        worker.kill()
