"""What counts as an event, and what is read from it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from pipeline.errors import InvalidEvent, Reason
from pipeline.events import (
    DOOR_BYTES,
    MAX_EVENT_BYTES,
    Alias,
    Identify,
    looks_deliverable,
    parse_event,
    validate_event,
)

SECRET = "secret.person@example.com"


def track(**fields: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Seen", "userId": "u1", **fields}


@pytest.mark.parametrize(
    ("code", "body", "detail"),
    [
        ("event_not_defined", {"type": "track", "userId": "u1"}, "event: is missing"),
        ("event_not_string", track(event=7), "event: must be a string"),
        ("event blank", track(event=" "), "event: must not be blank"),
        ("id_not_string", track(userId=True), "userId: must be a string"),
        ("id_not_string", track(anonymousId=1.5), "anonymousId: must be a string"),
        (
            "id with control characters",
            track(userId="a\nb"),
            "userId: contains a control character",
        ),
        ("id too long", track(userId="u" * 513), "userId: is longer than 512 characters"),
        ("properties_not_object", track(properties="x"), "properties: must be an object"),
        (
            "traits_not_object",
            {"type": "identify", "userId": "u", "traits": [1]},
            "traits: must be",
        ),
        ("name_not_string", {"type": "page", "userId": "u", "name": 1}, "name: must be a string"),
        ("category_not_string", {"type": "page", "userId": "u", "category": {}}, "category: must"),
        ("id_required", {"type": "group", "userId": "u"}, "groupId: is missing"),
        ("id_required", {"type": "alias", "userId": "u"}, "previousId: is missing"),
        ("id_required", {"type": "alias", "previousId": "a", "userId": ""}, "userId: must be"),
        ("no type", {"userId": "u"}, "type: is missing"),
        ("other type", {"type": "purchase", "userId": "u"}, "type: must be identify, track"),
    ],
)
def test_what_segment_discards_is_invalid(code: str, body: dict[str, Any], detail: str) -> None:
    """The codes are Segment's (reference: segment 1.4); the detail names field and rule."""
    with pytest.raises(InvalidEvent) as caught:
        validate_event(body)

    assert caught.value.reason is Reason.INVALID_EVENT, code
    assert detail in caught.value.detail


@pytest.mark.parametrize("ids", [{}, {"userId": ""}, {"userId": None, "anonymousId": " "}])
def test_an_event_of_nobody_is_invalid(ids: dict[str, Any]) -> None:
    """Code no_user_anon_id; an email would do as well."""
    with pytest.raises(InvalidEvent) as caught:
        validate_event({"type": "identify", **ids})
    assert caught.value.reason is Reason.MISSING_USER_ID

    validate_event({"type": "identify", **ids, "traits": {"email": "a@example.com"}})


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{", Reason.INVALID_JSON),
        (b"", Reason.INVALID_JSON),
        (b"\xff", Reason.INVALID_JSON),
        (b'{"type": NaN}', Reason.INVALID_JSON),
        (b"[" * 5000, Reason.INVALID_JSON),
        (b"[]", Reason.INVALID_EVENT),
        (b'"identify"', Reason.INVALID_EVENT),
        (b" " * (MAX_EVENT_BYTES + DOOR_BYTES + 1), Reason.TOO_LARGE),
    ],
)
def test_bytes_that_are_no_event_are_invalid(raw: bytes, reason: Reason) -> None:
    """Each for its own reason; deep nesting is no way to crash a worker."""
    with pytest.raises(InvalidEvent) as caught:
        parse_event(raw)

    assert caught.value.reason is reason


def test_refusals_never_quote_values() -> None:
    """They are logged and shown in tables."""
    bad = {SECRET: SECRET, "email": SECRET}
    for body in (
        track(userId=[SECRET], properties=SECRET, timestamp=bad, context=SECRET),
        {"type": SECRET, "userId": SECRET},
        {"type": "identify", "traits": SECRET, "userId": f"{SECRET}\n"},
    ):
        with pytest.raises(InvalidEvent) as caught:
            parse_event(json.dumps(body).encode())
        assert SECRET not in f"{caught.value!s} {caught.value!r}"


def test_null_is_absent_and_phps_empty_array_an_empty_object() -> None:
    """The Python SDK sends null for what it does not use, PHP writes {} as []."""
    event = validate_event(
        {"type": "identify", "userId": "u1", "anonymousId": None, "traits": [], "context": None}
    )

    assert (event.anonymous_id, event.traits, event.context) == (None, {}, {})


def test_whole_numbers_are_ids() -> None:
    """Some SDKs send them as numbers."""
    event = validate_event({"type": "alias", "userId": 7, "previousId": 8, "messageId": 9})

    assert isinstance(event, Alias)
    assert (event.user_id, event.previous_id, event.message_id) == ("7", "8", "9")


@pytest.mark.parametrize(
    "place",
    [
        lambda email: {"traits": {"email": email}},
        lambda email: {"context": {"traits": {"email": email}}},
        lambda email: {"properties": {"email": email}},
        lambda email: {"properties": {"traits": {"email": email}}},
        lambda email: {"context": {"email": email}},
    ],
    ids=["traits", "context.traits", "properties", "properties.traits", "context"],
)
def test_an_email_is_found_wherever_it_stands(place: Any) -> None:
    """Trimmed; what is none is passed over."""
    assert validate_event(track(**place(" Ann@Example.com "))).any_email == "Ann@Example.com"
    for none in (
        "",
        "ann",
        "a b@example.com",
        "a@b\nc",
        "\ud800@b",
        7,
        None,
        ["a@example.com"],
        "a@" + "b" * 300,
    ):
        assert validate_event(track(**place(none))).any_email is None


def test_traits_come_before_context_and_properties() -> None:
    """The first well-formed one counts."""
    event = validate_event(
        track(
            traits={"email": "not one"},
            context={"traits": {"email": "b@example.com"}},
            properties={"email": "c@example.com"},
        )
    )

    assert event.any_email == "b@example.com"


def test_an_event_remembers_that_it_came_with_an_id() -> None:
    """A shared id is taken away from it later, and it is no event without ids for that."""
    shared = validate_event(track(userId="guest"))
    nameless = {"type": "track", "event": "Seen", "properties": {"email": "a@example.com"}}

    assert shared.has_id
    assert shared.model_copy(update={"user_id": None}).has_id
    assert not validate_event(nameless).has_id


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("ann@example.com", True),
        ("ann+tea@shop.example.co.uk", True),
        ("anna@bücher.example", True),
        ("42@facebook", False),
        ("ann@example.", False),
        ("ann@.example", False),
        ("ann", False),
    ],
)
def test_a_deliverable_address_has_a_dot_in_its_domain(text: str, is_one: bool) -> None:
    """Some ids look like `42@facebook`."""
    assert looks_deliverable(text) is is_one


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2019-02-21T08:33:46Z", datetime(2019, 2, 21, 8, 33, 46, tzinfo=UTC)),
        ("2019-02-21T08:33:46.123456789Z", datetime(2019, 2, 21, 8, 33, 46, 123456, tzinfo=UTC)),
        ("2019-02-21T08:33:46", datetime(2019, 2, 21, 8, 33, 46, tzinfo=UTC)),
        (
            "2019-02-21T08:33:46.1-05:00",
            datetime(2019, 2, 21, 8, 33, 46, 100000, tzinfo=timezone(timedelta(hours=-5))),
        ),
        ("2017", None),
        ("yesterday", None),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59Z", None),
        (1550738026, None),
        (None, None),
        ({}, None),
    ],
)
def test_timestamps_are_iso_8601_with_any_fraction(text: Any, at: datetime | None) -> None:
    """0 to 9 digits, Z or an offset; what is none is no reason to refuse an event."""
    assert validate_event(track(timestamp=text)).occurred_at == at


@pytest.mark.parametrize(
    "context", [{}, {"page": None}, {"page": {"url": 1}}, {"page": {"url": " "}}]
)
def test_without_a_page_there_is_no_page_url(context: dict[str, Any]) -> None:
    """Server-side events have none."""
    assert validate_event(track(context=context)).page_url is None
    shown = track(context={"page": {"url": "https://shop.example"}})
    assert validate_event(shown).page_url == "https://shop.example"


def test_unknown_fields_are_no_reason_to_refuse() -> None:
    """SDKs add their own: `_metadata`, `channel`, `version`."""
    event = validate_event({"type": "identify", "userId": "u1", "_metadata": {}, "channel": "web"})

    assert isinstance(event, Identify)
