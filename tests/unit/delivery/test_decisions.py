"""Every row of docs/outcomes.md, put to `decide`, `waiting` and `settlement_for` themselves."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import chain
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.delivery.intents import IntentLog, PendingOrder
from pipeline.delivery.settlements import Settling, settlement_for
from pipeline.errors import Reason
from pipeline.events.kinds import IgnoreReason
from pipeline.events.models import Lane
from pipeline.gates.circuit import Health
from pipeline.mailbox.claim import Memory, Settlement
from pipeline.mailbox.history import Attempt, EventState
from pipeline.mapping.plan import OrderIntent
from pipeline.outcomes import (
    AddressRefused,
    Delivered,
    Ignored,
    LookedUp,
    Outcome,
    PostAgain,
    Rejected,
    Retry,
    Unfold,
)
from pipeline.sailthru.answers import Accepted, Answer, Failed, Failure
from pipeline.settings import AccountSettings
from tests.unit.delivery.decisions import TABLES, Row
from tests.unit.delivery.decisions.meanings import ON_THE_WAY_IN
from tests.unit.delivery.decisions.replies import EVENT, ORDER
from tests.unit.delivery.decisions.row import (
    HOUR_S,
    NOW,
    Midway,
    ago,
    order,
    state_of,
    track,
    verdict_text,
    written,
)

ROWS = [
    pytest.param(row, id=f"{table.title}: {row.says}") for table in TABLES for row in table.rows
]


@pytest.mark.parametrize("row", ROWS)
def test_each_answer_has_the_outcome_and_the_settlement_of_its_row(row: Row) -> None:
    """A settlement is made for what ends the turn; after the other verdicts the turn goes on."""
    verdict = row.decide()
    assert verdict_text(verdict) == row.outcome
    if verdict is None or isinstance(verdict, LookedUp | PostAgain):
        assert row.settled == ""
    else:
        assert written(row.settle(verdict), row.state) == row.settled


def test_every_outcome_every_dead_reason_and_every_ignore_reason_has_a_row() -> None:
    """A new one without a row fails here."""
    verdicts = [row.decide() for row in chain.from_iterable(table.rows for table in TABLES)]
    assert {type(one) for one in verdicts} >= {*get_args(Outcome), LookedUp, PostAgain}
    assert {one.reason for one in verdicts if isinstance(one, Rejected)} == set(Reason)
    assert {one.reason for one in verdicts if isinstance(one, Ignored)} == set(
        IgnoreReason
    ) - ON_THE_WAY_IN


def test_a_settlement_that_ends_no_event_keeps_the_claim_only_to_plan_anew() -> None:
    """One by one, or without an address. That of a wait or failure gives the mailbox back, or the claim would
    spin."""
    for row in chain.from_iterable(table.rows for table in TABLES):
        verdict = row.decide()
        if verdict is None or isinstance(verdict, LookedUp | PostAgain):
            continue
        settlement = row.settle(verdict)
        assert settlement.pop or settlement.back or isinstance(verdict, Unfold | AddressRefused)


ANY_ANSWER = st.one_of(
    st.builds(Accepted, st.just(200), st.just({"ok": True})),
    st.builds(
        Failed,
        st.sampled_from(Failure),
        st.sampled_from([None, 200, 400, 404, 429, 502]),
        st.sampled_from([None, 3, 43, 99]),
        st.just("no"),
        st.booleans(),
    ),
)


@given(
    answer=ANY_ANSWER,
    tried=st.integers(0, 9),
    failing_h=st.floats(0, 9),
    closed=st.booleans(),
    before=st.sampled_from([None, PendingOrder("o0", 1.0)]),
)
def test_an_orders_intent_outlives_exactly_the_calls_that_may_have_been_carried_out(
    answer: Answer, tried: int, failing_h: float, *, closed: bool, before: PendingOrder | None
) -> None:
    """In the mailbox while the event stays, in its letter when it dies; else what was there before."""
    history = EventState(tried=tried, failing_since=ago(failing_h * HOUR_S))
    begun = IntentLog(before).begin(OrderIntent("o1"), NOW, 8.0)
    state = state_of(order(), Lane.PURCHASE, history=history, intents=begun)
    row = Row(
        "",
        answer,
        "",
        request=ORDER,
        state=state,
        health=Health("api", closed="api" if closed else ""),
    )
    outcome = row.decide()
    assert outcome is not None
    assert not isinstance(outcome, LookedUp | PostAgain)
    settlement = row.settle(outcome)
    if isinstance(outcome, Delivered):
        assert settlement.intent == ""
        return
    intents = [json.loads(header).get("pending_intent", "") for _, _, header in settlement.dead]
    kept = IntentLog.read(intents[0] if intents else settlement.intent or "").pending
    unanswered = isinstance(answer, Failed) and answer.failure is Failure.UNAVAILABLE
    if isinstance(answer, Failed) and unanswered and answer.ambiguous:
        assert isinstance(kept, PendingOrder)
        assert kept.extid == "o1"
    else:
        assert kept == before


@given(count=st.integers(1, 5), pop=st.integers(0, 5), learn=st.booleans())
def test_a_claim_takes_in_its_settlement_and_nothing_else(
    count: int, pop: int, *, learn: bool
) -> None:
    """What left is gone, what stays is as it was, and the claim that was settled is unchanged."""
    claim = state_of(track(), count=count).claim
    learned = {"email": "u1@example.org", "newest:cart": "5"} if learn else {}
    after = claim.apply(Settlement(claim, pop=min(pop, count), learn=learned, intent="x"))
    assert after.entries == claim.entries[min(pop, count) :]
    assert (after.step, after.token, after.intent) == (claim.step + 1, claim.token, "x")
    assert after.memory.email == ("u1@example.org" if learn else None)
    assert after.memory.newest == ({"cart": 5} if learn else {})
    assert (claim.step, claim.memory.email, len(claim.entries)) == (0, None, count)


def test_a_failure_is_written_into_the_timeline_of_its_event() -> None:
    """What the letter shows in the end: when, how long it took, and how long it waits now."""
    first = Attempt(1, NOW - 60.0, 0.2, 502, "HTTP 502", 0.75)
    history = EventState(tried=1, failing_since=ago(60.0), attempts=(first,))
    state = state_of(track(), history=history)
    failed = Failed(Failure.UNAVAILABLE, None, None, "timed out", duration_s=8.00049)
    row = Row("", failed, "", request=EVENT, state=state)
    outcome = row.decide()
    assert isinstance(outcome, Retry)
    after = row.settle(outcome).state[state.entry.seq]
    assert isinstance(after, EventState)
    assert after.attempts == (first, Attempt(2, NOW, 8.0, None, "timed out", 1.5))


@pytest.mark.parametrize("give_back", [True, False])
def test_a_claim_with_events_left_ends_with_a_delivery_only_when_it_is_given_back(
    *, give_back: bool
) -> None:
    """After six calls or a second, or because the process stops."""
    state = state_of(track(), count=2)
    settling = Settling(AccountSettings(), int(NOW * 1000), Midway(), give_back)
    settlement = settlement_for(Delivered(), state, settling)
    assert (settlement.pop, settlement.back) == (1, give_back)


def test_a_replayed_order_that_comes_to_the_head_brings_its_own_intent() -> None:
    """It is looked up before it is posted, in whatever claim; and its strikes are its own."""
    claim = state_of(order(), Lane.PURCHASE, count=2).claim
    intent = IntentLog(PendingOrder("o2", 1.0)).encode()
    first, second = claim.entries
    claim = replace(claim, entries=(first, replace(second, pending_intent=intent)), strikes=3)
    cart = '{"items":[],"at":1}'
    after = claim.apply(Settlement(claim, pop=1, intent="", cart=cart))
    assert (after.intent, after.strikes, after.cart) == (intent, 0, cart)
    assert claim.apply(Settlement(claim, intent="")).intent == ""


def test_a_claim_that_knows_an_email_keeps_it() -> None:
    """A look-up answers late; what an event showed is newer."""
    claim = state_of(order(), Lane.PURCHASE, memory=Memory(email="new@example.org")).claim
    after = claim.apply(Settlement(claim, learn={"email": "old@example.org"}))
    assert after.memory.email == "new@example.org"
