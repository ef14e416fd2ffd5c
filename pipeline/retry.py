"""When a failed event is tried again, or given up. Arithmetic only; times in seconds."""

from __future__ import annotations

from pipeline.clock import Random
from pipeline.settings import AccountSettings

EMAIL_ASKS_S = (0.0, 60.0, 3600.0, 86_400.0)
"""How long after acceptance Sailthru is asked for a missing email."""

ALL_ASKED = len(EMAIL_ASKS_S)
"""`asked` of an event after which Sailthru is not asked again."""

IDENTIFY_WAIT_S = 60.0
"""An event waits at most this long for an earlier identify of its user."""

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


def next_email_ask(asked: int, age_s: float) -> float | None:
    """Seconds until Sailthru may be asked again for an email (0 = now), None for never again."""
    if asked >= ALL_ASKED:
        return None
    return max(0.0, EMAIL_ASKS_S[asked] - age_s)


def unknown_user_recheck(waited_s: float) -> float:
    """Seconds until /event is tried again for a user Sailthru did not know: 5 s, then doubling."""
    return min(600.0, max(5.0, waited_s))
