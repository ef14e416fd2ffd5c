"""The store's clock seen from here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ratelimit.pacer import ServerClock

AHEAD_S = 1_700_000_000.0
delays = st.floats(0.0, 0.5)


def _hear(clock: ServerClock, at: float, there: float, back: float, ahead: float = AHEAD_S) -> None:
    clock.observe(round((at + there + ahead) * 1e6), at, at + there + back)


@given(st.lists(st.tuples(delays, delays), min_size=1, max_size=20))
def test_the_fastest_answer_bounds_the_error(trips: list[tuple[float, float]]) -> None:
    """The error is at most half the shortest round trip, plus drift, however slow the others are."""
    clock = ServerClock()
    for i, (there, back) in enumerate(trips):
        _hear(clock, float(i), there, back)
    shortest = min(there + back for there, back in trips)
    error = clock.local(round((50.0 + AHEAD_S) * 1e6)) - 50.0
    assert abs(error) <= shortest / 2 + 1e-4 * (len(trips) + 1) + 1e-5


def test_a_stalled_answer_does_not_move_the_clock() -> None:
    """A busy loop reads an answer late; its slots are still where Redis put them."""
    clock = ServerClock()
    _hear(clock, 0.0, 0.0002, 0.0002)
    _hear(clock, 1.0, 0.0002, 0.3)
    assert clock.local(round((2.0 + AHEAD_S) * 1e6)) == pytest.approx(2.0, abs=0.0005)


def test_a_store_whose_clock_was_set_is_believed_again() -> None:
    """A failover to a machine whose clock stands elsewhere must not leave us with the old difference."""
    clock = ServerClock()
    _hear(clock, 0.0, 0.001, 0.001)
    _hear(clock, 1.0, 0.001, 0.001, ahead=AHEAD_S - 7.0)
    assert clock.local(round((2.0 + AHEAD_S - 7.0) * 1e6)) == pytest.approx(2.0, abs=0.002)


def test_a_time_converted_there_and_back_is_the_same() -> None:
    """`remote` undoes `local`."""
    clock = ServerClock()
    _hear(clock, 5.0, 0.001, 0.002)
    assert clock.remote(clock.local(1_700_000_123_456_789)) == pytest.approx(
        1_700_000_123_456_789, abs=2
    )
