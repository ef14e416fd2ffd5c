"""Making an event ready for the raw stream: what is accepted, what is refused, and how it says so."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from pipeline.accept import (
    message_id_for_line,
    prepare,
    prepare_line,
)
from pipeline.errors import InvalidEvent, Reason
from pipeline.events.models import INGEST_BYTES, MAX_EVENT_BYTES, Identify, parse_event

NOTHING: tuple[Any, ...] = (None, "  ", False, [], "\x00")
REGISTERED = {"type": "track", "userId": "u1", "event": "Registered"}


def test_an_event_keeps_its_own_message_id() -> None:
    """The producer's messageId is what duplicates are recognised by."""
    message_id, raw = prepare({**REGISTERED, "messageId": "m-1"})
    assert message_id == "m-1"
    assert json.loads(raw) == {**REGISTERED, "messageId": "m-1"}


@pytest.mark.parametrize(
    "given", [{}, *({"messageId": none} for none in (*NOTHING, ["m1"], "m" * 513))]
)
def test_an_event_without_a_message_id_gets_one(given: dict[str, Any]) -> None:
    """Nothing is no id, however it is written, and what cannot be read as one is none either."""
    message_id, raw = prepare({**REGISTERED, **given}, new_id=lambda: "fresh")
    assert message_id == "fresh"
    assert json.loads(raw)["messageId"] == "fresh"


def test_an_event_that_its_new_message_id_makes_too_large_is_refused() -> None:
    """The id counts towards the size of the event, as one that the producer gave would."""
    event = {**REGISTERED, "properties": {"x": ""}}
    room = MAX_EVENT_BYTES + INGEST_BYTES - len(prepare(event, new_id=lambda: "fresh")[1])
    prepare(event | {"properties": {"x": "y" * room}}, new_id=lambda: "fresh")
    with pytest.raises(InvalidEvent, match="too_large"):
        prepare(event | {"properties": {"x": "y" * room}}, new_id=lambda: "fresh!")


def test_the_callers_dict_is_left_alone() -> None:
    """Assigning an id happens to a copy."""
    event = dict(REGISTERED)
    prepare(event)
    assert event == REGISTERED


def test_unknown_fields_and_python_values_survive() -> None:
    """What Python programs hold (dates, decimals) is written as JSON; nothing is dropped."""
    at = datetime(2026, 11, 22, tzinfo=UTC)
    event = {
        **REGISTERED,
        "extra": {"a": [1]},
        "timestamp": at,
        "properties": {"p": Decimal("1.10")},
    }
    written = json.loads(prepare(event)[1])
    assert written["extra"] == {"a": [1]}
    assert written["timestamp"] == "2026-11-22T00:00:00Z"
    assert written["properties"] == {"p": "1.10"}


def test_a_model_is_written_in_segments_spelling() -> None:
    """Models and dicts are the same event on the wire."""
    message_id, raw = prepare(Identify(user_id="u1", traits={"email": "a@example.com"}))
    assert json.loads(raw)["userId"] == "u1"
    assert parse_event(raw).message_id == message_id


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"type": "track", "event": "Registered"}, Reason.MISSING_USER_ID),
        ({"type": "nonsense", "userId": "u1"}, Reason.INVALID_EVENT),
        ({**REGISTERED, "event": None}, Reason.INVALID_EVENT),
        ({**REGISTERED, "properties": {"x": "y" * 40_000}}, Reason.TOO_LARGE),
        ({**REGISTERED, "properties": {"x": float("nan")}}, Reason.INVALID_JSON),
        ({**REGISTERED, "properties": {"x": object()}}, Reason.INVALID_EVENT),
        ("track", Reason.INVALID_EVENT),
    ],
)
def test_what_can_never_be_valid_is_refused(event: Any, reason: Reason) -> None:
    """InvalidEvent says why, before anything is sent."""
    with pytest.raises(InvalidEvent) as refused:
        prepare(event)
    assert refused.value.reason is reason


def test_half_an_emoji_is_mended_wherever_it_stands() -> None:
    """A program that cuts a title must not lose the event."""
    cut = {**REGISTERED, "messageId": "m\ud83d", "properties": {"a\udc00": ["\ud83d"], "n": 1.10}}
    message_id, raw = prepare(cut)
    assert message_id == "m\ufffd"
    assert json.loads(raw)["properties"] == {"a\ufffd": ["\ufffd"], "n": 1.10}


def test_an_event_that_holds_itself_is_refused() -> None:
    """Mending its texts would never end."""
    event: dict[str, Any] = {**REGISTERED, "x": "\ud800"}
    event["properties"] = event
    with pytest.raises(InvalidEvent):
        prepare(event)


def test_a_refusal_quotes_no_values() -> None:
    """The text of an InvalidEvent may be logged."""
    with pytest.raises(InvalidEvent) as refused:
        prepare({"type": "track", "userId": ["ann@example.com"], "event": 3})
    assert "ann@example.com" not in f"{refused.value!r} {refused.value}"


def test_an_event_that_its_new_id_makes_too_large_is_refused() -> None:
    """What is accepted is within the limit as it lies in the stream."""
    bare = {**REGISTERED, "p": ""}
    left = MAX_EVENT_BYTES + INGEST_BYTES - len(json.dumps(bare, separators=(",", ":")))
    with pytest.raises(InvalidEvent) as refused:
        prepare({**bare, "p": "x" * left})
    assert refused.value.reason is Reason.TOO_LARGE


def test_a_line_stays_as_it_was_but_for_the_id() -> None:
    """Numbers are not rewritten on the way in: a price is what the file says."""
    line = b'{"type":"track", "p": 18.990, "big": 1e400}\r\n'
    expected = b'{"type":"track", "p": 18.990, "big": 1e400,"messageId":"f-1"}'
    assert prepare_line(line, "f-1") == expected


def test_a_line_with_an_id_is_untouched() -> None:
    """The id of the line's place is only for those that have none."""
    assert prepare_line(b' {"messageId": 7} ', "f-1") == b'{"messageId": 7}'


@pytest.mark.parametrize(
    "line", [b'{"a":"\\ud83d"}', b'{"a":"\xff"}', b'{"a":"x\ty"}', b'\xef\xbb\xbf{"a":1}']
)
def test_a_broken_text_stays_as_it_is_and_costs_no_line(line: bytes) -> None:
    """It is mended where it is read."""
    assert prepare_line(line, "f-1") == line[:-1] + b',"messageId":"f-1"}'


def test_an_empty_object_and_a_null_id_get_the_lines_id() -> None:
    """Every JSON object is enqueued; the splitter judges it."""
    assert prepare_line(b"{}", "f-1") == b'{"messageId":"f-1"}'
    assert json.loads(prepare_line(b'{"messageId":null,"a":1}', "f-1")) == {
        "messageId": "f-1",
        "a": 1,
    }


@pytest.mark.parametrize("line", [b"", b"[1]", b'"x"', b"{", b"{'a': 1}", b"\xff", b"[" * 500])
def test_a_bad_line_is_refused(line: bytes) -> None:
    """A bad line is one that is not a JSON object."""
    with pytest.raises(InvalidEvent) as refused:
        prepare_line(line, "f-1")
    assert refused.value.reason is Reason.INVALID_JSON


def test_a_files_lines_have_the_same_ids_when_it_is_imported_again() -> None:
    """Hash and line number: a repeated import is a set of duplicates, not of new events."""
    assert message_id_for_line("ab" * 32, 7) == "abababababababab-7"
