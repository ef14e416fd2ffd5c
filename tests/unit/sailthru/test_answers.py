"""What replies mean (reference: sailthru-api 4)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sailthru.answers import Accepted, Answer, Failed, Failure, RateHeaders, read_answer


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
        (400, error("99"), Failure.REJECTED),
        (400, {"error": 14}, Failure.REJECTED),
        (400, error(43.0), Failure.THROTTLED),
        (400, error(0, "no"), Failure.REJECTED),
        (401, error(0, "who are you"), Failure.MISCONFIGURED),
        (302, error(99), Failure.UNAVAILABLE),
        (99, error(99), Failure.UNAVAILABLE),
        (999, error(99), Failure.UNAVAILABLE),
        (400, error(99, "User not found with extid: 42"), Failure.USER_NOT_FOUND),
        (404, error(99, "user not found with email: a@b.c"), Failure.USER_NOT_FOUND),
        (200, error(99, " User not found with sid: 1"), Failure.USER_NOT_FOUND),
    ],
)
def test_status_and_body_decide_together(status: int, body: object, expected: Failure) -> None:
    """The same error may come with any status, HTTP 200 included."""
    found = answer(status, body)
    assert isinstance(found, Failed)
    assert found.failure is expected
    assert found.status == status


def test_sailthrus_own_no_is_final_with_the_status_of_a_success_or_of_a_bad_request() -> None:
    """With another, a redirect's or a server's own fault, it may be over when the call is made again."""
    no = {"error": 99, "errormsg": "That is not allowed"}
    found = {status: answer(status, no) for status in range(200, 600)}
    failures = {status: one.failure for status, one in found.items() if isinstance(one, Failed)}
    assert failures.keys() == found.keys()
    final = {status for status, failure in failures.items() if failure is Failure.REJECTED}
    assert final == {*range(200, 300), *range(400, 500)} - {408, 429}
    rest = {failures[status] for status in failures.keys() - final - {429}}
    assert rest == {Failure.UNAVAILABLE}


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 500])
@pytest.mark.parametrize("body", [b"<html>down</html>", b"", b'{"ok":', b"\xff", b'"ok"', b"[1]"])
def test_a_reply_that_is_not_in_sailthrus_form_is_an_outage(status: int, body: bytes) -> None:
    """A proxy's page says nothing about the event, so it must not kill it."""
    found = read_answer(status, body, {})
    assert isinstance(found, Failed)
    assert found.failure is Failure.UNAVAILABLE
    assert found.ambiguous


@pytest.mark.parametrize("code", [3, 4, 5, 11, 43, 99])
def test_a_clear_refusal_is_not_ambiguous(code: int) -> None:
    """Sailthru has answered: the call was not processed."""
    found = answer(400, error(code))
    assert isinstance(found, Failed)
    assert not found.ambiguous
    assert found.code == code


FORBIDDEN: list[dict[str, object]] = [
    {"error": "Forbidden"},
    {"error": True},
    {"error": "true"},
    {"error": 403, "message": "Forbidden"},
    {"error": "404"},
    {"error": -1},
    {"error": 99.5},
    {"error": {"code": 99, "message": "Forbidden"}},
    {"error": "Not Found", "path": "/user", "status": 404},
    {"errormsg": " "},
    {"errormsg": {"text": "Forbidden"}},
    {"errors": [{"code": 99}]},
    {"ok": False},
    {"success": False},
    {"fault": {"faultstring": "Forbidden"}, "ok": 0},
]
"""What gateways and proxies say in JSON, and replies that no known server sends: none has Sailthru's form."""


@pytest.mark.parametrize("body", [*FORBIDDEN, {"message": "Forbidden"}, {"code": 99}, {}])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 407, 409, 413, 425, 451])
def test_a_gateways_no_is_an_outage(status: int, body: dict[str, object]) -> None:
    """It buries no event, and says nothing about credentials or about what exists."""
    found = answer(status, body)
    assert isinstance(found, Failed)
    assert (found.failure, found.code) == (Failure.UNAVAILABLE, None)
    assert found.ambiguous


@pytest.mark.parametrize("body", FORBIDDEN)
def test_a_gateways_no_in_a_success_is_an_outage_too(body: dict[str, object]) -> None:
    """Some answer 200 to everything; what it says is not that Sailthru has the event."""
    found = answer(200, body)
    assert isinstance(found, Failed)
    assert found.failure is Failure.UNAVAILABLE


def test_nothing_of_a_gateways_answer_is_quoted() -> None:
    """Some show the URL that they refuse, and with it key, signature and the customer."""
    for status in (404, 429):
        found = answer(status, {"message": "Cannot GET /user?api_key=hush&json={zoe}"})
        assert isinstance(found, Failed)
        assert "hush" not in repr(found)


SAFE_WORDS = st.sampled_from(["error", "errormsg", "errors", "message", "ok", "success", "keys"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)


@given(
    status=st.integers(200, 599).filter(lambda status: status != 429),
    body=st.dictionaries(SAFE_WORDS, VALUES),
    pageview=st.booleans(),
)
def test_only_sailthrus_form_buries_an_event_or_blames_the_account(
    status: int, body: dict[str, object], *, pageview: bool
) -> None:
    """A numeric `error` or an `errormsg`; of the pageview host a `message`, too."""
    found = answer(status, body, pageview=pageview)
    if isinstance(found, Failed) and found.failure is not Failure.UNAVAILABLE:
        spoken = [body.get("errormsg"), body.get("message") if pageview else None]
        said = any(isinstance(text, str) and text.strip() for text in spoken)
        assert said or 1 <= int(str(body["error"]).removesuffix(".0")) <= 99
    if isinstance(found, Accepted):
        assert 200 <= status < 300
        assert not body.get("errors")
        assert body.get("ok", True)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"contentHash": "x"}, None),
        (200, {"message": "bad url"}, Failure.REJECTED),
        (400, {"error": "Bad Request", "message": "url is required"}, Failure.REJECTED),
        (422, {"message": "url is required"}, Failure.REJECTED),
        (400, error(99), Failure.REJECTED),
        (401, {"message": "unknown customer"}, Failure.MISCONFIGURED),
        (401, error(3), Failure.MISCONFIGURED),
        (400, {"error": "Bad Request"}, Failure.UNAVAILABLE),
        (401, {"error": "Unauthorized"}, Failure.UNAVAILABLE),
        (403, {"message": "Forbidden"}, Failure.UNAVAILABLE),
        (404, {"message": "no Route matched with those values"}, Failure.UNAVAILABLE),
        (409, {"message": "Conflict"}, Failure.UNAVAILABLE),
        (500, {"message": "oops"}, Failure.UNAVAILABLE),
        (200, {"message": {"text": "?"}}, Failure.UNAVAILABLE),
        (429, {"message": "slow down"}, Failure.THROTTLED),
    ],
)
def test_pageviews_have_errors_of_their_own(
    status: int, body: object, expected: Failure | None
) -> None:
    """The pageview service says no by `message`, with the statuses of a service; a gateway has others."""
    found = answer(status, body, pageview=True)
    assert (found.failure if isinstance(found, Failed) else None) is expected


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


RATE = {"X-Rate-Limit-Limit": "2400", "X-Rate-Limit-Remaining": "7", "X-Rate-Limit-Reset": "60"}


@pytest.mark.parametrize("name", RATE)
@pytest.mark.parametrize(
    "odd", ["", "soon", "nan", "inf", "1e300", "1_0", "\u0661\u0662", "9" * 400, "9" * 5000, "7, 7"]
)
def test_senseless_rate_headers_are_ignored(name: str, odd: str) -> None:
    """A wrong reset time would stop a lane for ever, a giant number would break arithmetic with it."""
    assert read_answer(200, b"{}", {**RATE, name: odd}).rate is None


def test_rate_headers_may_be_past_their_limit() -> None:
    """Several keys share an account's limit; a blank beside a number is HTTP's."""
    headers = {**RATE, "X-Rate-Limit-Remaining": " -3 ", "X-Rate-Limit-Reset": "60.5"}
    assert read_answer(200, b"{}", headers).rate == RateHeaders(2400, -3, 60.5)


@given(status=st.integers(200, 599), body=st.binary(max_size=60), pageview=st.booleans())
def test_no_bytes_crash_the_reader(status: int, body: bytes, pageview: bool) -> None:
    """Whatever comes back is an answer."""
    found = read_answer(status, body, {}, pageview=pageview)
    assert isinstance(found, Accepted | Failed)


_TEXTS = st.text(st.sampled_from("ae\ud83d\ude00\xe9"), max_size=3)


@given(
    st.dictionaries(_TEXTS, _TEXTS),
    st.sampled_from(["utf-8", "utf-16-le", "utf-32-be"]),
    st.booleans(),
)
def test_what_is_read_of_a_reply_is_clean_however_it_is_encoded(
    table: dict[str, str], encoding: str, escaped: bool
) -> None:
    """Most replies need no cleaning, and are not looked through for it: that must not miss one that does."""
    body = json.dumps({"vars": table}, ensure_ascii=escaped).encode(encoding, "surrogatepass")
    found = read_answer(200, body, {})
    assert isinstance(found, Accepted)
    json.dumps(found.body, ensure_ascii=False).encode()
    assert len(found.body["vars"]) == len(table)


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
    assert isinstance(refused, Failed)
    assert refused.message == "Invalid title \ufffd"


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"ok":true,"deep":' + b"[" * 300 + b"]" * 300 + b"}",
        b'{"error":' + b"9" * 5000 + b"}",
        b'{"error":"' + b"9" * 5000 + b'"}',
        b'{"error":1e999}',
    ],
)
def test_hostile_json_is_an_answer_too(body: bytes) -> None:
    """Deep nesting and giant numbers overflow parsers."""
    found = read_answer(200, body, {})
    assert isinstance(found, Failed)
    assert (found.failure, found.code) == (Failure.UNAVAILABLE, None)


def test_a_number_that_nothing_can_hold_is_left_as_its_text() -> None:
    """The call was accepted all the same; an infinite price could not be sent back with its cart."""
    body = b'{"ok":true,"a":[1e999,-1e999,NaN,%s],"b":[1.5,%s]}' % (b"9" * 5000, b"9" * 300)
    found = read_answer(200, body, {})
    assert isinstance(found, Accepted)
    assert found.body["a"] == ["1e999", "-1e999", "NaN", "9" * 5000]
    assert found.body["b"] == [1.5, 10**300 - 1]
    json.dumps(found.body, allow_nan=False)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{}", None),
        (b"[]", None),
        (b'{"message":"bad url"}', Failure.REJECTED),
        (b'{"contentHash":"x', Failure.UNAVAILABLE),
        (b"", Failure.UNAVAILABLE),
    ],
)
def test_a_reply_that_broke_off_is_read_if_what_came_is_whole(
    body: bytes, expected: Failure | None
) -> None:
    """An object that has its end is all there is to it. No body at all is no success then."""
    found = read_answer(200, body, {}, pageview=True, broken="ClientPayloadError")
    assert (found.failure if isinstance(found, Failed) else None) is expected
    if isinstance(found, Failed) and expected is Failure.UNAVAILABLE:
        assert found.message == "HTTP 200, ClientPayloadError"
