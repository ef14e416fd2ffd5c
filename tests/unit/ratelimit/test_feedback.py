"""Sailthru's headers: someone else on the account, a minute nearly spent, answers out of order."""

from __future__ import annotations

import pytest

from pipeline.ratelimit.feedback import Headroom
from pipeline.sailthru.answers import RateHeaders

MINUTE = 1_000_000_020.0
"""A minute of Sailthru's starts here."""


def _answer(headroom: Headroom, second: float, *, used: int, ours: int, in_flight: int = 0) -> None:
    headroom.observe(
        RateHeaders(2400, 2400 - used, MINUTE + 60.0),
        now=MINUTE + second,
        ours=ours,
        in_flight=in_flight,
    )


def test_without_any_header_there_is_no_cap() -> None:
    """Before the first answer the limit alone counts."""
    assert Headroom().cap(now=MINUTE) is None
    assert Headroom().left(now=MINUTE) is None


def test_what_is_left_of_a_minute_is_told_with_what_others_use_until_it_ends() -> None:
    """Of 20 calls a second that Sailthru counts ten are ours."""
    headroom = Headroom()
    for second in range(20):
        _answer(headroom, second, used=20 * second, ours=10 * second)
    found = headroom.left(now=MINUTE + 20)
    assert found is not None
    assert (found.limit, found.remaining, found.ends) == (2400, 2400 - 380, MINUTE + 60.0)
    assert found.others == pytest.approx(10, rel=0.01)
    assert headroom.left(now=MINUTE + 60) is None


def test_alone_on_the_account_the_headers_never_slow_us() -> None:
    """At our own pace what is left of the minute always allows more than our pace."""
    headroom = Headroom()
    for tick in range(599):
        used = int(39.6 * tick / 10)
        _answer(headroom, tick / 10, used=max(0, used - 4), ours=used, in_flight=4)
        cap = headroom.cap(now=MINUTE + tick / 10)
        assert cap is not None
        assert cap > 39.6


@pytest.mark.parametrize("ahead", [-8.0, 8.0])
def test_a_clock_that_differs_from_sailthrus_is_found_out_when_a_minute_begins(
    ahead: float,
) -> None:
    """Undiscovered, it would make the end of every minute look too near or too far, and cost calls or a 429."""
    headroom = Headroom()
    for tick in range(1500):
        second, minute = tick / 10 % 60, tick // 600
        headroom.observe(
            RateHeaders(2400, 2400 - int(39.2 * second), MINUTE + 60.0 * (minute + 1)),
            now=MINUTE + tick / 10 + ahead,
            ours=int(39.2 * tick / 10),
            in_flight=4,
        )
        if minute:
            left = (2400 - int(39.2 * second) - 4) / max(0.5, 60.0 - second)
            cap = headroom.cap(now=MINUTE + tick / 10 + ahead)
            assert cap == pytest.approx(left, rel=0.01)


@pytest.mark.parametrize("reset", [(MINUTE + 60.0) * 1000, MINUTE + 3660.0, 1e300])
def test_a_reset_beyond_the_minute_does_not_slow_an_account_that_is_far_from_its_limit(
    reset: float,
) -> None:
    """Milliseconds, or a clock of ours that is an hour slow: what is left is for a minute at most."""
    headroom = Headroom()
    headroom.observe(RateHeaders(2400, 2399, reset), now=MINUTE, ours=1, in_flight=1)
    cap = headroom.cap(now=MINUTE)
    assert cap is not None
    assert cap > 39.6
    assert headroom.ends == MINUTE + 60.0
    assert headroom.cap(now=MINUTE + 120.0) is None


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
def test_a_clock_that_is_an_hour_off_is_found_out_too(ahead: float) -> None:
    """Once a minute has begun while answers flow, its end is where it is."""
    headroom = Headroom()
    for tick in range(900):
        second, minute = tick / 10 % 60, tick // 600
        headers = RateHeaders(2400, 2400 - int(39.2 * second), MINUTE + 60.0 * (minute + 1))
        headroom.observe(headers, now=MINUTE + tick / 10 + ahead, ours=tick, in_flight=4)
    assert headroom.ends == pytest.approx(MINUTE + 120.0 + ahead, abs=0.2)


def test_one_wrong_reset_is_forgotten_after_a_minute() -> None:
    """A proxy's answer in between does not make all of Sailthru's own look late."""
    headroom = Headroom()
    headroom.observe(RateHeaders(2400, 2399, 1e12), now=MINUTE, ours=1, in_flight=1)
    right = RateHeaders(2400, 1200, MINUTE + 120.0)
    headroom.observe(right, now=MINUTE + 61.0, ours=1, in_flight=0)
    assert headroom.cap(now=MINUTE + 61.0) == pytest.approx(1200 / 59.0)


def test_someone_elses_rate_is_left_to_them() -> None:
    """They take half the account: we settle on the other half, early and without overshooting."""
    headroom = Headroom()
    for second in range(12):
        _answer(headroom, second, used=40 * second, ours=20 * second)
    cap = headroom.cap(now=MINUTE + 11.0)
    assert cap == pytest.approx(20.0, abs=1.0)


def test_others_who_took_half_a_minute_are_left_half_of_the_next() -> None:
    """Between Reset and the first answer after it, the known rate of the others is kept free."""
    headroom = Headroom()
    for second in range(12):
        _answer(headroom, second, used=40 * second, ours=20 * second)
    cap = headroom.cap(now=MINUTE + 60.5)
    assert cap == pytest.approx(20.0, abs=1.0)
    assert headroom.cap(now=MINUTE + 121.0) is None


def test_others_that_stopped_are_forgotten_in_seconds() -> None:
    """Their capacity becomes ours again."""
    headroom = Headroom()
    for second in range(10):
        _answer(headroom, second, used=40 * second, ours=20 * second)
    for second in range(10, 25):
        ours = 200 + 39 * (second - 10)
        _answer(headroom, second, used=200 + ours, ours=ours)
    cap = headroom.cap(now=MINUTE + 24.0)
    assert cap is not None
    assert cap > 35.0


def test_a_spent_minute_leaves_nothing() -> None:
    """Remaining 0: not one call more."""
    headroom = Headroom()
    _answer(headroom, 30.0, used=2400, ours=100)
    cap = headroom.cap(now=MINUTE + 30.0)
    assert cap is not None
    assert cap <= 0.0


def test_calls_in_flight_are_taken_from_what_remains() -> None:
    """The server has not counted them yet, but it will."""
    headroom = Headroom()
    _answer(headroom, 50.0, used=2300, ours=100, in_flight=90)
    assert headroom.cap(now=MINUTE + 50.0) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("remaining", "reset"),
    [(2399, MINUTE + 60.0), (2400, MINUTE)],
    ids=["same minute", "old minute"],
)
def test_an_answer_that_comes_late_changes_nothing(remaining: int, reset: float) -> None:
    """Answers overtake each other; the smallest Remaining of the newest minute counts."""
    headroom = Headroom()
    _answer(headroom, 30.0, used=1400, ours=0)
    before = headroom.cap(now=MINUTE + 30.0)
    headroom.observe(RateHeaders(2400, remaining, reset), now=MINUTE + 30.0, ours=0, in_flight=0)
    assert headroom.cap(now=MINUTE + 30.0) == before


@pytest.mark.parametrize(("beyond_ours", "others"), [(0, 0), (3, 0), (4, 0), (8, 8)])
def test_what_our_own_calls_under_way_may_be_is_nobody_elses(beyond_ours: int, others: int) -> None:
    """Sailthru may have counted them, or not yet. More than these is all someone's."""
    headroom = Headroom()
    _answer(headroom, 10.0, used=100, ours=100, in_flight=4)
    _answer(headroom, 12.0, used=180 + beyond_ours, ours=180, in_flight=4)
    left = 2400 - 180 - beyond_ours - 4 - (24 if others else 0)
    cap = headroom.cap(now=MINUTE + 12.0)
    assert cap == pytest.approx(left / 48 - 0.5 * others / 2)
