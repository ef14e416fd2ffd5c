"""When a failed event is tried again, or given up. Arithmetic only; times in seconds."""

from __future__ import annotations

import math
from typing import NamedTuple

from pipeline.clock import Random
from pipeline.settings import AccountSettings

EMAIL_ASKS_S = (0.0, 60.0, 3600.0, 86_400.0)
"""How long after acceptance Sailthru is asked for a missing email."""

USER_FIRST_S, USER_RAREST_S = 5.0, 600.0
"""An event of an unknown user is tried again 5 s after acceptance, then after twice the time, at most ten minutes
later."""

LAST_ASK_S = 60.0
"""An event whose wait for its user is over is tried once more, unless Sailthru was asked so lately."""

IDENTIFY_WAIT_S = 60.0
"""An event waits at most this long after its acceptance for an earlier identify of its user."""

ORDER_LOOK_S = 10.0
"""How soon an order is looked at again that waits for the same order of another mailbox, if nothing wakes it."""

THROTTLE_S = 10.0
"""How long to stay away after a 429 that names no reset (reference: sailthru-api 3, edx-ace)."""


def backoff(attempt: int, settings: AccountSettings, random: Random) -> float:
    """Seconds until attempt `attempt` + 1, `attempt` counting from 1.

    Exponential from RETRY_FIRST to RETRY_MAX; the upper half is jitter, so that what failed
    together does not come back together.
    """
    full = min(settings.retry_max, settings.retry_first * 2.0 ** min(attempt - 1, 40))
    return full * (0.5 + 0.5 * random.random())


def is_exhausted(attempts: int, failing_for_s: float, settings: AccountSettings) -> bool:
    """Given up only when both RETRY_ATTEMPTS and RETRY_FOR are used up.

    Time alone would give up on what was tried once before a weekend, attempts alone on what failed
    five times in a minute.
    """
    return attempts >= settings.retry_attempts and failing_for_s >= settings.retry_for


class Asks(NamedTuple):
    """When Sailthru is asked what an event waits for, in seconds after its acceptance: the last time that has come,
    and the next."""

    last: float
    next: float


def email_asks(age_s: float) -> Asks:
    """When Sailthru is asked for the email of an event of this age; the last time of all has no next."""
    later = (at for at in EMAIL_ASKS_S if at > age_s)
    return Asks(max(at for at in EMAIL_ASKS_S if at <= age_s), next(later, math.inf))


def user_asks(age_s: float) -> Asks:
    """When an event of this age is tried whose user Sailthru did not know."""
    at, then = 0.0, USER_FIRST_S
    while then <= age_s and then - at < USER_RAREST_S:
        at, then = then, then + min(USER_RAREST_S, then)
    rounds = (age_s - at) // USER_RAREST_S * USER_RAREST_S
    return Asks(at + rounds, then + rounds)
