"""Messages that may be logged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sailthru.masking import mask


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No items in purchase", "No items in purchase"),
        ("Missing required parameter: email", "Missing required parameter: email"),
        ("Invalid email: zoe@example.com", "Invalid email: <email>"),
        ("Invalid email: Zoe Smith", "Invalid email: <value>"),
        ("User not found with extid: usr_42", "User not found with extid: <value>"),
        ("User not found with email: zoe", "User not found with email: <value>"),
        ("Bad address <zoe@example.com>", "Bad address <<email>>"),
        ('Unknown template "VIP mail" here', "Unknown template <value> here"),
        ("List 'Zoe's friends' is bad", "List <value> is bad"),
        ("Phone +33612345678 is bad", "Phone <value> is bad"),
        ("It can't be\ndone", "It can't be done"),
    ],
)
def test_values_are_taken_out_and_rules_stay(text: str, expected: str) -> None:
    """What is left groups dead letters of one cause, and names no person."""
    assert mask(text) == expected


@given(before=st.text(max_size=20), name=st.from_regex(r"[a-z.]{1,20}", fullmatch=True))
def test_no_email_survives(before: str, name: str) -> None:
    """Wherever an address stands."""
    address = f"{name}@example.com"
    assert address not in mask(f"{before} {address} {before}")


def test_a_long_text_is_cut() -> None:
    """Megabytes of message must not reach the log."""
    assert len(mask("no " * 100_000)) == 200  # letters of one group are alike in these
