"""The arithmetic that every figure of `make bench` goes through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.figures import (
    Bench,
    Check,
    Goal,
    at_least,
    at_most,
    by_second,
    largest_window,
    mean_rate,
    middle,
    number,
    percentile,
    results,
    spread,
)

SECOND = 10**9
TIMES = st.lists(st.integers(0, 5 * SECOND), max_size=60).map(sorted)


def test_a_ratio_is_taken_inside_each_round_so_that_a_noisy_round_cancels_out() -> None:
    rounds = [
        {"ours": {"ms": 2.0}, "bare": {"ms": 1.0}},
        {"ours": {"ms": 8.0}, "bare": {"ms": 4.0}},
    ]
    (result,) = results([Check("CPU", "ours.ms", "bare.ms", at_most(2.0))], rounds)
    assert (result.spread.median, result.spread.low, result.spread.high) == (2.0, 2.0, 2.0)
    assert result.is_met is True


def test_the_median_round_decides_whether_a_goal_is_met() -> None:
    rounds = [{"ours": {"use": value}} for value in (90.0, 99.0, 99.5)]
    (result,) = results([Check("use", "ours.use", goal=at_least(98.5))], rounds)
    assert result.is_met is True
    assert result.spread.low == 90.0


def test_a_check_without_a_goal_is_neither_met_nor_missed() -> None:
    (result,) = results([Check("events/s", "ours.rate")], [{"ours": {"rate": 1.0}}])
    assert result.is_met is None


def test_a_ratio_over_nothing_is_infinite_and_not_an_error() -> None:
    (result,) = results([Check("x", "ours.a", "ours.b")], [{"ours": {"a": 1.0, "b": 0.0}}])
    assert result.spread.median == float("inf")


def test_a_figure_that_a_side_did_not_measure_is_an_error() -> None:
    with pytest.raises(KeyError):
        results([Check("x", "ours.a")], [{"ours": {}}])


@pytest.mark.parametrize(
    ("goal", "value", "met"),
    [
        (at_most(1.6), 1.6, True),
        (at_most(1.6), 1.61, False),
        (at_least(4), 4, True),
        (at_least(4), 3.9, False),
    ],
)
def test_a_goal_includes_its_bound(goal: Goal, value: float, met: bool) -> None:
    assert goal.is_met(value) is met


def test_the_middle_of_all_rounds_is_told_for_every_figure_of_every_side() -> None:
    found = middle([{"ours": {"ms": 3.0}}, {"ours": {"ms": 1.0}}, {"ours": {"ms": 2.0}}])
    assert found["ours"]["ms"].median == 2.0
    assert found["ours"]["ms"].width == 1.0


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_a_median_lies_between_the_lowest_and_the_highest(values: list[float]) -> None:
    one = spread(values)
    assert one.low <= one.median <= one.high


def test_a_size_of_the_command_line_wins_over_the_scale() -> None:
    bench = Bench({"events": 7}, scale=0.5)
    assert (bench.size("events", 100), bench.size("users", 100), bench.size("few", 1)) == (7, 50, 1)


@given(TIMES)
def test_the_largest_window_is_what_counting_from_every_arrival_finds(times: list[int]) -> None:
    slow = [sum(1 for other in times if time <= other < time + SECOND) for time in times]
    assert largest_window(times, SECOND) == max(slow, default=0)


@given(TIMES, st.integers(0, SECOND))
def test_every_arrival_falls_into_one_second(times: list[int], early: int) -> None:
    start = (times[0] if times else 0) - early
    counts = by_second(times, start)
    assert sum(counts) == len(times)
    assert max(counts, default=0) <= largest_window(times, SECOND)


def test_a_mean_rate_counts_a_pause_at_the_edge_and_nothing_beyond_it() -> None:
    times = [0, *range(SECOND, 2 * SECOND, SECOND // 10), 3 * SECOND]
    assert mean_rate(times, SECOND, 3 * SECOND) == pytest.approx(5.0)
    assert mean_rate([1], 2, 2) == 0.0


def test_a_percentile_is_a_value_that_was_measured() -> None:
    ordered = [float(value) for value in range(100)]
    assert (percentile(ordered, 0.5), percentile(ordered, 0.99), percentile([3.0], 0.99)) == (
        50,
        99,
        3,
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.3456, "0.346"),
        (3.456, "3.46"),
        (34.56, "34.6"),
        (3456.7, "3,457"),
        (2.0, "2"),
        (40, "40"),
    ],
)
def test_a_number_shows_the_digits_that_mean_something(value: float, text: str) -> None:
    assert number(value) == text
