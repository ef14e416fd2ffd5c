"""What counts as an event, and what is read from it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.errors import InvalidEvent, Reason
from pipeline.events.models import (
    INGEST_BYTES,
    MAX_EVENT_BYTES,
    Alias,
    Identify,
    Page,
    Screen,
    parse_event,
    validate_event,
)
from pipeline.text import is_email

SECRET = "secret.person@example.com"
NOTHING: tuple[Any, ...] = (None, False, "", " ", "\x00\ufeff", [], {})


def track(**fields: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Seen", "userId": "u1", **fields}


@pytest.mark.parametrize(
    ("code", "body", "detail"),
    [
        ("event_not_defined", {"type": "track", "userId": "u1"}, "event: is missing"),
        ("event_not_string", track(event=7), "event: must be a string"),
        *(("event is nothing", track(event=nothing), "event: is missing") for nothing in NOTHING),
        ("id_not_string", track(userId=True), "userId: must be a string"),
        ("id_not_string", track(userId=2.0**53), "userId: must be a string"),
        ("id_not_string", track(userId=None, anonymousId=1.5), "anonymousId: must be a string"),
        ("id too long", track(userId="u" * 513), "userId: is longer than 512 characters"),
        ("id_required", {"type": "group", "userId": "u"}, "groupId: is missing"),
        ("id_required", {"type": "alias", "userId": "u"}, "previousId: is missing"),
        *(
            (
                "id_required",
                {"type": "alias", "previousId": "a", "userId": no},
                "userId: is missing",
            )
            for no in NOTHING
        ),
        ("no type", {"userId": "u"}, "type: is missing"),
        ("other type", {"type": "purchase", "userId": "u"}, "type: must be identify, track"),
    ],
)
def test_what_segment_discards_is_invalid(code: str, body: dict[str, Any], detail: str) -> None:
    """The codes are Segment's (reference: segment 1.4); the detail names field, rule and code."""
    with pytest.raises(InvalidEvent) as caught:
        validate_event(body)

    assert caught.value.reason is Reason.INVALID_EVENT, code
    is_segments = code in {"event_not_defined", "event_not_string", "id_required", "id_not_string"}
    assert (f"{detail} ({code})" if is_segments else detail) in caught.value.detail


@pytest.mark.parametrize("ids", [{}, {"userId": ""}, {"userId": None, "anonymousId": " "}])
def test_an_event_without_id_and_email_is_invalid(ids: dict[str, Any]) -> None:
    """Code no_user_anon_id; an email would do as well."""
    with pytest.raises(InvalidEvent) as caught:
        validate_event({"type": "identify", **ids})
    assert caught.value.reason is Reason.MISSING_USER_ID
    assert "(no_user_anon_id)" in caught.value.detail

    validate_event({"type": "identify", **ids, "traits": {"email": "a@example.com"}})


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{", Reason.INVALID_JSON),
        (b"", Reason.INVALID_JSON),
        (b"\xff", Reason.INVALID_JSON),
        (b'{"type": -Infinity}', Reason.INVALID_JSON),
        (b'{"type": "\\ud83d"', Reason.INVALID_JSON),
        (b'{"type": NaN}', Reason.INVALID_JSON),
        (b"[" * 5000, Reason.INVALID_JSON),
        (b"[]", Reason.INVALID_EVENT),
        (b'"identify"', Reason.INVALID_EVENT),
        (b" " * (MAX_EVENT_BYTES + INGEST_BYTES + 1), Reason.TOO_LARGE),
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
        {"type": "identify", "traits": SECRET, "userId": {SECRET: SECRET}},
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
    """Some SDKs send them as numbers, and what has been through a spreadsheet has a point."""
    event = validate_event({"type": "alias", "userId": 7, "previousId": 10423.0, "messageId": 0})

    assert isinstance(event, Alias)
    assert (event.user_id, event.previous_id, event.message_id) == ("7", "10423", "0")


@pytest.mark.parametrize("nothing", NOTHING)
def test_nothing_is_an_absent_field(nothing: Any) -> None:
    """PHP writes false and []; no id is the word False."""
    names = ("userId", "messageId", "timestamp", "context", "integrations", "traits", "properties")
    shown = track(anonymousId="a1", **dict.fromkeys(names, nothing))
    absent = {"type": "track", "event": "Seen", "anonymousId": "a1"}

    event = validate_event(shown)
    assert event == validate_event(absent | {"timestamp": nothing})
    assert event.notes == ()


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (" u1\r\n", "u1"),
        ("\ufeffu1", "u1"),
        ("u\x001\x1f", "u1"),
        ("u" * 512 + "\x00", "u" * 512),
    ],
)
def test_ids_are_mended(given: str, read: str) -> None:
    """They become Redis keys and mailbox names, in which control characters separate."""
    event = parse_event(
        json.dumps(track(userId=given, anonymousId=given, messageId=given)).encode()
    )

    assert (event.user_id, event.anonymous_id, event.message_id) == (read, read, read)
    assert event.notes == ()


CUT = [rb"u1\ud83d", rb"\ude00u1", b"u1\xe9", "u1\ufffd".encode()]
"""Half an emoji, bytes that are not UTF-8, and what another program has made of such."""


def with_cut(*names: str, cut: bytes, **fields: Any) -> bytes:
    body = json.dumps({"type": "track", "event": "Seen", **fields, **dict.fromkeys(names, "CUT")})
    return body.encode().replace(b"CUT", cut)


@pytest.mark.parametrize("cut", CUT)
@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("userId", {"anonymousId": "a1"}),
        ("anonymousId", {}),
        ("previousId", {"type": "alias", "userId": "u1"}),
    ],
)
def test_an_id_with_a_broken_character_is_refused_with_its_path(
    name: str, fields: dict[str, Any], cut: bytes
) -> None:
    """People whose ids differ in the lost character only must not become one person."""
    with pytest.raises(InvalidEvent) as refused:
        parse_event(with_cut(name, cut=cut, **fields))
    assert refused.value.reason is Reason.INVALID_EVENT
    assert refused.value.detail.startswith(f"{name}: has a broken character")


@pytest.mark.parametrize("cut", CUT)
@pytest.mark.parametrize(
    "fields", [{"userId": "u1"}, {"context": {"traits": {"email": "a@example.com"}}}]
)
def test_a_broken_anonymous_id_is_left_out_where_the_event_says_who_without_it(
    fields: dict[str, Any], cut: bytes
) -> None:
    """Other text stays mended, messageIds as well: they name no person."""
    event = parse_event(with_cut("anonymousId", "messageId", cut=cut, **fields))

    assert event.anonymous_id is None
    assert "\ufffd" in str(event.message_id)
    assert [note.path for note in event.notes] == ["anonymousId"]


def test_a_field_that_cannot_be_read_is_left_out_with_a_note() -> None:
    """The event says who and what without it."""
    fields = {"context": "x", "integrations": 1, "properties": [1], "traits": True}
    event = validate_event(track(anonymousId=[1], messageId="m" * 513, **fields))

    assert (event.user_id, event.anonymous_id, event.message_id) == ("u1", None, None)
    assert (event.context, event.integrations, event.traits, event.properties) == ({}, {}, {}, {})
    assert {note.path: note.problem for note in event.notes} == {
        "anonymousId": "must be a string",
        "messageId": "is longer than 512 characters",
        **dict.fromkeys(fields, "must be an object"),
    }


@pytest.mark.parametrize("kind", ["page", "screen"])
def test_an_odd_name_or_category_costs_no_page(kind: str) -> None:
    """Sailthru is told neither."""
    event = validate_event({"type": kind, "userId": "u1", "name": {"en": "Home"}, "category": 7})

    assert isinstance(event, Page | Screen)
    assert (event.name, event.category) == (None, None)
    assert [note.path for note in event.notes] == ["name", "category"]


def test_a_model_made_in_python_is_checked_strictly() -> None:
    """There is nowhere to note what would be left out."""
    with pytest.raises(ValidationError):
        Identify.model_validate({"userId": "u1", "traits": "x"})


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
        "ann@example",
        "ann@example.",
        "ann@.example",
        "ann@example..com",
        "an\ufffd@example.com",
        "a b@example.com",
        "\ud800@b.c",
        7,
        None,
        ["a@example.com"],
        "a@" + "b" * 300 + ".com",
    ):
        assert validate_event(track(**place(none))).any_email is None


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("ann+shop@example.com", "ann+shop@example.com"),
        ("grün@bücher.example", "grün@bücher.example"),
        ("o'neil@mail.example.co.uk", "o'neil@mail.example.co.uk"),
        ("tina@example.c", "tina@example.c"),
        ("\ufeffann@example.com\r\n", "ann@example.com"),
    ],
)
def test_an_address_is_deliverable_by_its_look(given: str, read: str) -> None:
    """A plus and letters of every script are fine; what a copy brought along is mended."""
    assert validate_event(track(traits={"email": given})).any_email == read


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
    assert shared.without(["user_id"]).has_id
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
        ("o'hara_1=x%y@example.com", True),
        ("mailto:ann@example.com", False),
        ("<ann@example.com>", False),
        ("ann@example.com;", False),
        ("ann@example.com,bob@example.com", False),
        ("ann@example.com)", False),
        ('"ann"@example.com', False),
    ],
)
def test_a_deliverable_address_has_a_dot_in_its_domain(text: str, is_one: bool) -> None:
    """Some ids look like `42@facebook`. What stands around an address in a list, a link or a mail is none of it."""
    assert is_email(text) is is_one


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
        (1550738026, datetime(2019, 2, 21, 8, 33, 46, tzinfo=UTC)),
        ("yesterday", None),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59Z", None),
        (None, None),
        ({}, None),
    ],
)
def test_a_timestamp_is_a_time_or_none(text: Any, at: datetime | None) -> None:
    """What is none is no reason to refuse an event; `tests/unit/test_times.py` has all forms."""
    assert validate_event(track(timestamp=text)).occurred_at == at


@pytest.mark.parametrize(
    "integrations",
    [
        {},
        {"Sailthru": True},
        {"Sailthru": {"id": ""}},
        {"Mixpanel": {"id": "1"}},
        {"Sailthru": {"key": "sid"}},
    ],
)
def test_options_that_name_nobody_do_not_make_an_event_of_somebody(
    integrations: dict[str, Any],
) -> None:
    """Another destination's id is not Sailthru's."""
    with pytest.raises(InvalidEvent) as caught:
        validate_event({"type": "track", "event": "Seen", "integrations": integrations})
    assert caught.value.reason is Reason.MISSING_USER_ID


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
