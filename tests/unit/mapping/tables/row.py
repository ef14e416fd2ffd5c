"""One row: an event, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import Reason
from pipeline.lanes import PAGEVIEW_ENDPOINT

JSON = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """says: the rule as a sentence. event: the input, `messageId` left out where it doesn't matter.

    profile: what GET /user answers; None when Sailthru does not know the user.
    calls: what is sent, look-ups included; or else `ignored`, or `refused` with words of its detail.
    notes: path -> problem of what the call leaves out.
    """

    says: str
    event: JSON
    calls: tuple[JSON, ...] = ()
    ignored: str | None = None
    refused: tuple[Reason, str] | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    profile: JSON | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """All rows about one kind of event, with what a reader should know first."""

    title: str
    intro: str
    rows: tuple[Row, ...]


def call(method: str, endpoint: str, params: JSON) -> JSON:
    """A call as `sailpipe map` shows it."""
    return {"method": method, "endpoint": endpoint, "params": params}


def lookup(name: str, *fields: str, key: str = "extid") -> JSON:
    """GET /user by extid, or by another key."""
    params = {"id": name, "key": key, "fields": dict.fromkeys(fields, 1)}
    return call("GET", "/user", params)


def post_user(**params: object) -> JSON:
    """POST /user."""
    return call("POST", "/user", params)


def post_event(**params: object) -> JSON:
    """POST /event."""
    return call("POST", "/event", params)


def post_purchase(**params: object) -> JSON:
    """POST /purchase."""
    return call("POST", "/purchase", params)


def post_return(**params: object) -> JSON:
    """POST /return."""
    return call("POST", "/return", params)


def pageview(**params: object) -> JSON:
    """POST to the pageview endpoint."""
    return call("POST", PAGEVIEW_ENDPOINT, params)


def identify(**fields: object) -> JSON:
    """An identify by `userId: u1`."""
    return {"type": "identify", "userId": "u1", **fields}


def track(name: str, properties: JSON | None = None, **fields: object) -> JSON:
    """A track by `userId: u1`."""
    return {"type": "track", "event": name, "userId": "u1", **_given(properties), **fields}


def page(properties: JSON | None = None, **fields: object) -> JSON:
    """A page by `userId: u1`."""
    return {"type": "page", "userId": "u1", **_given(properties), **fields}


def options(**values: object) -> JSON:
    """The integrations object with options for Sailthru."""
    return {"Sailthru": values}


def with_email(email: str = "a@example.com") -> JSON:
    """A context that shows an email."""
    return {"traits": {"email": email}}


def _given(properties: JSON | None) -> JSON:
    return {} if properties is None else {"properties": properties}
