"""What replies mean (reference: sailthru-api 4)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sailthru.answers import Accepted, Answer, Failure, RateHeaders, Refused, read_answer


def answer(status: int, body: object, *, pageview: bool = False) -> Answer:
    return read_answer(status, json.dumps(body).encode(), {}, pageview=pageview)


def error(code: object, message: str = "no") -> dict[str, object]:
    return {"error": code, "errormsg": message}


@pytest.mark.parametrize("body", [{"ok": True}, {}, [], None, {"error": 0}, {"keys": {"sid": "x"}}])
def test_a_success_without_an_error_is_accepted(body: object) -> None:
    """PHP writes empty objects as [], and null happens: neither is a failure."""
    found = answer(200, body)
    assert isinstance(found, Accepted)
    assert found.body == (body or {})


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (429, error(43), Failure.THROTTLED),
        (429, {}, Failure.THROTTLED),
        (200, error(43), Failure.THROTTLED),
        (400, error("43"), Failure.THROTTLED),
        (503, error(43), Failure.THROTTLED),
        (500, error(9), Failure.UNAVAILABLE),
        (200, error(9), Failure.UNAVAILABLE),
        (500, error(99), Failure.UNAVAILABLE),
        (502, {}, Failure.UNAVAILABLE),
        (408, error(99), Failure.UNAVAILABLE),
        (302, {}, Failure.UNAVAILABLE),
        (404, {"message": "no route"}, Failure.UNAVAILABLE),
        (401, error(3), Failure.MISCONFIGURED),
        (403, error(4), Failure.MISCONFIGURED),
        (401, error(5), Failure.MISCONFIGURED),
        (403, error(21), Failure.MISCONFIGURED),
        (403, error(22), Failure.MISCONFIGURED),
        (200, error(5), Failure.MISCONFIGURED),
        (401, {"errormsg": "who are you"}, Failure.MISCONFIGURED),
        (403, error(41), Failure.REJECTED),
        (403, error(99), Failure.REJECTED),
        (400, error(11), Failure.REJECTED),
        (409, error(99), Failure.REJECTED),
        (200, error(14), Failure.REJECTED),
        (200, {"errormsg": "no"}, Failure.REJECTED),
        (200, {"error": 99, "errormsg": "no", "more": 1}, Failure.REJECTED),
        (200, {"ok": False}, Failure.REJECTED),
        (400, error(99, "User not found with extid: 42"), Failure.USER_NOT_FOUND),
        (404, error(99, "user not found with email: a@b.c"), Failure.USER_NOT_FOUND),
        (200, error(99, " User not found with sid: 1"), Failure.USER_NOT_FOUND),
    ],
)
def test_status_and_body_decide_together(status: int, body: object, expected: Failure) -> None:
    """The same error may come with any status, HTTP 200 included."""
    found = answer(status, body)
    assert isinstance(found, Refused)
    assert found.failure is expected
    assert found.status == status


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 500])
@pytest.mark.parametrize("body", [b"<html>down</html>", b"", b'{"ok":', b"\xff", b'"ok"', b"[1]"])
def test_what_is_not_sailthrus_voice_is_an_outage(status: int, body: bytes) -> None:
    """A proxy's page says nothing about the event, so it must not kill it."""
    found = read_answer(status, body, {})
    assert isinstance(found, Refused)
    assert found.failure is Failure.UNAVAILABLE
    assert found.ambiguous


@pytest.mark.parametrize("code", [3, 4, 5, 11, 43, 99])
def test_a_clear_refusal_is_not_ambiguous(code: int) -> None:
    """Sailthru has answered: the call was not processed."""
    found = answer(400, error(code))
    assert isinstance(found, Refused)
    assert not found.ambiguous
    assert found.code == code


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"contentHash": "x"}, None),
        (200, {"message": "bad url"}, Failure.REJECTED),
        (400, {"error": "Bad Request"}, Failure.REJECTED),
        (401, {"message": "unknown customer"}, Failure.MISCONFIGURED),
        (403, {"message": "domain not configured"}, Failure.REJECTED),
        (500, {"message": "oops"}, Failure.UNAVAILABLE),
        (429, {"message": "slow down"}, Failure.THROTTLED),
    ],
)
def test_pageviews_have_errors_of_their_own(
    status: int, body: object, expected: Failure | None
) -> None:
    """The pageview service says no by `error` or `message` (reference: sailthru-api 2.4)."""
    found = answer(status, body, pageview=True)
    assert (found.failure if isinstance(found, Refused) else None) is expected


def test_a_pageview_may_be_answered_without_a_body() -> None:
    """A tag's request needs no reply; 204 is a success."""
    assert isinstance(read_answer(204, b"", {}, pageview=True), Accepted)


def test_rate_headers_are_read_in_any_case_and_from_refusals_too() -> None:
    """A 429 is when they matter most."""
    headers = {
        "x-rate-limit-LIMIT": "2400",
        "X-Rate-Limit-Remaining": "0",
        "X-Rate-Limit-Reset": "1600000020",
    }
    found = read_answer(429, b"", headers)
    assert found.rate == RateHeaders(limit=2400, remaining=0, reset=1_600_000_020.0)


@pytest.mark.parametrize("reset", ["soon", "nan", "inf", ""])
def test_senseless_rate_headers_are_ignored(reset: str) -> None:
    """A wrong reset time would stop a lane for ever."""
    headers = {
        "X-Rate-Limit-Limit": "2400",
        "X-Rate-Limit-Remaining": "7",
        "X-Rate-Limit-Reset": reset,
    }
    assert read_answer(200, b"{}", headers).rate is None


@given(status=st.integers(200, 599), body=st.binary(max_size=60), pageview=st.booleans())
def test_no_bytes_crash_the_reader(status: int, body: bytes, pageview: bool) -> None:
    """Whatever comes back is an answer."""
    found = read_answer(status, body, {}, pageview=pageview)
    assert isinstance(found, Accepted | Refused)


@pytest.mark.parametrize("half", [b"\\ud83d", b"\\uDE00", b"\xed\xa0\xbd"])
def test_half_a_surrogate_pair_is_replaced_wherever_a_reply_has_it(half: bytes) -> None:
    """Nothing that takes UTF-8 takes it: neither the next call nor a script of ours."""
    body = b'{"vars":{"a%s":["b%s",{"c":"\\ud83d\\ude00","n":[1,null,true]}]}}' % (half, half)
    found = read_answer(200, body, {})
    assert isinstance(found, Accepted)
    json.dumps(found.body, ensure_ascii=False).encode()
    ((name, (first, rest)),) = found.body["vars"].items()
    assert (name[:2], first[:2]) == ("a\ufffd", "b\ufffd")
    assert rest == {"c": "\U0001f600", "n": [1, None, True]}
    refused = read_answer(400, b'{"error":99,"errormsg":"Invalid title %s"}' % half, {})
    assert isinstance(refused, Refused)
    assert refused.message == "Invalid title \ufffd"


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"error":' + b"9" * 5000 + b"}", b'{"error":"' + b"9" * 5000 + b'"}']
)
def test_hostile_json_is_an_answer_too(body: bytes) -> None:
    """Deep nesting and giant numbers overflow parsers."""
    assert isinstance(read_answer(200, body, {}), Refused)
