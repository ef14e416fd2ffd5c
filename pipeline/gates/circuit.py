"""When failures mean that Sailthru is down, rather than that an event is at fault. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.lanes import Host

WINDOW_S = 10.0
USERS = 5
SILENT_USERS = 2
"""Users whose calls an endpoint left unanswered before its silence is an outage: one alone may be at fault."""
ANSWERS = 100
"""Answers among which refused addresses are counted."""
SILENCE_S = 3600.0
"""An event that is given up sooner closes no gate by silence. An operator who sets RETRY_FOR to less
wants events given up soon."""


@dataclass(frozen=True, slots=True)
class Signs:
    """How the calls to an endpoint, or to a host, have ended lately, as one process has seen it.

    It looks down when the calls of five users fail, one after the other, within ten seconds: if two endpoints of a
    host fail, at once, else when nothing has been answered for ten seconds. Of a quiet account five users may never fail at a time. So it looks down, too, when an event is about to
    be given up and no call has been answered since that began to fail, an hour ago or more.

    failures: (at, endpoint, user) since the last answer, of the ten seconds before the last of them (monotonic).
    unanswered: the users of all since the last answer, five at most. working_at: the latest answer since the gate
    was closed. answered_at: of all.
    """

    failures: tuple[tuple[float, str, str], ...] = ()
    unanswered: frozenset[str] = frozenset()
    working_at: float | None = None
    answered_at: float | None = None

    def after_answer(self, now: float) -> Signs:
        """After a call that ended with an answer."""
        return Signs((), frozenset(), now, now)

    def after_failure(self, now: float, bucket: str, user: str) -> Signs:
        """After a call that ended without one."""
        recent = tuple(one for one in self.failures if one[0] >= now - WINDOW_S)
        unanswered = self.unanswered
        if len(unanswered) < USERS:
            unanswered |= {user}
        return replace(self, failures=(*recent, (now, bucket, user)), unanswered=unanswered)

    def after_closing(self) -> Signs:
        """After the gate was closed: what was answered before does not speak for it."""
        return replace(self, failures=(), working_at=None)

    def is_down(self, now: float) -> bool:
        """Whether the call that has just failed is one of many."""
        if len({user for _, _, user in self.failures}) < USERS:
            return False
        works = self.working_at is not None and self.working_at >= now - WINDOW_S
        return not works or len({bucket for _, bucket, _ in self.failures}) >= 2

    def is_silent(self, now: float, for_s: float) -> bool:
        """Whether no call was answered for so long."""
        # A process that was just started knows of no answer, and another process may have had some.
        # The gate then closes needlessly, for the seconds until a probe is answered: better than to
        # bury what an outage failed. The event itself is given up at its next failure after that.
        return self.answered_at is None or now - self.answered_at >= for_s


NO_SIGNS = Signs()


@dataclass(frozen=True, slots=True)
class Health:
    """How Sailthru has answered one account lately, after one more call.

    host, bucket: where that call went. at, answered: when it ended (monotonic seconds), and whether with an answer.
    of_host, of_endpoint: what was seen there. closed: the scope, one of the two, whose circuit's gate is closed
    already, or ''. moves_gates: whether its answer may open or close any. lately: of the host's last hundred
    answers, the user whose address was refused, or ''.
    """

    host: Host
    bucket: str = ""
    at: float = 0.0
    answered: bool = True
    of_host: Signs = NO_SIGNS
    of_endpoint: Signs = NO_SIGNS
    closed: str = ""
    moves_gates: bool = False
    lately: tuple[str, ...] = ()

    @property
    def refuses_addresses(self) -> bool:
        """Whether a fifth of all answers call an address bad, of five users or more: it is Sailthru's trouble."""
        users = [user for user in self.lately if user]
        return len(users) * 5 >= len(self.lately) and len(set(users)) >= USERS

    def outage(self, dying_s: float | None) -> str | None:
        """The host or endpoint that is down, if the call that has just failed is part of an outage.

        dying_s: for how long its event has been unanswered, if this failure would be its last.
        """
        if self.closed:
            return self.closed
        if self.of_host.is_down(self.at):
            return self.host
        if self.of_endpoint.is_down(self.at):
            return self.bucket
        if dying_s is None or dying_s < SILENCE_S:
            return None
        if self.of_host.is_silent(self.at, dying_s):
            return self.host
        is_alone = len(self.of_endpoint.unanswered) < SILENT_USERS
        is_silent = not is_alone and self.of_endpoint.is_silent(self.at, dying_s)
        return self.bucket if is_silent else None


def probe_delay(tries: int) -> float:
    """Seconds until the next probe of what is closed: 1, 2, 4 ... 60."""
    return min(60.0, 2.0 ** min(tries, 10))
