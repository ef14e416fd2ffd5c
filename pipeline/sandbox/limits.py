"""Calls counted per clock minute, method and endpoint (reference: sailthru-api 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pipeline.sandbox.options import SandboxOptions

_PER_MINUTE = {"POST /user": 18_000, "POST": 2_400, "GET": 18_000, "DELETE": 2_400}


class Usage(NamedTuple):
    """Where a bucket stands after a call: what the X-Rate-Limit headers say, and the verdict."""

    limit: int
    remaining: int
    reset: float
    allowed: bool

    @property
    def headers(self) -> dict[str, str]:
        return {
            "X-Rate-Limit-Limit": str(self.limit),
            "X-Rate-Limit-Remaining": str(self.remaining),
            "X-Rate-Limit-Reset": f"{self.reset:g}" if self.reset % 1 else str(int(self.reset)),
        }


@dataclass(slots=True)
class _Window:
    number: int
    used: int = 0


class Limits:
    """The counters. A call past the limit is refused and not counted."""

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}

    def count(self, method: str, endpoint: str, now: float, options: SandboxOptions) -> Usage:
        """Count one call that arrives at `now` (Unix seconds)."""
        bucket = f"{method} {endpoint}"
        number = int(now // options.window_s)
        window = self._windows.get(bucket)
        if window is None or window.number != number:
            window = self._windows[bucket] = _Window(number)
        limit = options.limits.get(bucket) or _documented(method, bucket, options.window_s)
        allowed = window.used < limit
        window.used += allowed
        return Usage(limit, limit - window.used, (number + 1) * options.window_s, allowed)


def _documented(method: str, bucket: str, window_s: float) -> int:
    per_minute = _PER_MINUTE.get(bucket) or _PER_MINUTE.get(method, 2_400)
    return max(1, round(per_minute * window_s / 60))
