"""Signatures: what is taken for an account's, whatever is sent."""

from __future__ import annotations

import contextlib
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ingest.sailthru_requests import ApiError, Grantor, read_call, read_fields
from pipeline.sailthru.signing import signature

KEYS = {
    "k1": Grantor("one", ("s1", "s2")),
    "k2": Grantor("two", ("s3",)),
}
WORDS = st.text(max_size=8) | st.sampled_from(["k1", "k2", "s1", "json", "{}", '{"id":"a"}'])
NAMES = st.sampled_from(["api_key", "format", "json", "sig", "more"])


def signed_by(secret: str, fields: dict[str, str]) -> dict[str, str]:
    others = {name: value for name, value in fields.items() if name != "sig"}
    return others | {"sig": signature(secret, others)}


def test_the_vectors_of_sailthrus_own_client_are_taken() -> None:
    """Reference: sailthru-api 1, C and F."""
    text = '{"id": "usr_42", "key": "extid", "fields": {"purchase_incomplete": 1, "keys": 1}}'
    for key, secret, json, sig in (
        ("abc123key", "s3cr3tshared", text, "6af60525de165bd1ab6c413703811673"),
        ("123key", "abcsecret", '{"id":"neil@example.com"}', "fa5c79189b708199f3cf69f1cf8f7928"),
    ):
        fields = {"api_key": key, "format": "json", "json": json, "sig": sig}
        call = read_call(fields, {key: Grantor("default", (secret,))})
        assert (call.account, call.text) == ("default", json)


@given(
    st.sampled_from(["k1", "k2"]),
    st.sampled_from(["s1", "s2", "s3", ""]),
    st.dictionaries(st.text(max_size=5), WORDS, max_size=4),
)
def test_a_call_is_taken_just_when_a_secret_of_its_key_signed_it(
    key: str, secret: str, params: dict[str, str]
) -> None:
    """Over all that was sent, in any order and however it is encoded."""
    extra = {name: value for name, value in params.items() if name not in ("api_key", "json")}
    fields = {"json": '{"id":"a"}', "format": "json", **extra, "api_key": key}
    fields["format"] = fields["format"] or "json"
    sent = read_fields(urlencode(signed_by(secret, fields)).encode())
    if secret in KEYS[key].secrets:
        assert read_call(sent, KEYS).account == KEYS[key].account
        return
    with pytest.raises(ApiError) as refused:
        read_call(sent, KEYS)
    assert refused.value.code == 5


@given(NAMES, WORDS)
def test_what_was_changed_after_it_was_signed_is_refused(name: str, value: str) -> None:
    """Any field, and one that was added."""
    fields = signed_by("s1", {"api_key": "k1", "format": "json", "json": '{"id":"a"}'})
    changed = fields | {name: value}
    is_same_text = sorted(changed.values()) == sorted(fields.values()) or (
        name == "more" and value == ""  # the signature is over the values alone
    )
    if is_same_text and changed.get("sig") == fields["sig"]:
        return
    with pytest.raises(ApiError) as refused:
        read_call(changed, KEYS)
    assert refused.value.code in {2, 3, 5}


@given(st.dictionaries(NAMES, WORDS))
def test_no_form_is_taken_without_a_secret(fields: dict[str, str]) -> None:
    """And none ends in anything but a refusal."""
    with pytest.raises(ApiError):
        read_call(fields, KEYS)


@given(st.binary(max_size=60))
def test_any_bytes_are_fields_or_a_refusal(form: bytes) -> None:
    """Broken escapes, zeros, half characters."""
    with contextlib.suppress(ApiError):
        assert all(text.encode() for text in read_fields(form).values() if text)
