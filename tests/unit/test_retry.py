"""The retry policy: arithmetic only."""

from __future__ import annotations

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
    assert [retry.next_email_ask(asked, 0.0) for asked in range(5)] == [0, 60, 3600, 86_400, None]
    assert retry.next_email_ask(2, 3500.0) == 100.0
    assert retry.next_email_ask(1, 7200.0) == 0.0


def test_an_unknown_user_is_looked_for_ever_more_rarely() -> None:
    """Every five seconds first, every ten minutes at last."""
    waited, looks = 0.0, []
    while waited < 7200:
        waited += retry.unknown_user_recheck(waited)
        looks.append(waited)
    pauses = [later - sooner for sooner, later in pairwise(looks)]
    assert looks[0] == 5.0
    assert pauses == sorted(pauses)
    assert pauses[-1] == 600.0
