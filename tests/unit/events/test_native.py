"""Whom a call of Sailthru's own API is about."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InvalidEvent
from pipeline.events.emails import STATED
from pipeline.events.models import validate_event
from pipeline.events.native import ENDPOINTS, misspelt_address, person
from pipeline.events.routing import read_facts
from pipeline.identity.placement import IdentityMap, place
from pipeline.settings import AccountSettings

EMAIL = "Ann@Example.com"
SETTINGS = AccountSettings()
TEXTS = st.sampled_from(["", "u1", " u1 ", EMAIL, "ann@", "guest", "é", "\ufffd", "x" * 600])
VALUES = TEXTS | st.sampled_from([None, False, True, 0, 1, 42, 42.0, 1.5, [], {}, ["u1"], {"a": 1}])
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "id": VALUES,
        "key": st.sampled_from(["email", "extid", "sid", "cookie", "sms", "", None, 5, " extid"]),
        "email": VALUES,
        "keys": VALUES | st.fixed_dictionaries({}, optional={"email": VALUES, "extid": VALUES}),
        "incomplete": VALUES,
    },
)


def call(endpoint: str, **params: Any) -> dict[str, Any]:
    return {"type": "sailthru", "endpoint": endpoint, "params": params}


def mailbox(event: dict[str, Any], known: IdentityMap | None = None) -> str:
    parsed = validate_event(event)
    facts = read_facts(parsed, SETTINGS)
    return place(parsed, facts, "1-0", 1_000, known or IdentityMap(), SETTINGS).user


@pytest.mark.parametrize(
    ("endpoint", "params", "expected"),
    [
        ("/event", {"id": EMAIL}, "ann@example.com"),
        ("/event", {"id": EMAIL, "key": "email"}, "ann@example.com"),
        ("/event", {"id": "u1", "key": "extid"}, "u1"),
        ("/event", {"id": 42, "key": "extid"}, "42"),
        ("/event", {"id": "5f1", "key": "sid"}, "sid:5f1"),
        ("/event", {"id": "5f1"}, "sid:5f1"),
        ("/event", {"id": EMAIL, "key": "sid"}, f"sid:{EMAIL}"),
        ("/event", {"id": "+49123", "key": "sms"}, "sms:+49123"),
        ("/event", {"id": "u1", "key": "extid", "vars": {"email": EMAIL}}, "u1"),
        ("/event", {"id": "guest", "key": "extid"}, "~1-0"),
        ("/user", {"id": EMAIL, "keys": {"extid": "u1"}}, "u1"),
        ("/user", {"id": "5f1", "key": "sid", "keys": {"email": EMAIL}}, "ann@example.com"),
        ("/user", {"keys": {"email": EMAIL}}, "ann@example.com"),
        ("/user", {"id": "u1", "key": "extid", "keys": {"extid": "u2"}}, "u1"),
        ("/user", {"id": "ann@", "key": "email"}, "email:ann@"),
        ("/purchase", {"email": EMAIL}, "ann@example.com"),
        ("/purchase", {"email": EMAIL, "id": "u1", "key": "extid"}, "ann@example.com"),
        ("/return", {"email": EMAIL}, "ann@example.com"),
    ],
)
def test_a_call_waits_where_the_other_events_of_its_person_do(
    endpoint: str, params: dict[str, Any], expected: str
) -> None:
    """By extid with those of the userId, by email with those of the email; what else it may be has a box of its own."""
    assert mailbox(call(endpoint, **params)) == expected


def test_a_call_by_email_waits_with_the_user_whose_email_it_is() -> None:
    """As a mapped order without an id does."""
    known = IdentityMap(email={"ann@example.com": "u1"})
    for endpoint, name in (("/event", "id"), ("/user", "id"), ("/purchase", "email")):
        assert mailbox(call(endpoint, **{name: EMAIL, "items": [1]}), known) == "u1"


@given(st.sampled_from(ENDPOINTS), PARAMS)
def test_any_call_is_somebodys_or_refused_and_links_only_what_it_names(
    endpoint: str, params: dict[str, Any]
) -> None:
    """An email is learned of an extid that a POST /user names beside it, and of nobody else."""
    try:
        event = validate_event(call(endpoint, **params))
    except InvalidEvent:
        return
    facts = read_facts(event, SETTINGS)
    known = IdentityMap()
    placed = place(event, facts, "1-0", 1_000, known, SETTINGS)
    assert placed.user
    if known.email:
        (learned,) = known.email.items()
        assert endpoint == "/user"
        assert learned == ((facts.emails.shown or "").lower(), event.user_id)
        assert facts.emails.strength == STATED
    assert not known.anon | known.follows | known.visitor
    assert event.user_id is None or event.anonymous_id is None


@given(st.sampled_from(ENDPOINTS), PARAMS)
def test_the_person_is_read_from_the_params_alone(endpoint: str, params: dict[str, Any]) -> None:
    """Whatever else stands in the event, it is not what goes out."""
    strange = {"userId": "u9", "anonymousId": "a9", "traits": {"email": "o@example.com"}}
    strange |= {"properties": strange["traits"], "context": {"traits": strange["traits"]}}
    strange |= {"integrations": {"All": False}, "timestamp": "2001-01-01"}
    try:
        plain = validate_event(call(endpoint, **params))
    except InvalidEvent:
        with pytest.raises(InvalidEvent):
            validate_event(strange | call(endpoint, **params))
        return
    assert validate_event(strange | call(endpoint, **params)) == plain


@given(PARAMS)
def test_what_is_taken_for_an_address_is_one(params: dict[str, Any]) -> None:
    """An order goes to an address, or it is said that there is none."""
    if not misspelt_address("/purchase", params):
        assert person("/purchase", params).keys() <= {"properties"}


@pytest.mark.parametrize("incomplete", [1, "1", True, "yes", 0, "0", False, None, ""], ids=repr)
def test_a_purchase_is_a_cart_where_php_takes_incomplete_for_true(incomplete: object) -> None:
    """Clients write it as a number, a text or a truth value."""
    event = validate_event(call("/purchase", email=EMAIL, incomplete=incomplete))
    is_cart = bool(incomplete) and incomplete != "0"
    assert event.kind == ("native_cart" if is_cart else "native_order")
