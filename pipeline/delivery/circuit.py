"""When failures mean that Sailthru is down, rather than that an event is at fault."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

WINDOW_S = 10.0
USERS = 5
SILENCE_S = 3600.0
"""Whoever sets RETRY_FOR to less wants events given up, and soon."""


@dataclass(slots=True)
class Circuit:
    """The recent answers of one host of one account, as one process sees them.

    It trips when at least five users' calls failed within ten seconds, and either two endpoints
    fail or the one that fails is all that was called. If another endpoint answers meanwhile, the
    failures are the events' own.

    Of a quiet account five users may never fail at a time. So it trips, too, when an event is about
    to be given up and nobody has been answered since it began to fail, an hour ago or more.
    """

    _answers: deque[tuple[float, str, str, bool]] = field(default_factory=deque)
    _answered_at: float | None = None

    def note(
        self, now: float, endpoint: str, user: str, *, ok: bool, dying_s: float | None = None
    ) -> bool:
        """Record one answer (monotonic seconds). True when the host looks down.

        dying_s: for how long the event has failed, if this failure would be its last.
        """
        self._answers.append((now, endpoint, user, ok))
        while self._answers[0][0] < now - WINDOW_S:
            self._answers.popleft()
        if ok:
            self._answered_at = now
            return False
        return self._tripped() or (dying_s is not None and self._is_silent(now, dying_s))

    def reset(self) -> None:
        """Forget which calls failed: the gate is closed, or the host answers again."""
        self._answers.clear()

    def _is_silent(self, now: float, for_s: float) -> bool:
        # A process that was just started knows of no answer, and another process may have had some.
        # The gate then closes needlessly, for the seconds until a probe is answered: better than to
        # bury what an outage failed. The event itself is given up at its next failure after that.
        is_known = self._answered_at is not None and now - self._answered_at < for_s
        return for_s >= SILENCE_S and not is_known

    def _tripped(self) -> bool:
        failed = [(endpoint, user) for _, endpoint, user, ok in self._answers if not ok]
        endpoints = {endpoint for endpoint, _ in failed}
        if len({user for _, user in failed}) < USERS:
            return False
        return len(endpoints) >= 2 or all(not ok for *_, ok in self._answers)


def probe_delay(tries: int) -> float:
    """Seconds until the next probe of a closed host: 1, 2, 4 ... 60."""
    return min(60.0, 2.0 ** min(tries, 10))
