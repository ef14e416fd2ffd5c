"""When failures mean that Sailthru is down, rather than that an event is at fault."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

WINDOW_S = 10.0
USERS = 5


@dataclass(slots=True)
class Circuit:
    """The recent answers of one host of one account, as one process sees them.

    It trips when at least five users' calls failed within ten seconds, and either two endpoints
    fail or the one that fails is all that was called. If another endpoint answers meanwhile, the
    failures are the events' own.
    """

    _answers: deque[tuple[float, str, str, bool]] = field(default_factory=deque)

    def note(self, now: float, endpoint: str, user: str, *, ok: bool) -> bool:
        """Record one answer (monotonic seconds). True when the host looks down."""
        self._answers.append((now, endpoint, user, ok))
        while self._answers[0][0] < now - WINDOW_S:
            self._answers.popleft()
        return not ok and self._tripped()

    def reset(self) -> None:
        """Forget what was: the host answers again."""
        self._answers.clear()

    def _tripped(self) -> bool:
        failed = [(endpoint, user) for _, endpoint, user, ok in self._answers if not ok]
        endpoints = {endpoint for endpoint, _ in failed}
        if len({user for _, user in failed}) < USERS:
            return False
        return len(endpoints) >= 2 or all(not ok for *_, ok in self._answers)


def probe_delay(tries: int) -> float:
    """Seconds until the next probe of a closed host: 1, 2, 4 ... 60."""
    return min(60.0, 2.0 ** min(tries, 10))
