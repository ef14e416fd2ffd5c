"""When failures mean that Sailthru is down, rather than that an event is at fault. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.lanes import Host

WINDOW_S = 10.0
USERS = 5
ANSWERS = 100
"""Answers among which refused addresses are counted."""
SILENCE_S = 3600.0
"""An event that is given up sooner closes no gate by silence. An operator who sets RETRY_FOR to less
wants events given up soon."""


@dataclass(frozen=True, slots=True)
class Health:
    """How one host of one account has answered lately, as one process has seen it.

    It looks down when at least five users' calls failed within ten seconds, and either two endpoints
    fail or the one that fails is all that was called. If another endpoint answers meanwhile, the
    failures are the events' own.

    Of a quiet account five users may never fail at a time. So it looks down, too, when an event is about
    to be given up and no call has been answered since it began to fail, an hour ago or more.

    host: whose health this is. at, answered: when the last call ended (monotonic seconds), and whether
    Sailthru answered it. failures: (at, endpoint, user) of the last ten seconds. working_at: the latest answer
    since `recovered`; answered_at: the latest of all. closed: its gate is closed already. lately: of the last
    hundred answers, the user whose address was refused, or ''.
    """

    host: Host
    at: float = 0.0
    answered: bool = True
    failures: tuple[tuple[float, str, str], ...] = ()
    lately: tuple[str, ...] = ()
    working_at: float | None = None
    answered_at: float | None = None
    closed: bool = False

    def seen(
        self, now: float, endpoint: str, user: str, *, answered: bool, refused: bool = False
    ) -> Health:
        """The health after one more call ended, at `now` (monotonic seconds). refused: its address was."""
        failures = self.failures and tuple(one for one in self.failures if one[0] >= now - WINDOW_S)
        if answered:
            lately = (*self.lately[-ANSWERS + 1 :], user if refused else "")
            return Health(self.host, now, True, failures, lately, now, now)
        return Health(
            self.host,
            now,
            False,
            (*failures, (now, endpoint, user)),
            self.lately,
            self.working_at,
            self.answered_at,
        )

    def recovered(self) -> Health:
        """Without the calls that failed: the gate has been closed over them, or the host answers again."""
        return replace(self, failures=(), working_at=None)

    @property
    def refuses_addresses(self) -> bool:
        """Whether a fifth of all answers call an address bad, of five users or more: it is Sailthru's trouble."""
        users = [user for user in self.lately if user]
        return len(users) * 5 >= len(self.lately) and len(set(users)) >= USERS

    def is_outage(self, dying_s: float | None) -> bool:
        """Whether the call that failed last is part of an outage.

        dying_s: for how long its event has been unanswered, if this failure would be its last.
        """
        return self.closed or self._is_down() or (dying_s is not None and self._is_silent(dying_s))

    def _is_down(self) -> bool:
        if len({user for _, _, user in self.failures}) < USERS:
            return False
        works = self.working_at is not None and self.working_at >= self.at - WINDOW_S
        return not works or len({endpoint for _, endpoint, _ in self.failures}) >= 2

    def _is_silent(self, for_s: float) -> bool:
        # A process that was just started knows of no answer, and another process may have had some.
        # The gate then closes needlessly, for the seconds until a probe is answered: better than to
        # bury what an outage failed. The event itself is given up at its next failure after that.
        is_known = self.answered_at is not None and self.at - self.answered_at < for_s
        return for_s >= SILENCE_S and not is_known


def probe_delay(tries: int) -> float:
    """Seconds until the next probe of a closed host: 1, 2, 4 ... 60."""
    return min(60.0, 2.0 ** min(tries, 10))
