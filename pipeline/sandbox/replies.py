"""Replies and refusals in Sailthru's words (reference: sailthru-api 4)."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any, NamedTuple

BAD_KEY = 3
MISSING = 2
UNSUPPORTED = 1
BAD_SIGNATURE = 5
BAD_UTF8 = 6
INTERNAL = 9
BAD_EMAIL = 11
TOO_MANY = 43
OTHER = 99


class Reply(NamedTuple):
    """An HTTP status and the JSON object sent with it."""

    status: int
    body: dict[str, Any]


class ApiError(Exception):
    """Sailthru says no: raised by an endpoint, turned into its reply in one place."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.reply = Reply(status, {"error": code, "errormsg": message})


def missing(name: str) -> ApiError:
    """A required parameter isn't there."""
    return ApiError(400, MISSING, f"Missing required parameter: {name}")


def invalid(message: str) -> ApiError:
    """Anything without a code of its own."""
    return ApiError(400, OTHER, message)


def user_not_found(key: str, value: str) -> ApiError:
    """No profile has this key (reference: HTTP 400, "User not found with ...")."""
    return ApiError(400, OTHER, f"User not found with {key}: {value}")


_EASTERN = timezone(timedelta(hours=-5))


def rfc2822(when: float) -> str:
    """Unix seconds as Sailthru writes dates: RFC 2822 with an offset, New York's winter one."""
    return format_datetime(datetime.fromtimestamp(when, _EASTERN))
