"""How long a lane rests between two wake-ups: hardly while it has little, longer the more is out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.delivery.capacity import MAX_PAUSE_S, MAX_RATE, MIN_PAUSE_S, wake_pause


def test_a_lane_with_little_is_woken_at_once_and_one_with_much_for_many_at_a_time() -> None:
    assert wake_pause(0, 300.0) == wake_pause(3, 300.0) == MIN_PAUSE_S
    assert MIN_PAUSE_S < wake_pause(40, 300.0) < MAX_PAUSE_S
    assert wake_pause(600, 300.0) == wake_pause(2000, 100_000.0) == MAX_PAUSE_S


@given(st.integers(0, 2000), st.floats(0.1, 1e6))
def test_the_pause_is_never_longer_than_a_quarter_of_what_is_out_keeps_the_lane_busy(
    leased: int, rate: float
) -> None:
    """So that nothing runs dry, and a page view waits no tenth of a second for nothing."""
    pause = wake_pause(leased, rate)
    assert MIN_PAUSE_S <= pause <= MAX_PAUSE_S
    assert pause == MIN_PAUSE_S or pause * min(rate, MAX_RATE) <= leased / 4 + 1e-6


@given(st.integers(0, 2000))
def test_a_lane_whose_bucket_is_closed_is_woken_as_seldom_as_one_with_much(leased: int) -> None:
    """Its rate is 0 then: nothing of it leaves."""
    assert wake_pause(leased, 0.0) == MAX_PAUSE_S
