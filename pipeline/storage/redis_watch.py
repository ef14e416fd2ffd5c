"""Logs once that Redis is away and once that it is back, however often that is noticed."""

from __future__ import annotations

import logging

from pipeline.clock import Clock
from pipeline.observe.logs import log_event
from pipeline.storage.redis_errors import explain


class RedisWatch:
    """One component's view of Redis."""

    def __init__(self, component: str, clock: Clock) -> None:
        self._component = component
        self._clock = clock
        self._since: float | None = None

    def away(self, error: Exception) -> None:
        """A command failed."""
        if self._since is None:
            self._since = self._clock.monotonic()
            names = {"error": type(error).__name__, "trouble": explain(error).code}
            log_event("redis_away", logging.WARNING, component=self._component, **names)

    def back(self) -> None:
        """A command worked."""
        if self._since is not None:
            seconds = round(self._clock.monotonic() - self._since, 1)
            self._since = None
            log_event("redis_back", component=self._component, seconds=seconds)
