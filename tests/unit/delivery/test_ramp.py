"""A lane whose gate has just opened starts slowly."""

from __future__ import annotations

from pipeline.delivery.ramp import FIRST, Ramp


def test_a_lane_that_was_never_closed_runs_at_full_speed() -> None:
    ramp = Ramp()
    ramp.saw(is_open=True, now=1.0)
    assert ramp.bound(600, 1.0) == 600


def test_after_a_closure_the_bound_starts_low_and_doubles_every_second() -> None:
    """A host that has just come back is not met by the whole backlog."""
    ramp = Ramp()
    ramp.saw(is_open=False, now=1.0)
    ramp.saw(is_open=True, now=2.0)
    bounds = [ramp.bound(600, 2.0 + second) for second in range(9)]
    assert bounds == [FIRST * 2**second for second in range(8)] + [600]


def test_a_bound_that_is_low_anyway_is_kept() -> None:
    ramp = Ramp()
    ramp.saw(is_open=False, now=1.0)
    ramp.saw(is_open=True, now=2.0)
    assert ramp.bound(2, 2.0) == 2


def test_a_gate_that_closes_again_starts_over() -> None:
    ramp = Ramp()
    for opened_at in (10.0, 20.0):
        ramp.saw(is_open=False, now=opened_at - 1)
        ramp.saw(is_open=True, now=opened_at)
        ramp.saw(is_open=True, now=opened_at + 1)
        assert ramp.bound(600, opened_at + 1) == 2 * FIRST
