"""What Sailthru's replies mean, by status *and* body: it sends some errors with HTTP 200.

A refusal counts only when it comes from Sailthru. The API answers in one form: JSON with a
numeric `error`, an `errormsg`, or both. Whatever else is no success (a proxy's page, a gateway's
`{"error": "Forbidden"}`, half a body) says nothing about the event, so it is an outage (reference:
sailthru-api 4).

The pageview host has no documented errors, but its own tag takes a reply with `message` for one
(reference: sailthru-api 2.4), and many gateways say no with a `message` as well. The status tells
them apart: a service says what is wrong with a request by 2xx, 400 or 422, and that it does not
know the customer by 401. A gateway says 403, 404, 405, 407, 409 ... with the same words to all
requests, so these are outages: a page view that is refused like this in fact is given up when its
retries are used up, not at once.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from pipeline.sailthru.masking import mask
from pipeline.text import clean_json

RATE_HEADERS = ("x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset")
"""The headers that are read, in lower case (reference: sailthru-api 3)."""
_THROTTLED_CODE = 43
_OUTAGE_CODE = 9
_BAD_ADDRESS_CODE = 11
_ACCOUNT_CODES = frozenset({3, 4, 5, 21, 22})
_HIGHEST_CODE = 99
"""Beyond it a numeric `error` that stands alone is an HTTP status, as some gateways write it."""
_PAGEVIEW_NO = frozenset({400, 401, 422})
_MAX_DEPTH = 200
"""Of nested lists and objects, as in events: what is read of a reply may be sent back."""
_MAX_DIGITS = 300
"""A whole number with more overflows a float, and with some more Python's own int()."""
_NOTHING: tuple[object, ...] = (None, False, 0, "", "0", [], {})
"""What a reply without an error may have in `error` all the same."""
_RATE_NUMBER = re.compile(r"-?[0-9]{1,10}(\.[0-9]{1,6})?")


class Failure(StrEnum):
    """Why a call was not accepted; each calls for a different reaction."""

    THROTTLED = "throttled"  # past the limit: wait for the reset
    UNAVAILABLE = "unavailable"  # outage or network: try again later
    MISCONFIGURED = "misconfigured"  # key, secret, address or plan: no call can succeed
    USER_NOT_FOUND = "user_not_found"  # there is no such profile (yet)
    REJECTED = "rejected"  # any other no: repeating it is pointless


@dataclass(frozen=True, slots=True)
class RateHeaders:
    """X-Rate-Limit-* of one answer: calls a minute, calls left in it, Unix second at which it ends
    (reference: sailthru-api 3)."""

    limit: int
    remaining: int
    reset: float


@dataclass(frozen=True, slots=True)
class Accepted:
    """Sailthru took the call. `duration_s` runs from before connecting to the last byte."""

    status: int
    body: Mapping[str, Any]
    rate: RateHeaders | None = None
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Failed:
    """The call failed.

    status: HTTP status, or None when no reply was read.
    code: Sailthru's error code, or None.
    message: safe to log and to group by: emails, ids and quoted values are masked.
    ambiguous: Sailthru may have processed the call all the same.
    """

    failure: Failure
    status: int | None
    code: int | None
    message: str
    ambiguous: bool = False
    rate: RateHeaders | None = None
    duration_s: float = 0.0

    @property
    def is_bad_address(self) -> bool:
        """Whether Sailthru refuses the email in the call (reference: sailthru-api 4)."""
        return self.failure is Failure.REJECTED and self.code == _BAD_ADDRESS_CODE


Answer: TypeAlias = Accepted | Failed


def read_answer(
    status: int,
    body: bytes,
    headers: Mapping[str, str],
    *,
    pageview: bool = False,
    broken: str | None = None,
) -> Answer:
    """Say what one reply means.

    broken: why the body may not be whole, if so. What is cut off an object or a list is no JSON, so a
    body that can be read counts all the same.

    An outage is always `ambiguous` here; the client, which knows that it only read, clears that.
    """
    rate = read_rate(headers)
    parsed = _parse(body, allow_empty=pageview and broken is None)
    own = parsed is not None and _is_sailthrus_no(status, parsed, pageview=pageview)
    if status == 429:
        return _failed(Failure.THROTTLED, status, parsed if own else None, rate)
    if parsed is None:
        return _outage(status, broken or "unreadable body", rate)
    if own:
        return _failed(_classify(status, parsed), status, parsed, rate)
    if 200 <= status < 300 and not _complains(parsed, pageview=pageview):
        return Accepted(status, parsed, rate)
    return _outage(status, "not an answer of Sailthru's", rate)


def read_rate(headers: Mapping[str, str]) -> RateHeaders | None:
    """Read the X-Rate-Limit headers, in any letter case; None unless all three make sense."""
    lowered = {name.lower(): value.strip() for name, value in headers.items()}
    values = [lowered.get(name, "") for name in RATE_HEADERS]
    if not all(_RATE_NUMBER.fullmatch(value) for value in values):
        return None
    limit, remaining, reset = (float(value) for value in values)
    return RateHeaders(int(limit), int(remaining), reset) if limit >= 1 else None


def _parse(body: bytes, *, allow_empty: bool) -> dict[str, Any] | None:
    """The reply as an object; PHP writes an empty one as `[]`. None when it is unreadable.

    All that is read of a reply comes from here, and with it our calls, dead letters and gates: its text
    is cleaned once and for all, and a number too large for any of them is left as the text it was.
    """
    if not body.strip() and allow_empty:
        return {}
    try:
        parsed = json.loads(body, parse_float=_float, parse_int=_int, parse_constant=str)
        if not _is_clean(body):
            parsed = clean_json(parsed, deepest=_MAX_DEPTH)
    except (ValueError, RecursionError):
        return None
    if isinstance(parsed, dict):
        return parsed
    return {} if parsed is None or parsed == [] else None


def _is_clean(body: bytes) -> bool:
    """Whether nothing in this JSON can need cleaning: no text beyond ASCII, no escape that could stand for
    one, no nesting that could be too deep. JSON of more than one byte a character has zeros in it."""
    plain = body.isascii() and b"\\u" not in body and b"\0" not in body
    return plain and body.count(b"[") + body.count(b"{") <= _MAX_DEPTH


def _float(literal: str) -> float | str:
    value = float(literal)
    return value if math.isfinite(value) else literal


def _int(literal: str) -> int | str:
    return int(literal) if len(literal) <= _MAX_DIGITS else literal


def _is_sailthrus_no(status: int, body: Mapping[str, Any], *, pageview: bool) -> bool:
    """Whether this is a refusal in the words of the host that was called."""
    code = _code(body)
    if _text(body, "errormsg") or (code is not None and 0 < code <= _HIGHEST_CODE):
        return True
    by_service = 200 <= status < 300 or status in _PAGEVIEW_NO
    return pageview and by_service and bool(_text(body, "message"))


def _complains(body: Mapping[str, Any], *, pageview: bool) -> bool:
    """Whether a body reports no success, no matter which server wrote it."""
    names = ("error", "errors", "errormsg", *(("message",) if pageview else ()))
    says_no = any(body.get(name) not in _NOTHING for name in names)
    return says_no or any(name in body and not body[name] for name in ("ok", "success"))


def _classify(status: int, body: Mapping[str, Any]) -> Failure:
    code = _code(body)
    if code == _THROTTLED_CODE:
        return Failure.THROTTLED
    if code in _ACCOUNT_CODES or (status == 401 and not code):
        return Failure.MISCONFIGURED
    if _text(body, "errormsg").lower().startswith("user not found with"):
        return Failure.USER_NOT_FOUND
    is_refusal = 200 <= status < 300 or (400 <= status < 500 and status != 408)
    return Failure.REJECTED if is_refusal and code != _OUTAGE_CODE else Failure.UNAVAILABLE


def _failed(
    failure: Failure, status: int, body: Mapping[str, Any] | None, rate: RateHeaders | None
) -> Failed:
    return Failed(
        failure=failure,
        status=status,
        code=_code(body or {}),
        message=_message(status, body or {}),
        ambiguous=failure is Failure.UNAVAILABLE,
        rate=rate,
    )


def _outage(status: int, what: str, rate: RateHeaders | None) -> Failed:
    """Quotes nothing of the reply: a gateway's may show the URL, and with it key and signature."""
    message = f"HTTP {status}, {what}"
    return Failed(Failure.UNAVAILABLE, status, None, message, ambiguous=True, rate=rate)


def _code(body: Mapping[str, Any]) -> int | None:
    """The error code; some clients have seen it as a string."""
    code = body.get("error")
    if isinstance(code, bool) or not isinstance(code, int | float | str):
        return None
    literal = str(int(code)) if isinstance(code, float) and code.is_integer() else str(code)
    return int(literal) if re.fullmatch(r"[0-9]{1,4}", literal.strip()) else None


def _message(status: int, body: Mapping[str, Any]) -> str:
    text = _text(body, "errormsg") or _text(body, "message")
    return mask(text) if text else f"HTTP {status}"


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    return value.strip() if isinstance(value, str) else ""
