"""The retry policy: arithmetic only."""

from __future__ import annotations

import math
import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipeline import retry
from pipeline.settings import AccountSettings

SETTINGS = AccountSettings()


@given(st.integers(1, 10_000), st.integers())
def test_a_pause_is_between_half_and_all_of_its_exponential(attempt: int, seed: int) -> None:
    """RETRY_FIRST doubling to RETRY_MAX; never more, never none."""
    full = min(SETTINGS.retry_max, SETTINGS.retry_first * 2.0 ** min(attempt - 1, 1000))
    pause = retry.backoff(attempt, SETTINGS, random.Random(seed))
    assert full / 2 <= pause <= full


@given(st.integers(0, 20), st.floats(0, 100_000))
def test_giving_up_takes_both_time_and_attempts(attempts: int, failing_for_s: float) -> None:
    given_up = retry.is_exhausted(attempts, failing_for_s, SETTINGS)
    assert given_up == (attempts >= 5 and failing_for_s >= 4 * 3600)


def test_sailthru_is_asked_for_an_email_four_times_within_a_day() -> None:
    """At 0 s, 1 min, 1 h and 24 h after acceptance."""
    assert retry.email_asks(0.0) == (0.0, 60.0)
    assert retry.email_asks(59.0) == (0.0, 60.0)
    assert retry.email_asks(60.0) == (60.0, 3600.0)
    assert retry.email_asks(3600.0) == (3600.0, 86_400.0)
    assert retry.email_asks(86_400.0) == (86_400.0, math.inf)


def test_an_unknown_user_is_looked_for_ever_more_rarely() -> None:
    """Five seconds after acceptance first, every ten minutes at last."""
    looks = [0.0]
    while looks[-1] < 7200:
        looks.append(retry.user_asks(looks[-1]).next)
    pauses = [later - sooner for sooner, later in pairwise(looks)]
    assert looks[:6] == [0, 5, 10, 20, 40, 80]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 600.0


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_the_times_at_which_an_unknown_user_is_looked_for_are_the_same_at_any_age(
    one: float, other: float
) -> None:
    """The latest that has come and the next have the age between them, and no other time."""
    for age_s in (one, other):
        asks = retry.user_asks(age_s)
        assert asks.last <= age_s < asks.next
        assert retry.user_asks(asks.last) == asks
        assert retry.user_asks(asks.next).last == asks.next
