"""The judge of the fault suite sees what it is there to see."""

from __future__ import annotations

import json

import pytest

from pipeline.settings import AccountSettings
from tests.faults.support.sandbox import Effect
from tests.faults.support.traffic import traffic
from tests.faults.support.verdict import (
    cart_steps,
    doubled_orders,
    expected_of,
    out_of_order,
    repeated,
    unplanned_carts,
)

A, B = {"id": "a", "qty": 1, "price": 100}, {"id": "b", "qty": 1, "price": 100}


def played(seq: int) -> Effect:
    return Effect(0.0, 1, "POST", "/event", {"vars": {"who": "ann", "seq": seq}})


def identified(seq: int) -> Effect:
    return Effect(0.0, 1, "POST", "/user", {"vars": {"who": "ann", "seq": seq}})


def bought(seq: int) -> Effect:
    keys = {"extid": f"o-ann-{seq}"}
    params = {"email": "ann@example.com", "items": [A], "purchase_keys": keys}
    return Effect(0.0, 1, "POST", "/purchase", params)


def cart(*items: dict[str, object]) -> Effect:
    params = {"email": "ann@example.com", "items": list(items), "incomplete": 1}
    return Effect(0.0, 1, "POST", "/purchase", params)


def test_an_order_that_is_posted_twice_is_doubled() -> None:
    """By its extid."""
    assert doubled_orders([bought(1), bought(2)]) == 0
    assert doubled_orders([bought(1), bought(2), bought(1)]) == 1


def test_a_call_that_is_made_twice_is_repeated() -> None:
    """Calls are compared by their user and their place among the user's events."""
    assert repeated([played(1), played(2), identified(1)]) == 0
    assert repeated([played(1), played(1), identified(1), identified(1)]) == 2


def test_what_takes_effect_after_a_later_event_is_out_of_order() -> None:
    """An event always; an identify may be sent again, but the last must be the last."""
    assert out_of_order([played(1), played(2)], may_repeat=True) == []
    assert len(out_of_order([played(2), played(1)], may_repeat=True)) == 1
    back = [identified(2), identified(1)]
    assert len(out_of_order(back, may_repeat=False)) == 1
    assert len(out_of_order(back, may_repeat=True)) == 1
    assert out_of_order([*back, identified(2)], may_repeat=True) == []


PLAN = [cart(A), cart(A, B), cart(B), bought(4), cart(A)]


@pytest.mark.parametrize(
    "found",
    [PLAN, [cart(A, B), bought(4), cart(A)], [cart(A), cart(A), cart(B, A), *PLAN[2:]]],
    ids=["the same", "folded", "made again at its place"],
)
def test_a_cart_may_leave_steps_out_and_repeat_the_one_it_is_at(found: list[Effect]) -> None:
    """Whatever the order of its items."""
    assert unplanned_carts(cart_steps(found), cart_steps(PLAN), may_repeat=False) == []


@pytest.mark.parametrize(
    ("found", "after_a_death"),
    [
        ([cart(B, B)], False),
        ([cart(A, B), cart(A), cart(A, B), bought(4)], True),
        ([cart(A, B), cart(A)], False),
        ([cart(A, B), bought(4), cart(A, B), cart(A)], False),
    ],
    ids=["another cart", "a step back", "a step back for good", "behind the order"],
)
def test_a_cart_that_goes_another_way_is_noticed(
    found: list[Effect], *, after_a_death: bool
) -> None:
    """Only after deaths may it go a step back, up to the last order, and then on again."""
    steps, plan = cart_steps(found), cart_steps(PLAN)
    assert len(unplanned_carts(steps, plan, may_repeat=False)) == 1
    assert (unplanned_carts(steps, plan, may_repeat=True) == []) is after_a_death


def test_every_kind_of_event_leaves_a_trace() -> None:
    """Without a trace, a lost, doubled or late event would not be seen."""
    raws = traffic(300, 30, seed=1)
    origins = expected_of(raws, AccountSettings(customer_id="customer")).origins
    events = {one["messageId"]: one for one in map(json.loads, raws)}.values()
    for kind, name in (("order", "Order Completed"), ("/event", "Played")):
        assert sum(origin.kind == kind for origin in origins) == sum(
            one.get("event") == name for one in events
        )
    assert sum(origin.kind == "page" for origin in origins) == sum(
        one["type"] == "page" for one in events
    )
    assert len({origin.who for origin in origins if origin.kind == "/user"}) == 30
