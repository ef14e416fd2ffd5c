"""The pending order or cart of a mailbox: begun, left unanswered, rolled back, missed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.delivery.intents import (
    MAX_START_DELAY_S,
    NOTHING_PENDING,
    IntentLog,
    Pending,
    PendingCart,
    PendingOrder,
)
from pipeline.mapping.plan import CartIntent, OrderIntent

NOW = 1_000.0
TIMEOUT_S = 8.0
MISSED = PendingOrder("o1", NOW - 60.0, misses=2, looked_at=NOW - 5.0)
TIMES = st.floats(0, 2e9)
PENDING = st.one_of(
    st.builds(PendingOrder, st.text(), TIMES, st.integers(0, 3), TIMES),
    st.builds(PendingCart, st.lists(st.just({"id": "p1", "qty": 1})).map(tuple), TIMES),
)


@given(pending=st.none() | PENDING)
def test_a_log_reads_what_it_wrote(pending: Pending | None) -> None:
    """In a mailbox, and in the letter that takes it along."""
    assert IntentLog.read(IntentLog(pending).encode()) == IntentLog(pending)


def test_an_order_that_is_begun_may_have_been_posted_until_its_call_must_have_ended() -> None:
    """Slot, renewal and HTTP timeout all waited for."""
    log = IntentLog(MISSED).begin(OrderIntent("o2"), NOW, TIMEOUT_S)
    assert log.pending == PendingOrder("o2", NOW + MAX_START_DELAY_S + TIMEOUT_S)
    assert (log.begun, log.before) == (True, MISSED)


@pytest.mark.parametrize("late_s", [0.0, 60.0])
def test_an_order_left_unanswered_may_have_been_posted_until_its_call_ended(late_s: float) -> None:
    """The end may be as late as was assumed, or later: a process may have stood still."""
    log = NOTHING_PENDING.begin(OrderIntent("o1"), NOW, TIMEOUT_S)
    reckoned = NOW + MAX_START_DELAY_S + TIMEOUT_S
    ended = log.ended(NOW + late_s, unanswered=True)
    assert ended == IntentLog(PendingOrder("o1", max(reckoned, NOW + late_s)))


def test_an_order_is_looked_at_once_reads_have_caught_up_with_its_call_or_with_the_last_look() -> (
    None
):
    assert PendingOrder("o1", NOW).look_at(3.0) == NOW + 3.0
    assert MISSED.look_at(3.0) == NOW - 2.0


@pytest.mark.parametrize("before", [None, MISSED, PendingCart((), NOW)])
def test_a_call_that_did_nothing_leaves_what_was_pending_before_it(before: Pending | None) -> None:
    """An earlier call may still have been carried out."""
    log = IntentLog(before).begin(CartIntent(()), NOW, TIMEOUT_S)
    assert log.ended(NOW, unanswered=False) == IntentLog(before)


def test_what_this_turn_has_not_begun_stays_pending() -> None:
    """The outcome of the turn makes no difference."""
    log = IntentLog(MISSED)
    assert log.ended(NOW, unanswered=False) is log
    assert log.ended(NOW, unanswered=True) is log


def test_an_order_is_looked_up_until_two_look_ups_have_missed_it() -> None:
    """A cart never is: its base is the intent's."""
    assert [
        IntentLog(replace(MISSED, misses=misses)).unverified is not None for misses in range(4)
    ] == [True, True, False, False]
    assert IntentLog(PendingCart((), NOW)).unverified is None
    assert NOTHING_PENDING.unverified is None


def test_a_missed_order_is_looked_up_again_a_read_lag_after_the_miss() -> None:
    """The first look-up comes a read lag after the call must have ended."""
    order = PendingOrder("o1", NOW)
    assert order.look_at(3.0) == NOW + 3.0
    missed = IntentLog(order).missed(NOW + 10.0).pending
    assert missed == PendingOrder("o1", NOW, misses=1, looked_at=NOW + 10.0)
    assert isinstance(missed, PendingOrder)
    assert missed.look_at(3.0) == NOW + 13.0
