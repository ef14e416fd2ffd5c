"""A worker begins nothing before it knows that Redis holds data which it can read."""

from __future__ import annotations

import logging
import time

import redis.exceptions
from celery.worker import state

from pipeline.clock import SystemClock
from pipeline.errors import WrongFormat
from pipeline.observe.logs import log_event
from pipeline.storage.format import check_format
from pipeline.storage.redis_client import open_redis
from pipeline.storage.redis_watch import RedisWatch

AGAIN_S = 1.0
EX_CONFIG = 2
"""Exit status for wrong settings, as of every command."""


def wait_for_format(redis_url: str) -> None:
    """Return when Redis has said that its data are of this version; one that is away is waited for.

    Raises:
        SystemExit: it holds another version's data (logged), or the worker was told to stop meanwhile.
    """
    watch = RedisWatch("worker", SystemClock())
    with open_redis(redis_url) as client:
        while True:
            try:
                check_format(client, stamp=True)
            except WrongFormat as error:
                log_event("format_refused", logging.ERROR, detail=str(error))
                raise SystemExit(EX_CONFIG) from None
            except redis.exceptions.RedisError as error:
                watch.away(error)
                time.sleep(AGAIN_S)
                state.maybe_shutdown()
            else:
                watch.back()
                return
