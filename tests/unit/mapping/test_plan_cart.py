"""Carts: which base a change is computed from, what folds, and what is remembered after."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import MappingRejected, Reason
from pipeline.events.models import Event, validate_event
from pipeline.mapping import plan
from pipeline.mapping.plan import (
    Cart,
    CartIntent,
    Need,
    OrderIntent,
    Plan,
    PlanContext,
    Profile,
    Send,
    WaitForEmail,
)
from pipeline.settings import AccountSettings
from tests.unit.mapping.tables.orders import EMAIL, GAME, GAME_ITEM

NOW = 1_700_000_000.0
CARD = {"id": "card", "title": "Card", "qty": 1, "price": 100, "url": "https://shop.example/card"}
OLD_CART = Cart((CARD,), NOW - 100)


def change(name: str = "Product Added", **fields: Any) -> Event:
    body = {"type": "track", "event": name, "userId": "u1", "properties": GAME, **fields}
    return validate_event(body)


def shown(email: str | None) -> dict[str, Any]:
    return {"context": {"traits": {"email": email}}}


def context(looked_up: Cart | None = None, **fields: Any) -> PlanContext:
    profile = Profile(exists=True, email=EMAIL, cart=looked_up)
    return PlanContext(**{"now": NOW, "profile": profile, **fields})


def step_of(events: list[Event], facts: PlanContext, **settings: Any) -> Plan:
    return plan(events, facts, AccountSettings.model_validate(settings))


def items_of(events: list[Event], facts: PlanContext, **settings: Any) -> list[Any]:
    step = step_of(events, facts, **settings)
    assert isinstance(step, Send)
    return list(step.call.params["items"])


def test_ten_changes_are_one_look_up_and_one_post() -> None:
    """Under 40 calls a second that is worth more than anything else."""
    events = [change() for _ in range(10)]

    need = step_of(events, PlanContext(now=NOW))
    step = step_of(events, context())

    assert isinstance(need, Need)
    assert (need.what, need.covers) == ("cart", 10)
    assert isinstance(step, Send)
    assert step.covers == 10
    assert step.call.params["items"] == [GAME_ITEM | {"qty": 10}]


def test_a_post_leaves_its_base_and_its_result_on_record() -> None:
    """The intent has what the change was computed from; the result is authoritative for a while."""
    step = step_of([change()], context(OLD_CART))

    assert isinstance(step, Send)
    assert step.intent == CartIntent((CARD,))
    assert step.cart_after == Cart((CARD, GAME_ITEM), NOW)


def test_our_own_cart_wins_over_what_sailthru_shows() -> None:
    """Its reads lag its writes; no look-up is made for the cart."""
    own = Cart((GAME_ITEM,), NOW - 1)

    assert items_of([change()], context(OLD_CART, cart=own)) == [GAME_ITEM | {"qty": 2}]
    assert items_of([change()], PlanContext(now=NOW, cart=own, email=EMAIL)) == [
        GAME_ITEM | {"qty": 2}
    ]


def test_with_our_own_cart_only_the_email_is_looked_up() -> None:
    """The GET then asks for no cart, so that its reply cannot be mistaken for one."""
    need = step_of([change()], PlanContext(now=NOW, cart=OLD_CART))

    assert isinstance(need, Need)
    assert need.what == "email"
    assert need.call.params["fields"] == {"keys": 1}


def test_a_cart_from_before_our_last_write_is_ignored() -> None:
    """Bought items would come back otherwise, with a reminder mail."""
    assert items_of([change()], context(OLD_CART, cart_written_at=NOW - 50)) == [GAME_ITEM]
    undated = Cart((CARD,))
    assert items_of([change()], context(undated, cart_written_at=NOW - 50)) == [GAME_ITEM]


def test_our_own_write_read_back_in_whole_seconds_is_not_ignored() -> None:
    """Sailthru's times have no fractions."""
    facts = context(OLD_CART, cart_written_at=NOW - 100 + 0.7)

    assert items_of([change()], facts) == [CARD, GAME_ITEM]


def test_an_untouched_cart_is_emptied_by_the_next_change_when_asked() -> None:
    """CLEAR_CART_AFTER_HOURS, or the option or property of Sailthru's newer destination; fractions are cut."""
    two_hours_old = Cart((CARD,), NOW - 7200)
    option = change(integrations={"Sailthru": {"clearIncompleteCartAfterNHours": "1.9"}})

    assert items_of([change()], context(two_hours_old)) == [CARD, GAME_ITEM]
    for hours in (2, 3):
        kept = items_of([change()], context(two_hours_old), clear_cart_after_hours=hours)
        assert kept == [CARD, GAME_ITEM]
    assert items_of([change()], context(two_hours_old), clear_cart_after_hours=1) == [GAME_ITEM]
    assert items_of([option], context(two_hours_old)) == [GAME_ITEM]
    as_property = change(properties=GAME | {"clearIncompleteCartAfterNHours": 1})
    assert items_of([as_property], context(two_hours_old)) == [GAME_ITEM]


@pytest.mark.parametrize(
    ("hours", "are_read"),
    [(1, True), ("100000", True), (0, False), (0.9, False), (-1, False), (100_000.5, False)],
)
def test_a_cart_is_emptied_after_an_hour_at_least(hours: object, are_read: bool) -> None:
    """Other hours are left out with a note."""
    event = change(integrations={"Sailthru": {"clearIncompleteCartAfterNHours": hours}})
    step = plan([event], context(Cart((CARD,), NOW - 7200)), AccountSettings())
    assert isinstance(step, Send)
    problems = [note.problem for note in step.notes]
    assert problems == ([] if are_read else ["must be from 1 to 100000"])


@pytest.mark.parametrize(
    "second",
    [
        change("Order Completed"),
        change("Checkout Started"),
        change(userId="u2"),
        change(anonymousId="a1"),
        change(**shown("b@example.com")),
        change(integrations={"Sailthru": {"reminder_template": "t", "reminder_time": "1 day"}}),
        change(integrations={"Sailthru": {"clearIncompleteCartAfterNHours": 1}}),
        change(properties=GAME | {"quantity": 0}),
        change("Product Removed", properties={"product_id": "other"}),
        change(properties={"product_id": "new", "price": 1}),
    ],
    ids=[
        "order",
        "custom",
        "user",
        "anonymous",
        "email",
        "reminder",
        "age",
        "quantity",
        "absent",
        "nameless",
    ],
)
def test_what_one_post_cannot_carry_ends_the_run(second: Event) -> None:
    """A refused event ends the run, too: only it dies, not those before it."""
    step = step_of([change(), second, change()], context())

    assert isinstance(step, Send)
    assert step.covers == 1


@pytest.mark.parametrize(
    ("emails", "learned", "covers"),
    [
        ([EMAIL, EMAIL], None, 2),
        ([EMAIL, None], None, 2),
        ([None, EMAIL], None, 2),
        ([None, EMAIL], EMAIL, 2),
        ([None, EMAIL], "b@example.com", 1),
        ([EMAIL, None], "b@example.com", 1),
    ],
)
def test_changes_fold_when_they_go_to_one_address(
    emails: list[str | None], learned: str | None, covers: int
) -> None:
    """An absent email is the learned one; if none is, the one that is shown."""
    facts = PlanContext(now=NOW, email=learned, cart=Cart(), profile=Profile(exists=True))

    step = step_of([change(**shown(email)) for email in emails], facts)

    assert isinstance(step, Send)
    assert step.covers == covers
    assert step.call.params["email"] == (emails[0] or learned or EMAIL)


def test_an_email_that_may_be_another_is_looked_up_before_it_is_folded() -> None:
    """Sailthru has not been asked yet for the email of the event that shows none."""
    events = [change(**shown(None)), change(**shown(EMAIL))]

    need = step_of(events, PlanContext(now=NOW, cart=Cart()))

    assert isinstance(need, Need)
    assert (need.what, need.covers) == ("email", 1)


def test_the_run_ends_before_a_removal_from_a_cart_that_became_empty() -> None:
    """Singly, only the third would be refused."""
    events = [change(), change("Product Removed"), change("Product Removed")]

    step = step_of(events, context())

    assert isinstance(step, Send)
    assert (step.covers, step.call.params["items"]) == (2, [])


def test_without_any_email_a_change_waits_for_one() -> None:
    """Sailthru is asked first, once: one look-up serves cart and email."""
    facts = PlanContext(now=NOW, profile=Profile(exists=True))

    assert step_of([change(), change()], facts) == WaitForEmail(2)


def test_an_order_leaves_an_empty_cart_and_its_key() -> None:
    """The key is what it is looked up by before it could be posted again."""
    event = change("Order Completed", properties={"order_id": "o1", "products": [GAME]})

    step = step_of([event, event], context(OLD_CART))

    assert isinstance(step, Send)
    assert isinstance(step.intent, OrderIntent)
    assert (step.covers, step.intent.extid) == (1, "o1")
    assert step.cart_after == Cart((), NOW)


def test_an_order_without_a_time_has_that_of_its_acceptance() -> None:
    """It may have waited for hours behind a closed gate."""
    event = change("Order Completed", properties={"order_id": "o1", "products": [GAME]})

    step = step_of([event], context(first_accepted_at=NOW))

    assert isinstance(step, Send)
    assert step.call.params["date"] == "Tue, 14 Nov 2023 22:13:20 +0000"


def test_a_cart_change_of_yesterday_is_too_old_and_an_order_is_not() -> None:
    """A reminder of what was bought in the meantime is of no use; orders carry their date."""
    old = {"timestamp": "2023-11-13T00:00:00Z"}
    order = change("Order Completed", properties={"order_id": "o1", "products": [GAME]}, **old)

    assert isinstance(step_of([order], context()), Send)
    with pytest.raises(MappingRejected) as caught:
        step_of([change(**old)], context())
    assert caught.value.reason is Reason.TOO_OLD
    assert isinstance(step_of([change(**old)], context(), max_age={"purchase": "off"}), Send)


def test_the_cart_of_a_learned_user_is_looked_up_by_their_id() -> None:
    """An event without a userId whose anonymousId or email belongs to a learned userId."""
    event = change(userId=None, **shown(EMAIL))

    need = step_of([event], PlanContext(now=NOW, user_id="u1"))

    assert isinstance(need, Need)
    assert need.call.params["id"] == "u1"
    with pytest.raises(MappingRejected) as caught:
        step_of([event], PlanContext(now=NOW))
    assert caught.value.reason is Reason.MISSING_USER_ID
