"""Slow start: how many mailboxes of a lane may be leased after its gate has opened."""

from __future__ import annotations

FIRST = 4
"""Mailboxes leased at a time when a gate has just opened; doubles every second."""


class SlowStart:
    """One lane's slow start in one waker: a host that has just come back does not get the whole backlog at once."""

    def __init__(self) -> None:
        self._closed = False
        self._opened_at: float | None = None

    def observe(self, *, is_open: bool, now: float) -> None:
        """Take in what a wake-up found (monotonic seconds)."""
        if self._closed and is_open:
            self._opened_at = now
        self._closed = not is_open

    def bound(self, full: int, now: float) -> int:
        """How many mailboxes may be leased at a time now, `full` at most."""
        if self._opened_at is None:
            return full
        allowed = int(FIRST * 2.0 ** min(30.0, now - self._opened_at))
        if allowed >= full:
            self._opened_at = None
        return min(full, allowed)
