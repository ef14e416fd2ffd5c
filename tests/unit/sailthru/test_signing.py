"""Signatures, against vectors made with the official Python client (reference: sailthru-api 1)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sailthru.sailthru_client import get_signature_hash

from pipeline.sailthru.signing import is_signed, signature, signed, to_json

KEY, SECRET = "abc123key", "s3cr3tshared"

A = (
    r'{"id": "usr_42", "key": "extid", "keys": {"email": "zo\u00eb@example.com"}, "keysconflict": '
    r'"merge", "lists": {"Pr\u00e9noms \u2615": 1}, "vars": {"name": "Zo\u00eb \u0141uk", "address": '
    r'{"city": "M\u00fcnchen", "zip": "80331"}, "tags": ["a", "b"]}, "optout_email": "none"}'
)
B = (
    r'{"email": "zoe@example.com", "incomplete": 1, "items": [{"id": "507f1f77", "title": '
    r'"Caf\u00e9 \u201cMonopoly\u201d 3\u00aa", "qty": 2, "price": 1899, "url": '
    r'"https://shop.example.com/p/507f1f77?x=1&y=\u00e9", "tags": ["games", "juegos"], "vars": '
    r'{"brand": "Hasbro", "size": {"w": 10, "h": 5}}}], "reminder_template": "abandoned cart", '
    r'"reminder_time": "+20 minutes"}'
)
C = '{"id": "usr_42", "key": "extid", "fields": {"purchase_incomplete": 1, "keys": 1}}'
E = (
    '{"id":"usr_42","key":"extid","keys":{"email":"zoë@example.com"},"keysconflict":"merge",'
    '"lists":{"Prénoms ☕":1},"vars":{"name":"Zoë Łuk","address":{"city":"München","zip":"80331"},'
    '"tags":["a","b"]},"optout_email":"none"}'
)


@pytest.mark.parametrize(
    ("key", "secret", "text", "expected"),
    [
        pytest.param(KEY, SECRET, A, "a9ff24aea8b2842b3776da92339363cb", id="A-nested-unicode"),
        pytest.param(KEY, SECRET, B, "5be25e93b8a9e3f208d3514c9f2ce600", id="B-purchase"),
        pytest.param(KEY, SECRET, C, "6af60525de165bd1ab6c413703811673", id="C-get-user"),
        pytest.param("zz9key", SECRET, C, "5efc96153e10123926864e840623751f", id="D-late-key"),
        pytest.param(KEY, SECRET, E, "487b4b207aa4e9cee8dcfca537f09366", id="E-raw-utf8"),
        pytest.param(
            "123key",
            "abcsecret",
            '{"id":"neil@example.com"}',
            "fa5c79189b708199f3cf69f1cf8f7928",
            id="F-third-party",
        ),
    ],
)
def test_a_call_is_signed_as_the_official_client_signs_it(
    key: str, secret: str, text: str, expected: str
) -> None:
    """The signature covers key, the word json and the JSON text exactly as sent."""
    assert signature(secret, {"api_key": key, "format": "json", "json": text}) == expected


def test_a_postback_is_signed_over_its_own_fields() -> None:
    """Vector G: postbacks have no json field; all their values but sig count."""
    fields = {"action": "optout", "email": "foo@bar.com"}
    assert signature("1324qwerty", fields) == "89b9fce5296ce2920dad46ed3467001d"
    assert is_signed({**fields, "sig": "89b9fce5296ce2920dad46ed3467001d"}, "1324qwerty")


@pytest.mark.parametrize("sig", ["", "89b9fce5296ce2920dad46ed3467001e", "ß\ud800"])
def test_a_forged_signature_is_not_accepted(sig: str) -> None:
    """Any other text fails, also one that isn't ASCII or not even encodable."""
    assert not is_signed({"action": "optout", "email": "foo@bar.com", "sig": sig}, "1324qwerty")


def test_a_signed_call_has_exactly_the_four_wire_parameters() -> None:
    """The secret is never among them."""
    fields = signed({"id": "usr_42"}, KEY, SECRET)
    assert list(fields) == ["api_key", "format", "json", "sig"]
    assert SECRET not in str(fields)
    assert is_signed(fields, SECRET)


def test_a_number_that_json_cannot_write_is_refused() -> None:
    """NaN would be a word no JSON parser must take."""
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json({"vars": {"x": float("nan")}})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)


@given(params=st.dictionaries(st.text(), _JSON, max_size=5))
def test_any_call_signs_as_the_official_client_would(params: dict[str, object]) -> None:
    """Whatever the arguments, both agree, and the text still says the same."""
    fields = signed(params, KEY, SECRET)
    unsigned = {name: value for name, value in fields.items() if name != "sig"}
    assert fields["sig"] == get_signature_hash(unsigned, SECRET)
    assert json.loads(fields["json"]) == params
