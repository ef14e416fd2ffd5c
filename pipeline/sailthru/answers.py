"""What Sailthru's replies mean, by status *and* body: it sends some errors with HTTP 200.

A refusal counts only when it is Sailthru that speaks, in JSON with `error` or `errormsg`. Anything
else that isn't a success (a proxy's HTML page, half a body) says nothing about the event, so it is
an outage (reference: sailthru-api 4).
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

_THROTTLED_CODE = 43
_OUTAGE_CODE = 9
_ACCOUNT_CODES = frozenset({3, 4, 5, 21, 22})


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
class Refused:
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


Answer: TypeAlias = Accepted | Refused


def read_answer(
    status: int, body: bytes, headers: Mapping[str, str], *, pageview: bool = False
) -> Answer:
    """Say what one reply means.

    An outage is always `ambiguous` here; the client, which knows that it only read, clears that.
    """
    rate = read_rate(headers)
    parsed = _parse(body, allow_empty=pageview)
    if status == 429:
        return _refused(Failure.THROTTLED, status, parsed, rate)
    if parsed is None:
        return _outage(status, "unreadable body", rate)
    complaint = "message" if pageview else "errormsg"
    if _complains(parsed, complaint):
        failure = _classify(status, parsed, pageview=pageview)
        return _refused(failure, status, parsed, rate)
    if 200 <= status < 300:
        return Accepted(status, parsed, rate)
    return _outage(status, "no error code in the body", rate)


def read_rate(headers: Mapping[str, str]) -> RateHeaders | None:
    """Read the X-Rate-Limit headers, in any letter case; None unless all three make sense."""
    lowered = {name.lower(): value for name, value in headers.items()}
    try:
        rate = RateHeaders(
            limit=int(lowered["x-rate-limit-limit"]),
            remaining=int(lowered["x-rate-limit-remaining"]),
            reset=float(lowered["x-rate-limit-reset"]),
        )
    except (KeyError, ValueError):
        return None
    return rate if rate.limit > 0 and math.isfinite(rate.reset) else None


def _parse(body: bytes, *, allow_empty: bool) -> dict[str, Any] | None:
    """The reply as an object; PHP writes an empty one as `[]`. None when it is unreadable.

    All that is read of a reply comes from here, and with it our calls, dead letters and gates: its text
    is cleaned once and for all.
    """
    if not body.strip() and allow_empty:
        return {}
    try:
        parsed = clean_json(json.loads(body))
    except (ValueError, RecursionError):
        return None
    if isinstance(parsed, dict):
        return parsed
    return {} if parsed is None or parsed == [] else None


def _complains(body: Mapping[str, Any], complaint: str) -> bool:
    return bool(body.get("error") or body.get(complaint)) or body.get("ok") is False


def _classify(status: int, body: Mapping[str, Any], *, pageview: bool) -> Failure:
    code = _code(body)
    message = str(body.get("errormsg") or "").strip().lower()
    if code == _THROTTLED_CODE:
        return Failure.THROTTLED
    if code in _ACCOUNT_CODES or (status == 401 and (pageview or code is None)):
        return Failure.MISCONFIGURED
    if message.startswith("user not found with"):
        return Failure.USER_NOT_FOUND
    if code == _OUTAGE_CODE or status >= 500 or 300 <= status < 400 or status == 408:
        return Failure.UNAVAILABLE
    return Failure.REJECTED


def _refused(
    failure: Failure, status: int, body: Mapping[str, Any] | None, rate: RateHeaders | None
) -> Refused:
    return Refused(
        failure=failure,
        status=status,
        code=_code(body or {}),
        message=_message(status, body or {}),
        ambiguous=failure is Failure.UNAVAILABLE,
        rate=rate,
    )


def _outage(status: int, what: str, rate: RateHeaders | None) -> Refused:
    message = f"HTTP {status}, {what}"
    return Refused(Failure.UNAVAILABLE, status, None, message, ambiguous=True, rate=rate)


def _code(body: Mapping[str, Any]) -> int | None:
    """The error code; some clients have seen it as a string."""
    code = body.get("error")
    if isinstance(code, str) and re.fullmatch(r"[0-9]{1,4}", code):
        return int(code)
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _message(status: int, body: Mapping[str, Any]) -> str:
    for name in ("errormsg", "message", "error"):
        text = body.get(name)
        if isinstance(text, str) and text.strip():
            return mask(text)
    return f"HTTP {status}"
