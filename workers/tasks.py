"""The Celery tasks: one submits leased mailboxes to this process's loop, one nudges its splitter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.events.models import Lane
from workers.config import DELIVER, NUDGE

if TYPE_CHECKING:
    from celery import Celery

    from workers.process import WorkerProcess


def register(app: Celery, process: WorkerProcess) -> None:
    """Define the tasks on this app only."""

    @app.task(name=DELIVER, shared=False, ignore_result=True)
    def deliver(account: str, lane: str, boxes: list[str]) -> None:
        """Returns at once. Raises ValueError, which Celery logs, for a lane that there is not: no message of ours."""
        process.runtimes.here().submit(account, Lane(lane), boxes)

    @app.task(name=NUDGE, shared=False, ignore_result=True)
    def nudge() -> None:
        """A splitter has given its lease up: one that stands by need not wait for its next look."""
        process.nudge_splitter()
