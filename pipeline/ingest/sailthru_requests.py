"""From a request in the form of Sailthru's API to a call whose signature is right, and to the event it becomes. No I/O.

Reference: sailthru-api 1, 2 and 4. Refusals are in Sailthru's own form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import pydantic_core

from pipeline.errors import InvalidEvent, MappingRejected, Reason, Unreadable
from pipeline.events.models import NativeCall, parse_event
from pipeline.json_text import read_json
from pipeline.mapping.native import EMAIL_RULE, plan_native
from pipeline.mapping.plan import PlanContext
from pipeline.sailthru.signing import is_signed
from pipeline.settings import Settings

MAX_FIELDS = 100
"""Of a form. A call has four or five."""
REQUIRED = ("api_key", "format", "json", "sig")

MISSING, BAD_KEY, BAD_SIGNATURE, BAD_UTF8, UNAVAILABLE, BAD_EMAIL, OTHER = 2, 3, 5, 6, 9, 11, 99
UNSUPPORTED = 1
"""Sailthru's error codes."""


class ApiError(Exception):
    """A request is refused as Sailthru does it. `message` quotes no values; `retry_after_s` says when to come again."""

    def __init__(
        self, status: int, code: int, message: str, retry_after_s: float | None = None
    ) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s


class Grantor(NamedTuple):
    """What an API key of ours says: which account it is, and the secrets that may sign with it."""

    account: str
    secrets: tuple[str, ...]


class SignedCall(NamedTuple):
    """A call whose signature is right. text: its JSON as it came, of which `params` was read."""

    account: str
    params: dict[str, Any]
    text: str
    reply_format: str


def api_keys(settings: Settings) -> dict[str, Grantor]:
    """By API key. While a key or secret is being changed, both that are listed are good."""
    found: dict[str, Grantor] = {}
    for name, account in settings.accounts.items():
        for key, secret in account.credentials:
            known = found.get(key, Grantor(name, ()))
            found[key] = known._replace(secrets=(*known.secrets, secret))
    return found


def read_fields(form: bytes) -> dict[str, str]:
    """The fields of a form or query, the last of each name. Raises ApiError: 6 where it is no UTF-8."""
    try:
        pairs = parse_qsl(
            form.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except UnicodeDecodeError:
        raise ApiError(400, BAD_UTF8, "Invalid UTF-8") from None
    except ValueError:
        raise ApiError(400, OTHER, f"More than {MAX_FIELDS} parameters") from None
    return dict(pairs)


def read_call(fields: Mapping[str, str], keys: Mapping[str, Grantor]) -> SignedCall:
    """The call that these fields are.

    Raises:
        ApiError: 2 for what is missing, 3 for the key, 5 for the signature, 99 for JSON that is no object.
    """
    for name in REQUIRED:
        if not fields.get(name):
            raise missing(name)
    grantor = keys.get(fields["api_key"])
    if grantor is None:
        raise ApiError(401, BAD_KEY, "Invalid API key")
    # All are tried, so that the time it takes tells nothing.
    if not any([is_signed(fields, secret) for secret in grantor.secrets]):  # noqa: C419
        raise ApiError(401, BAD_SIGNATURE, "Signature hash does not match")
    return SignedCall(
        grantor.account, _object(fields["json"]), fields["json"], fields["format"].lower()
    )


def native_event(endpoint: str, params: Mapping[str, Any], message_id: str, now: float) -> bytes:
    """The event that a call becomes, as it goes into the raw stream.

    Raises:
        ApiError: Sailthru would refuse it for certain, or it is larger than an event may be.
    """
    fields = {"type": "sailthru", "endpoint": endpoint, "params": params, "messageId": message_id}
    raw = pydantic_core.to_json(fields)
    try:
        event = parse_event(raw)
        assert isinstance(event, NativeCall)  # noqa: S101 - its type was written above
        plan_native(event, PlanContext(now=now))
    except (InvalidEvent, MappingRejected) as error:
        raise _refusal(error, endpoint) from None
    return raw


def missing(name: str) -> ApiError:
    """The refusal of a call without this parameter."""
    return ApiError(400, MISSING, f"Missing required parameter: {name}")


def _object(text: str) -> dict[str, Any]:
    """PHP writes an empty object as []."""
    try:
        found = read_json(text.encode())
    except ValueError as error:
        raise ApiError(400, OTHER, f"Invalid JSON: {error}") from None
    if found == []:
        return {}
    if not isinstance(found, dict):
        raise ApiError(400, OTHER, "Invalid JSON: it is no object")
    return found


def _refusal(error: InvalidEvent | MappingRejected, endpoint: str) -> ApiError:
    if error.reason is Reason.TOO_LARGE:
        return ApiError(413, OTHER, f"Too large: {error.detail}")
    if error.reason is Reason.MISSING_USER_ID:
        return missing("id" if endpoint in ("/event", "/user") else "email")
    if isinstance(error, Unreadable) and error.problem == EMAIL_RULE:
        return ApiError(400, BAD_EMAIL, "Invalid email")
    if isinstance(error, Unreadable) and error.problem == "is missing":
        return missing(error.path.removeprefix("params."))
    return ApiError(400, OTHER, error.detail)
