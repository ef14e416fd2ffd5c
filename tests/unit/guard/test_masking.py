"""REDACT: what is masked in console and API, and that nothing slips through."""

from __future__ import annotations

import json

from pipeline.guard.masking import MASK, UNREADABLE, Masking
from pipeline.settings import load_settings

MASKING = Masking(load_settings({"SAILPIPE_REDACT": "phone,Street"}))
EMAIL = Masking(load_settings({"SAILPIPE_REDACT": "email"}))
EVENT = {"traits": {"PHONE": "+49 30", "address": [{"street": {"name": "x"}}], "email": "a@b.c"}}


def test_fields_are_masked_in_any_case_and_depth() -> None:
    """With all that is in them."""
    masked = json.loads(MASKING.text(json.dumps(EVENT)))
    address = [{"street": MASK}]
    assert masked == {"traits": {"PHONE": MASK, "address": address, "email": "a@b.c"}}


def test_an_event_without_such_a_field_is_shown_as_it_came() -> None:
    """Byte for byte, spaces included."""
    assert MASKING.text('{"a":  1 }') == '{"a":  1 }'


def test_an_event_in_which_a_name_stands_twice_is_shown_as_it_is_read() -> None:
    """The first of the two is not read, and so would not be masked."""
    raw = '{"traits":{"email":"a@b.c"},"traits":{"x":1}}'
    assert EMAIL.text(raw) == '{"traits":{"x":1}}'


def test_a_call_that_names_its_person_by_email_shows_no_email() -> None:
    """Sailthru takes the address as an id, too."""
    call = {"id": "ann@example.com", "key": "email", "keys": {"email": "ann@example.com"}}
    assert "ann@example.com" not in str(EMAIL.value(call))
    other = {"id": "u1", "key": "extid"}
    assert EMAIL.value(other) == other


def test_what_is_not_json_is_not_shown_while_fields_are_masked() -> None:
    """A phone number may stand anywhere in it."""
    assert MASKING.text('{"phone": "+49') == UNREADABLE
    assert Masking(load_settings({})).text('{"phone": "+49') == '{"phone": "+49'


def test_the_calls_of_a_letter_are_masked_too() -> None:
    """They hold what the event holds."""
    shown = MASKING.letter(
        {"id": "1", "raw": "{}", "calls": [{"params": {"vars": {"phone": "1"}}}]}
    )
    assert shown == {"id": "1", "raw": "{}", "calls": [{"params": {"vars": {"phone": MASK}}}]}
