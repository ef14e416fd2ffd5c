"""Which account a write key speaks for, and what is said when it speaks for none."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from pipeline.ingest.answers import HttpError
from pipeline.ingest.write_keys import Grant, choose_grant, grants, refuse_header
from pipeline.roles import Role, WriteKey
from pipeline.settings import load_settings

GRANTS = {"k1": Grant("default", WriteKey("k1")), "k2": Grant("brand", WriteKey("k2"))}


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("header", "body_key", "expected"),
    [
        (basic("k1:"), None, "default"),
        (basic("k2:ignored"), None, "brand"),
        (basic("k1"), None, "default"),
        (basic("k1:").replace("Basic", "basic"), None, "default"),
        (None, "k2", "brand"),
        (basic("k1:"), "k2", "default"),
        (basic(":"), "k2", "brand"),
        ("Bearer token", "k2", "brand"),
        ("Basic ???", "k2", "brand"),
        ("Basic \xff\xfe", "k2", "brand"),
    ],
)
def test_a_write_key_is_taken_from_the_header_or_the_body(
    header: str | None, body_key: object, expected: str
) -> None:
    """Basic user name first; OAuth and a broken header leave it to the body."""
    assert choose_grant(GRANTS, header, body_key).account == expected


@pytest.mark.parametrize(
    ("header", "body_key", "code"),
    [
        (None, None, "missing_write_key"),
        (None, ["k1"], "missing_write_key"),
        ("Basic /w==", None, "missing_write_key"),
        (basic("nope:"), "k1", "invalid_write_key"),
        (None, "K1", "invalid_write_key"),
    ],
)
def test_a_request_without_a_known_key_is_refused(
    header: str | None, body_key: object, code: str
) -> None:
    """401, and the text never repeats the key."""
    with pytest.raises(HttpError) as refused:
        choose_grant(GRANTS, header, body_key)
    assert (refused.value.status, refused.value.code) == (401, code)
    assert "nope" not in refused.value.message


def test_without_any_write_key_the_answer_names_the_setting() -> None:
    """Against the real Sailthru nothing is open by default."""
    live = load_settings({"SAILPIPE_API_KEY": "abc", "SAILPIPE_API_SECRET": "def"})
    with pytest.raises(HttpError, match="SAILPIPE_WRITE_KEYS"):
        choose_grant(grants(live), basic("sandbox:"), None)


def test_the_sandbox_has_a_key_of_its_own(tmp_path: Path) -> None:
    """With no API key set, `sandbox` is a key."""
    assert grants(load_settings({}, directory=tmp_path)) == {
        "sandbox": Grant("default", WriteKey("sandbox"))
    }


def test_every_write_key_leads_to_its_account(tmp_path: Path) -> None:
    """Keys choose between brands."""
    settings = load_settings({"SAILPIPE_WRITE_KEYS": "a, b:browser:9"}, directory=tmp_path)
    assert grants(settings) == {
        "a": Grant("default", WriteKey("a")),
        "b": Grant("default", WriteKey("b", Role.BROWSER, 9.0)),
    }


def test_a_header_with_an_unknown_key_is_refused_before_the_body_is_read() -> None:
    """Reading half a megabyte is work that a stranger could ask for; a key in the body needs it."""
    with pytest.raises(HttpError):
        refuse_header(GRANTS, basic("nope:"))
    for header in (basic("k1:"), None, "Bearer token"):
        refuse_header(GRANTS, header)
