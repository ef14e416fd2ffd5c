"""The one Celery task: it submits leased mailboxes to this process's loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.events.models import Lane
from workers.config import DELIVER

if TYPE_CHECKING:
    from celery import Celery

    from workers.runtime import Runtimes


def register(app: Celery, runtimes: Runtimes) -> None:
    """Define the task on this app only."""

    @app.task(name=DELIVER, shared=False, ignore_result=True)
    def deliver(account: str, lane: str, boxes: list[str]) -> None:
        """Returns when the process has room for all of them, which is what keeps queues honest.

        Raises ValueError, which Celery logs, for a lane that there is not: no message of ours.
        """
        runtimes.here().submit(account, Lane(lane), boxes)
