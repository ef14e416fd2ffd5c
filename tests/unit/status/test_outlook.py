"""When a lane will be empty follows from what waits, what comes and what may go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.processes.history import EVERY_MS, Sample
from pipeline.status.outlook import (
    FEW,
    FOREVER_MS,
    STALE_MS,
    WINDOW,
    Outlook,
    Pace,
    Prospect,
    delivered_per_minute,
    measure,
    outlook,
)

NOW = 1_700_000_000_000
LANES = ("user", "event")
rates = st.floats(0, 500, allow_nan=False)
backlogs = st.integers(0, 2_000_000)


def samples(*rows: tuple[int, int]) -> list[Sample]:
    """One sample every 15 s, the last one now: (waiting, calls so far) of the lane `event`."""
    begins = NOW - EVERY_MS * (len(rows) - 1)
    return [
        Sample(
            begins + EVERY_MS * n, calls, {"user": 0, "event": waits}, {"user": 0, "event": calls}
        )
        for n, (waits, calls) in enumerate(rows)
    ]


def test_a_lane_that_empties_clears_when_the_rest_has_gone() -> None:
    """600 calls in 15 s, 300 fewer wait: 20/s net, so that 1,000 take 50 s."""
    pace = measure(samples((1_300, 0), (1_000, 600)), "event", NOW)
    assert pace == Pace(calls=40.0, growth=-20.0)
    assert pace.inflow == 20.0
    found = outlook(1_000, pace, 39.22, opens_at_ms=NOW, now_ms=NOW)
    assert found == Outlook(Prospect.CLEARS, NOW + 50_000)


def test_a_lane_into_which_more_comes_than_goes_will_not_clear() -> None:
    pace = measure(samples((1_000, 0), (1_600, 600)), "event", NOW)
    found = outlook(1_600, pace, 39.22, opens_at_ms=NOW, now_ms=NOW)
    assert found == Outlook(Prospect.GROWS)


def test_behind_a_gate_that_opens_by_itself_it_begins_then() -> None:
    """10/s come for a minute, and then 40/s go: 1,000 + 600 at 30/s."""
    found = outlook(1_000, Pace(0, 10), 40.0, opens_at_ms=NOW + 60_000, now_ms=NOW)
    assert found == Outlook(Prospect.CLEARS, NOW + 60_000 + round(1_600 / 30 * 1000))


def test_behind_a_gate_that_a_person_opens_it_is_stopped() -> None:
    assert outlook(9, None, 40.0, opens_at_ms=None, now_ms=NOW) == Outlook(Prospect.STOPPED)
    assert outlook(0, None, 40.0, opens_at_ms=None, now_ms=NOW) == Outlook(Prospect.KEEPS_UP)


def test_a_few_events_that_wait_are_no_backlog() -> None:
    assert outlook(FEW, None, 1.0, opens_at_ms=NOW, now_ms=NOW).prospect is Prospect.KEEPS_UP
    assert outlook(FEW + 1, None, 1.0, opens_at_ms=NOW, now_ms=NOW).prospect is Prospect.UNKNOWN


@pytest.mark.parametrize(
    ("rows", "now"),
    [
        ([], NOW),
        ([(5, 1)], NOW),
        ([(5, 1), (5, 2)], NOW + STALE_MS + 1),
        ([(5, 9), (5, 2)], NOW),
    ],
    ids=["none", "one", "old", "begun anew"],
)
def test_nothing_is_measured_where_nothing_can_be(rows: list[tuple[int, int]], now: int) -> None:
    assert measure(samples(*rows), "event", now) is None
    assert delivered_per_minute(samples(*rows), now) is None


def test_only_the_last_samples_count() -> None:
    old = [(0, 0)] * 5
    found = samples(*old, *((100, 100 + 15 * n) for n in range(WINDOW)))
    assert measure(found, "event", NOW) == Pace(calls=1.0, growth=0.0)
    assert delivered_per_minute(found, NOW) == 60.0


@given(due=backlogs, calls=rates, growth=rates, allowed=rates, wait_s=st.integers(0, 10_000))
def test_it_is_empty_no_sooner_than_it_opens(
    due: int, calls: float, growth: float, allowed: float, wait_s: int
) -> None:
    opens = NOW + wait_s * 1000
    found = outlook(due, Pace(calls, growth - 250), allowed, opens_at_ms=opens, now_ms=NOW)
    assert (found.clears_at_ms is not None) == (found.prospect is Prospect.CLEARS)
    if found.clears_at_ms is not None:
        assert opens <= found.clears_at_ms


@given(due=backlogs, more=backlogs, inflow=rates, faster=rates, allowed=rates)
def test_more_that_waits_or_comes_never_makes_it_sooner(
    due: int, more: int, inflow: float, faster: float, allowed: float
) -> None:
    opens = NOW + 1_000

    def clears(waits: int, comes: float) -> float:
        found = outlook(waits, Pace(0, comes), allowed, opens_at_ms=opens, now_ms=NOW)
        if found.prospect is Prospect.GROWS:
            return float("inf")
        return found.clears_at_ms or 0.0

    assert clears(due, inflow) <= clears(due + more, inflow)
    assert clears(due, inflow) <= clears(due, inflow + faster)


@given(due=st.integers(1_001, 100_000), inflow=st.floats(0, 400), allowed=st.floats(1, 500))
def test_a_lane_that_is_played_through_is_empty_when_it_was_said(
    due: int, inflow: float, allowed: float
) -> None:
    """Second by second, what comes and what goes: to the second, or for ever."""
    opens_s = 30
    found = outlook(due, Pace(0, inflow), allowed, opens_at_ms=NOW + opens_s * 1000, now_ms=NOW)
    waits, second = float(due) + inflow * opens_s, float(opens_s)
    if found.clears_at_ms is None:
        assert found.prospect is Prospect.GROWS
        assert inflow >= allowed or (waits / (allowed - inflow)) * 1000 > FOREVER_MS
        return
    said_s = (found.clears_at_ms - NOW) / 1000
    step = max(1.0, (said_s - opens_s) / 1000)
    while waits > 0:
        waits += (inflow - allowed) * step
        second += step
    assert said_s == pytest.approx(second, abs=step + 0.01)
