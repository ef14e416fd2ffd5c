"""Processes whose connections to Redis break: Celery starts its consumer anew in the same process."""

from __future__ import annotations

import json
from pathlib import Path

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
