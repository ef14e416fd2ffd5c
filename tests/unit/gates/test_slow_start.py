"""A lane whose gate has just opened starts slowly."""

from __future__ import annotations

from pipeline.gates.slow_start import FIRST, SlowStart


def test_a_lane_that_was_never_closed_runs_at_full_speed() -> None:
    slow_start = SlowStart()
    slow_start.observe(is_open=True, now=1.0)
    assert slow_start.bound(600, 1.0) == 600


def test_after_a_closure_the_bound_starts_low_and_doubles_every_second() -> None:
    """A host that has just come back is not met by the whole backlog."""
    slow_start = SlowStart()
    slow_start.observe(is_open=False, now=1.0)
    slow_start.observe(is_open=True, now=2.0)
    bounds = [slow_start.bound(600, 2.0 + second) for second in range(9)]
    assert bounds == [FIRST * 2**second for second in range(8)] + [600]


def test_a_bound_that_is_low_anyway_is_kept() -> None:
    slow_start = SlowStart()
    slow_start.observe(is_open=False, now=1.0)
    slow_start.observe(is_open=True, now=2.0)
    assert slow_start.bound(2, 2.0) == 2


def test_a_gate_that_closes_again_starts_over() -> None:
    slow_start = SlowStart()
    for opened_at in (10.0, 20.0):
        slow_start.observe(is_open=False, now=opened_at - 1)
        slow_start.observe(is_open=True, now=opened_at)
        slow_start.observe(is_open=True, now=opened_at + 1)
        assert slow_start.bound(600, opened_at + 1) == 2 * FIRST
