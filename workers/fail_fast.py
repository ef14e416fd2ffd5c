"""Fail fast: a worker process ends, and is started anew, when a task it cannot do without ends by itself."""

from __future__ import annotations

import asyncio
import logging
import traceback
from concurrent.futures import Future
from functools import partial
from typing import Any

from celery.platforms import EX_FAILURE
from celery.worker import state

from pipeline.observe.logs import log_event


def fail_fast(part: str, work: Future[Any] | asyncio.Task[Any]) -> None:
    """Stop this worker (exit code 1) should `work` end in any way but by being cancelled.

    A worker that consumes but no longer wakes, splits or renews would look healthy and do nothing.
    """
    work.add_done_callback(partial(_ended, part))


def _ended(part: str, work: Future[Any] | asyncio.Task[Any]) -> None:
    if work.cancelled():
        return
    error = work.exception()
    # Where and what class, but no text: it may hold an event.
    frames = traceback.extract_tb(error.__traceback__) if error else []
    where = f"{frames[-1].name}:{frames[-1].lineno}" if frames else "-"
    log_event("part_failed", logging.ERROR, part=part, error=type(error).__name__, where=where)
    vars(state)["should_stop"] = EX_FAILURE  # typed as None in the stubs
