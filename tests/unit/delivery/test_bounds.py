"""How many mailboxes of a lane are out, and how many one process has of them."""

from __future__ import annotations

import pytest

from pipeline.delivery.capacity import bulk_bound, claimed_bound, leased_bound


@pytest.mark.parametrize(
    ("rate", "latency_s", "leased", "bulk", "claimed"),
    [
        (300.0, 0.25, 675, 165, 165),
        (40.0, 0.25, 90, 22, 22),
        (40.0, 5.0, 280, 212, 212),
        (1.0, 0.25, 4, 4, 4),
        (0.0, 0.25, 4, 4, 4),
        (1e6, 0.25, 2000, 2000, 2000),
    ],
)
def test_a_lane_has_out_what_its_rate_can_use_in_two_seconds_and_a_call(
    rate: float, latency_s: float, leased: int, bulk: int, claimed: int
) -> None:
    """A few in any case, since one may wait for long; 0.3 s of it is bulk's, and one process claims no more."""
    assert leased_bound(rate, latency_s) == leased
    assert bulk_bound(rate, latency_s) == bulk
    assert claimed_bound(rate, latency_s) == claimed
