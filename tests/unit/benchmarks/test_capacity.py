"""The simulation behind the capacity page."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.capacity import (
    MEMORY,
    MINUTES,
    OF_SAILTHRU,
    STEP_S,
    USABLE,
    Capacity,
    Costs,
    Day,
    Hardware,
    Minute,
    broken,
    capacity,
    simulate,
)

ROOMY = Hardware("roomy", cores=1_000, redis_gb=1_000)
FREE = Costs(1e-9, 1e-9, 1e-9, 1e-9, 0.0, 0.0, 0.0)
STEADY = Day(864_000, peak=1.0, campaign=0.0)
"""Ten events a second, day and night."""


def _costs(**changed: float) -> Costs:
    values = {name: getattr(FREE, name) for name in Costs.__slots__}
    return Costs(**{**values, **changed})


@given(st.integers(0, 10**7), st.floats(1, 2), st.floats(0, 0.5))
def test_the_minutes_of_a_day_add_up_to_its_events(
    events: int, peak: float, campaign: float
) -> None:
    day = Day(events, peak=peak, campaign=campaign)
    assert sum(day.minute(minute) for minute in range(MINUTES)) == pytest.approx(events)


@given(st.integers(1, 400))
@settings(max_examples=10)
def test_what_arrives_is_delivered_or_waits(accounts: int) -> None:
    costs = _costs(worker_ms=1.0, redis_deliver_ms=0.1)
    last = list(simulate(accounts, STEADY, costs, Hardware("small", 2, 1)))[-1]
    most = 2 * MINUTES * STEP_S * 1000 * USABLE * 2 / 1.1
    assert last.waiting == pytest.approx(
        max(0.0, accounts * STEADY.events * 2 - most), abs=accounts * 700
    )


@pytest.mark.parametrize(
    ("costs", "place", "expected"),
    [
        (_costs(redis_deliver_ms=1.0), ROOMY, Capacity(85, "Redis' core")),
        (_costs(splitter_ms=1.0), ROOMY, Capacity(85, "the splitter's core")),
        (_costs(worker_ms=1.0), Hardware("two cores", 2, 1_000), Capacity(170, "CPU for workers")),
        (
            _costs(user_bytes=1_000),
            Hardware("small", 1_000, 864 * 5 / 4 / 1_000 * 10),
            Capacity(10, MEMORY),
        ),
        (
            _costs(idle_cores=0.85, worker_ms=1e-3),
            Hardware("two cores", 2, 1_000),
            Capacity(1, "CPU for workers"),
        ),
    ],
)
def test_what_is_scarce_bounds_the_accounts_and_is_named(
    costs: Costs, place: Hardware, expected: Capacity
) -> None:
    found = capacity(STEADY, costs, place)
    assert found.breaks == expected.breaks
    assert found.accounts == pytest.approx(expected.accounts, abs=1)


def test_an_account_that_sends_more_than_sailthru_takes_holds_nowhere() -> None:
    assert capacity(Day(20_000_000), FREE, ROOMY) == Capacity(0, OF_SAILTHRU)


def test_a_campaign_needs_more_than_its_day_spread_evenly() -> None:
    costs, place = _costs(worker_ms=1.0), Hardware("two cores", 2, 1_000)
    even = capacity(Day(100_000, campaign=0.0), costs, place)
    peaked = capacity(Day(100_000, campaign=0.3), costs, place)
    assert peaked.accounts < even.accounts


def test_what_made_events_late_is_named_even_when_it_is_scarce_no_more() -> None:
    minutes = [Minute("CPU for workers", 10.0, 10.0, 1.0, 0.0), Minute("", 10.0, 10.0, 1e9, 0.0)]
    assert broken(minutes, ROOMY) == "CPU for workers"


def test_what_waits_for_want_of_cpu_is_late_and_what_waits_for_sailthru_is_not() -> None:
    busy = Day(3_000_000)
    free = list(simulate(1, busy, FREE, ROOMY))
    slow = list(simulate(1, busy, _costs(worker_ms=20.0), Hardware("one core", 1, 1_000)))
    assert max(minute.waiting for minute in free) > 1_000
    assert max(minute.late for minute in free) == pytest.approx(0.0, abs=1.0)
    assert max(minute.late for minute in slow) > 1_000
