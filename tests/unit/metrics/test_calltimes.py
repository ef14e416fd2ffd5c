"""How long calls take, as it is counted in a process and read back from Redis."""

from __future__ import annotations

from pipeline.calltimes import BOUNDS_S, OTHER, RESULTS, CallTimes, read_histograms
from pipeline.sailthru.answers import Failure


def stored(times: CallTimes) -> dict[bytes, bytes]:
    return {name.encode(): str(by).encode() for name, by in times.take().items()}


def test_a_call_counts_in_the_first_bound_that_it_does_not_pass() -> None:
    """A bound itself is still in, as Prometheus' `le` has it."""
    times = CallTimes()
    for seconds in (0.001, 0.025, 0.026, 60.0):
        times.add("POST /event", "ok", seconds)
    [histogram] = read_histograms(stored(times)).values()
    assert histogram.counts == (2, 1, *[0] * (len(BOUNDS_S) - 2), 1)
    assert histogram.cumulative()[0] == ("0.025", 2.0)
    assert histogram.cumulative()[-1] == ("+Inf", 4.0)
    assert round(histogram.sum_s, 3) == 60.052


def test_an_endpoint_that_is_not_ours_counts_as_other() -> None:
    """Labels are few, whatever calls producers hand over."""
    times = CallTimes()
    times.add("POST /blast", "rejected", 0.1)
    assert list(read_histograms(stored(times))) == [(OTHER, "rejected")]


def test_what_redis_did_not_take_is_written_later() -> None:
    times = CallTimes()
    times.add("POST /event", "ok", 0.1)
    taken = times.take()
    times.add("POST /event", "ok", 0.1)
    times.put_back(taken)
    assert times.take()["POST /event|ok|0.1"] == 2
    assert times.take() == {}


def test_every_failure_is_a_result() -> None:
    assert set(RESULTS) == {"ok", *Failure}
