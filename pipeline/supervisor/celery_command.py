"""The command line of a Celery worker process: of lanes, or of the splitter."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

SPLIT_QUEUE = "split"
"""The Celery queue whose consumers split. Only nudges travel on it, never events."""
APP_MODULE = "workers"
"""What `celery -A` imports to find the app."""

HEARTBEAT_S = 15
"""Seconds between two `worker-heartbeat` events of Celery; a reader of them misses a worker after twice as long."""


def celery_command(
    queues: Sequence[str], concurrency: int, *, module: str = APP_MODULE, name: str = "sailpipe"
) -> list[str]:
    """The command line of one process that consumes these queues: lanes to deliver, SPLIT_QUEUE to split.

    Gossip and mingle cost round trips and serve nothing here: a worker that is gone is noticed by its leases
    running out. Celery's own heartbeats are for people alone (Flower, `celery events`), so they are rare.
    """
    command = [sys.executable, "-m", "celery", "-A", module, "--quiet", "worker"]
    command += ["-Q", ",".join(queues), "-P", "threads", "--concurrency", str(concurrency)]
    command += ["--without-gossip", "--without-mingle"]
    command += ["--heartbeat-interval", str(HEARTBEAT_S)]
    return [*command, "--hostname", f"{name}-{os.getpid()}@%h", "--loglevel", "INFO"]


def splitter_command(*, module: str = APP_MODULE) -> list[str]:
    """The command line of a process that splits and does nothing else."""
    return celery_command([SPLIT_QUEUE], 1, module=module, name="sailpipe-splitter")
