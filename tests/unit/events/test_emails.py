"""Which of an event's emails is its person's, which may address it, and which is only data."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.events.emails import BOUGHT, STATED, address, read_emails, shown_email
from pipeline.events.emails import SHOWN as SHOWN_BESIDE
from pipeline.events.kinds import Kind, kind_of
from pipeline.events.models import Event, validate_event
from pipeline.settings import AccountSettings

EMAIL = "Ann@example.com"
PLACES: dict[str, dict[str, Any]] = {
    "traits": {"traits": {"email": EMAIL}},
    "context.traits": {"context": {"traits": {"email": EMAIL}}},
    "properties": {"properties": {"email": EMAIL}},
    "properties.traits": {"properties": {"traits": {"email": EMAIL}}},
    "context": {"context": {"email": EMAIL}},
}
EVENTS: dict[Kind, dict[str, Any]] = {
    Kind.IDENTIFY: {"type": "identify"},
    Kind.ALIAS: {"type": "alias", "previousId": "a1"},
    Kind.GROUP: {"type": "group", "groupId": "g1"},
    Kind.PAGE: {"type": "page"},
    Kind.SCREEN: {"type": "screen"},
    Kind.CUSTOM: {"type": "track", "event": "Invite Sent"},
    Kind.SUBSCRIBED: {
        "type": "track",
        "event": "Subscribed",
        "integrations": {"Sailthru": {"defaultListName": "News"}},
    },
    Kind.USER_DELETED: {"type": "track", "event": "User Deleted"},
    Kind.ORDER: {"type": "track", "event": "Order Completed"},
    Kind.REFUND: {"type": "track", "event": "Order Refunded"},
    Kind.CART_ADD: {"type": "track", "event": "Product Added"},
    Kind.CART_REMOVE: {"type": "track", "event": "Product Removed"},
}
SHOWN: dict[str, set[Kind]] = {
    "traits": {Kind.IDENTIFY, Kind.ALIAS, Kind.SUBSCRIBED},
    "context.traits": set(Kind),
    "properties": {Kind.SUBSCRIBED, Kind.ORDER, Kind.REFUND, Kind.CART_ADD, Kind.CART_REMOVE},
    "properties.traits": set(),
    "context": set(),
}
"""Where an email is its person's, by kind of event."""


def event_of(kind: Kind, user: str | None = "u1", **fields: Any) -> Event:
    event = validate_event({**EVENTS[kind], "userId": user, **fields})
    assert kind_of(event, AccountSettings()) is kind
    return event


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", EVENTS)
def test_an_email_is_its_persons_only_where_the_person_is_described(kind: Kind, place: str) -> None:
    """The properties of an invitation name the friend, the traits of a group the company."""
    event = event_of(kind, **PLACES[place])

    expected = EMAIL if kind in SHOWN[place] else None
    assert shown_email(event, kind) == address(event, kind) == expected


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", [kind for kind in EVENTS if kind is not Kind.ALIAS])
def test_an_event_without_any_id_is_addressed_by_whatever_email_it_has(
    kind: Kind, place: str
) -> None:
    """It can be about no other person. It shows no more than with an id."""
    event = event_of(kind, None, **PLACES[place])

    assert address(event, kind) == EMAIL
    assert shown_email(event, kind) == (EMAIL if kind in SHOWN[place] else None)


def test_an_event_whose_ids_are_all_shared_is_not_addressed_by_data() -> None:
    """`guest` invites a friend: the friend is no guest."""
    event = event_of(Kind.CUSTOM, "guest", properties={"email": EMAIL})

    assert address(event.without(["user_id"]), Kind.CUSTOM) is None


@pytest.mark.parametrize("kind", SHOWN["properties"])
def test_the_properties_of_what_was_bought_do_not_say_whose_the_email_is(kind: Kind) -> None:
    """A present is confirmed to an address of the one who gets it. A subscription's is the person's own."""
    event = event_of(kind, properties={"email": EMAIL})

    assert read_emails(event, kind).owned == (EMAIL if kind is Kind.SUBSCRIBED else None)


@pytest.mark.parametrize("kind", [kind for kind in EVENTS if kind is not Kind.ALIAS])
def test_a_user_id_that_is_an_email_is_owned_by_what_is_given_it_as_a_key(kind: Kind) -> None:
    """An identify or Subscribed without another email; it is shown by none, so that it is learned last."""
    event = event_of(kind, "ida@example.com")

    keyed = kind in (Kind.IDENTIFY, Kind.SUBSCRIBED)
    assert read_emails(event, kind).owned == ("ida@example.com" if keyed else None)
    assert shown_email(event, kind) is None


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", EVENTS)
def test_the_strength_of_an_email_is_that_of_its_event_and_place(kind: Kind, place: str) -> None:
    """What speaks of the person itself is strongest, what they typed at a checkout weakest."""
    emails = read_emails(event_of(kind, **PLACES[place]), kind)

    speaks_of_person = kind in (Kind.IDENTIFY, Kind.ALIAS, Kind.SUBSCRIBED)
    strengths = {"traits": STATED, "context.traits": STATED if speaks_of_person else SHOWN_BESIDE}
    if emails.shown:
        assert emails.strength == strengths.get(place, BOUGHT)


def test_traits_come_first_and_what_is_no_email_is_passed_over() -> None:
    """Then context.traits, then the properties of a Subscribed."""
    traits, context = {"email": "t@example.com"}, {"traits": {"email": "c@example.com"}}
    properties = {"email": "p@example.com"}

    def shown(**fields: Any) -> str | None:
        return shown_email(event_of(Kind.SUBSCRIBED, **fields), Kind.SUBSCRIBED)

    assert shown(traits=traits, context=context, properties=properties) == "t@example.com"
    assert shown(traits={"email": "no"}, context=context, properties=properties) == "c@example.com"
    assert shown(context={"traits": []}, properties=properties) == "p@example.com"
