"""What an event may do by the role of its write key: the table, and what is left of an event."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import InvalidEvent, RefusedByRole
from pipeline.events.models import Event, validate_event
from pipeline.events.names import Kind
from pipeline.events.rights import BROWSER, restricted
from pipeline.fields import Note
from pipeline.roles import Role

ONLY_SERVERS = "is for server keys only"


def track(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "track", "event": name, "userId": "u1", **more}


def of_page(body: dict[str, Any]) -> Event:
    return restricted(validate_event(body), Role.BROWSER)


def test_every_kind_of_event_has_a_row() -> None:
    """A kind that was forgotten would be taken with all it holds, or crash."""
    assert BROWSER.keys() == set(Kind)
    refused = {kind for kind, right in BROWSER.items() if right.refused}
    native = {kind for kind in Kind if kind.name.startswith("NATIVE_")}
    assert len(native) == 5
    assert refused == native | {
        *(Kind.ORDER, Kind.REFUND, Kind.ALIAS, Kind.USER_DELETED, Kind.OPTOUT)
    }


@pytest.mark.parametrize(
    "body",
    [
        track("Order Completed"),
        track("completed_order"),
        track("Order Refunded"),
        track("User Deleted"),
        {"type": "alias", "userId": "u1", "previousId": "u2"},
        track("Read", integrations={"Sailthru": {"optoutValue": "all"}}),
        track("Read", integrations={"sailthru v2": {"optout_value": ["all"]}}),
        {"type": "identify", "userId": "u1", "integrations": {"Sailthru": {"optoutValue": "none"}}},
    ],
)
def test_a_page_may_neither_buy_nor_refund_nor_merge_nor_delete_nor_unsubscribe(
    body: dict[str, Any],
) -> None:
    """However it is spelled; a server may."""
    with pytest.raises(RefusedByRole):
        of_page(body)
    event = validate_event(body)
    assert restricted(event, Role.SERVER) is event


def test_a_pages_options_are_taken_away_with_a_note() -> None:
    """They name other users, templates and lists. Whether the event is for Sailthru at all may still be said."""
    event = of_page(
        track("Read", integrations={"All": True, "Sailthru": {"id": "u2", "key": "extid"}})
    )
    assert event.integrations == {"All": True, "Sailthru": True}
    assert event.notes == (Note("integrations.Sailthru", ONLY_SERVERS),)
    assert event.role is Role.BROWSER
    switch = of_page(track("Read", integrations={"Sailthru": False}))
    assert (switch.integrations, switch.notes) == ({"Sailthru": False}, ())


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("Product Added", "reminderTemplate"),
        ("Product Removed", "reminder_time"),
        ("Product Added", "clearIncompleteCartAfterNHours"),
        ("Subscribed", "lists"),
        ("Read", "schedule_time"),
    ],
)
def test_an_option_among_a_pages_properties_is_taken_away_too(name: str, option: str) -> None:
    """Where the mapping would read one; the rest of the properties stays."""
    event = of_page(track(name, properties={option: "x", "list": "News", "of_shop": 1}))
    assert event.properties == {"list": "News", "of_shop": 1}
    assert event.notes == (Note(f"properties.{option}", ONLY_SERVERS),)


def test_what_is_no_option_of_this_kind_stays_a_property() -> None:
    """A shop may have `lists` of its own."""
    event = of_page(track("Read", properties={"lists": ["a"]}))
    assert (event.properties, event.notes) == ({"lists": ["a"]}, ())


def test_a_pages_event_about_nobody_but_an_option_is_refused() -> None:
    """The option would have named any user."""
    body = track("Read", integrations={"Sailthru": {"id": "ann@example.org", "key": "email"}})
    del body["userId"]
    with pytest.raises(InvalidEvent, match="missing_user_id") as refused:
        of_page(body)
    assert not isinstance(refused.value, RefusedByRole)


def test_a_role_that_is_not_known_has_the_least_rights() -> None:
    """Another language may write anything into the raw entry."""
    assert {text: Role.read(text) for text in ("", "server", "browser", "admin")} == {
        "": Role.SERVER,
        "server": Role.SERVER,
        "browser": Role.BROWSER,
        "admin": Role.BROWSER,
    }
