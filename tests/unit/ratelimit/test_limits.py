"""The numbers behind the promise."""

from __future__ import annotations

import pytest

from pipeline.ratelimit.slots import (
    MICROS,
    Bucket,
    State,
    default_limit,
    interval_us,
    lateness,
    reservation_size,
    usage_of,
    used_last_minute,
)


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


@pytest.mark.parametrize(
    ("minute", "into_s", "used"),
    [(7, 0, 150), (7, 30, 100), (7, 45, 75), (8, 0, 50), (8, 30, 25), (9, 0, 0), (6, 30, 0)],
)
def test_the_use_of_a_minute_is_that_of_the_clock_minute_and_its_share_of_the_one_before(
    minute: int, into_s: int, used: int
) -> None:
    """Fifty slots in minute 7, a hundred in the one before, evenly spread."""
    state = State(0, total=1050, minute=7, at_minute=1000, before=100)
    now = (60 * minute + into_s) * MICROS
    assert used_last_minute(state, now) == used
    assert usage_of(state, Bucket("default", "POST /event"), now).used == used
