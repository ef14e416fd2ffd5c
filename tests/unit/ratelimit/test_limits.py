"""The numbers behind the promise."""

from __future__ import annotations

import pytest

from pipeline.ratelimit.slots import default_limit, interval_us, lateness, reservation_size


@pytest.mark.parametrize(
    ("bucket", "limit"),
    [
        ("POST /user", 300),
        ("GET /user", 300),
        ("GET /purchase", 300),
        ("POST /event", 40),
        ("POST /purchase", 40),
        ("POST /return", 40),
        ("DELETE /user", 40),
        ("POST /v1/track/event/pageview", 40),
    ],
)
def test_defaults_are_sailthrus_documented_ceilings(bucket: str, limit: float) -> None:
    """reference: sailthru-api 3."""
    assert default_limit(bucket) == limit


@pytest.mark.parametrize("limit", [1.0, 2.0, 40.0, 80.0, 300.0, 2000.0])
def test_as_many_slots_as_the_limit_cannot_be_late_enough_to_share_a_second_with_one_more(
    limit: float,
) -> None:
    """limit + 1 slots span more than a second even if the first is used as late as it may be."""
    assert limit * interval_us(limit, 1.0, None) / 1e6 - lateness(limit) > 1.0


@pytest.mark.parametrize("limit", [1.0, 40.0, 300.0])
def test_a_minute_of_slots_stays_below_sixty_times_the_limit(limit: float) -> None:
    """The minute may count a slot at each edge."""
    assert 60_000_000 // interval_us(limit, 1.0, None) + 1 <= 60 * limit


@pytest.mark.parametrize(
    ("rate", "slots"), [(300.0, 5), (40.0, 1), (0.5, 1), (1_500.0, 25), (1e6, 50)]
)
def test_a_reservation_is_a_few_slots_when_they_are_close_and_one_when_not(
    rate: float, slots: int
) -> None:
    """What a killed process wastes is at most 0.02 s of the bucket, or one slot."""
    assert reservation_size(rate) == slots
