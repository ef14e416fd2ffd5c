"""How many requests were refused, by the code of the answer: kept in Redis over all processes, for `status`."""

from __future__ import annotations

import logging
from collections import Counter

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, RedisError
from starlette.background import BackgroundTask
from starlette.responses import Response

from pipeline.observe.logs import log_event
from pipeline.observe.minutely import Minutely, as_text
from pipeline.storage import keys


class Refusals:
    """Counts refusals. What Redis does not take, it may be what requests are refused for, is written behind a later
    request; a process that is stopped meanwhile loses it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._unwritten = Counter[str]()
        self._is_writing = False
        self._minutely = Minutely(_say)

    def count(self, code: str) -> None:
        """Count one. `code` is a word of our own: each is a field in Redis for ever."""
        self._unwritten[code] += 1
        self._minutely.add(code)

    def write_behind(self, response: Response) -> Response:
        """The same answer; when it has gone out, what was counted is written."""
        if self._unwritten and not self._is_writing:
            response.background = BackgroundTask(self.write)
        return response

    async def write(self) -> None:
        """Write what was counted, and what is counted meanwhile; one does so at a time."""
        if self._is_writing:
            return
        self._is_writing = True
        try:
            while self._unwritten and await self._write():
                pass
        finally:
            self._is_writing = False

    async def _write(self) -> bool:
        counted, self._unwritten = self._unwritten, Counter()
        pipe = self._redis.pipeline(transaction=True)
        for code, requests in counted.items():
            pipe.hincrby(keys.REFUSALS, code, requests)
        try:
            await pipe.execute()
        except NoPermissionError:  # a Redis user that may only append counts nothing
            return True
        except RedisError:
            self._unwritten += counted
            return False
        return True


def _say(codes: Counter[str]) -> None:
    fields = {"requests": codes.total(), "codes": as_text(codes)}
    log_event("requests_refused", logging.WARNING, **fields)
