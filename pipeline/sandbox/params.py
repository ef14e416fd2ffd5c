"""Reads a call's parameters as leniently as PHP does: `[]` and null are empty objects, ids may be numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipeline.sandbox.profiles import KEYS, canonical
from pipeline.sandbox.replies import BAD_EMAIL, ApiError, invalid, missing

MAX_VAR_NAME = 32
"""Longer names are refused with error 99 (reference: sailthru-api 5)."""

_LOCAL = r"(?!\.)(?:[^@\s.]|\.(?![.@]))+"
_EMAIL = re.compile(_LOCAL + r"@(?:[^@\s.]+\.)+(?!\d+$)[^@\s.]{2,}")
"""No dot at an edge or beside another one, and a last label that may be one: a half-typed `.c` is none."""


def text(params: Mapping[str, Any], name: str) -> str:
    """A required string; a number counts. Refuses with error 2."""
    value = params.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise missing(name)
    return value


def mapping(params: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An optional object. Refuses with error 99."""
    value = params.get(name)
    if value is None or value == []:
        return {}
    if not isinstance(value, dict):
        raise invalid(f"{name} must be an object")
    return value


def email(value: str) -> str:
    """An address as it is stored. Refuses with error 11."""
    found = canonical("email", value)
    if not _EMAIL.fullmatch(found):
        raise ApiError(400, BAD_EMAIL, f"Invalid email: {value}")
    return found


def user_key(params: Mapping[str, Any]) -> tuple[str, str]:
    """`id` and what kind of id it is; without `key`, what it looks like."""
    value = text(params, "id")
    key = params.get("key") or ("email" if "@" in value else "sid")
    if key not in KEYS:
        raise invalid(f"Unknown key {key}")
    return key, email(value) if key == "email" else value


def user_vars(params: Mapping[str, Any]) -> dict[str, Any]:
    """`vars`, every name short enough."""
    found = mapping(params, "vars")
    if any(len(name) > MAX_VAR_NAME for name in found):
        raise invalid(f"Var names must not be longer than {MAX_VAR_NAME} characters")
    return found


def flag(value: object) -> bool:
    """Sailthru's booleans: true, 1 or "1"."""
    return value in (True, 1, "1", "true")


def describe_user(params: Mapping[str, Any]) -> str:
    """Whom a call is about, `extid:42`, for the call log and for faults of one user."""
    if params.get("email"):
        return f"email:{canonical('email', str(params['email']))}"
    if params.get("userIdValue"):
        return f"{params.get('userIdKey', 'hid')}:{params['userIdValue']}"
    if "id" in params:
        value = str(params["id"])
        key = str(params.get("key") or ("email" if "@" in value else "sid"))
        return f"{key}:{canonical(key, value)}"
    return ""
