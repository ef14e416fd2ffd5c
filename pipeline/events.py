"""Segment-style events, read from their raw bytes.

The models are lenient where Segment's own SDKs differ (null means absent, numeric ids become
strings, unknown fields are kept out of the way) and strict where a wrong guess would reach
Sailthru. The raw bytes are never changed; they travel beside the parsed event to the very end.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Literal

import pydantic_core
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from pipeline.errors import InvalidEvent, Reason

MAX_EVENT_BYTES = 32 * 1024
"""Segment's limit for one event (reference: HTTP Tracking API, 32 KB)."""
MAX_ID_CHARS = 512
"""Longer ids are refused: no real one is, and they would become Redis keys."""

_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,255}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Lane(StrEnum):
    """Where an event waits. Each lane has its own Celery queue and rate limits."""

    USER = "user"
    EVENT = "event"
    PURCHASE = "purchase"
    PAGE = "page"


def _clean_id(value: object) -> object:
    """Null and blank mean absent; numbers are what some SDKs send for ids."""
    if value is None or isinstance(value, bool):
        if value is None:
            return None
        msg = "must be a string"
        raise ValueError(msg)
    if isinstance(value, int):
        value = str(value)
    if not isinstance(value, str):
        msg = "must be a string"
        raise ValueError(msg)
    if len(value) > MAX_ID_CHARS:
        msg = f"is longer than {MAX_ID_CHARS} characters"
        raise ValueError(msg)
    if _CONTROL.search(value):
        msg = "contains a control character"
        raise ValueError(msg)
    return value.strip() or None


def _none_as_empty(value: object) -> object:
    return {} if value is None else value


Id = Annotated[str | None, BeforeValidator(_clean_id)]
Object = Annotated[dict[str, Any], BeforeValidator(_none_as_empty)]


class _Common(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True
    )

    message_id: Id = None
    user_id: Id = None
    anonymous_id: Id = None
    timestamp: Any = None
    context: Object = Field(default_factory=dict)
    integrations: Object = Field(default_factory=dict)

    @property
    def email(self) -> str | None:
        """The first well-formed email where Segment's SDKs put one, as it was written."""
        for place in self._email_places():
            found = place.get("email") if isinstance(place, dict) else None
            if isinstance(found, str) and is_email(found.strip()):
                return found.strip()
        return None

    def _email_places(self) -> tuple[object, ...]:
        return (
            getattr(self, "traits", None),
            self.context.get("traits"),
            getattr(self, "properties", None),
        )


class Identify(_Common):
    type: Literal["identify"] = "identify"
    traits: Object = Field(default_factory=dict)


class Track(_Common):
    type: Literal["track"] = "track"
    event: Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS)]
    properties: Object = Field(default_factory=dict)


class Page(_Common):
    type: Literal["page"] = "page"
    name: str | None = None
    category: str | None = None
    properties: Object = Field(default_factory=dict)


class Screen(_Common):
    type: Literal["screen"] = "screen"
    name: str | None = None
    category: str | None = None
    properties: Object = Field(default_factory=dict)


class Group(_Common):
    type: Literal["group"] = "group"
    group_id: Id = None
    traits: Object = Field(default_factory=dict)


class Alias(_Common):
    type: Literal["alias"] = "alias"
    previous_id: Id = None


Event = Annotated[Identify | Track | Page | Screen | Group | Alias, Field(discriminator="type")]
_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)


def is_email(text: str) -> bool:
    """Whether Sailthru could take this for an address: shape only, nothing is looked up."""
    return _EMAIL.fullmatch(text) is not None


def parse_event(raw: bytes) -> Event:
    """Read one event from its raw bytes.

    Raises:
        InvalidEvent: with reason too_large, invalid_json, invalid_event or missing_user_id; its
            detail names fields and rules, never values.
    """
    if len(raw) > MAX_EVENT_BYTES:
        raise InvalidEvent(Reason.TOO_LARGE, f"{len(raw)} bytes; the limit is {MAX_EVENT_BYTES}")
    try:
        data = pydantic_core.from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidEvent(Reason.INVALID_JSON, str(error)) from None
    if not isinstance(data, dict):
        raise InvalidEvent(Reason.INVALID_EVENT, "the event is not a JSON object")
    return validate_event(data)


def validate_event(data: dict[str, Any]) -> Event:
    """Check one event that is already a dict. Raises InvalidEvent as `parse_event` does."""
    try:
        event = _ADAPTER.validate_python(data)
    except ValidationError as error:
        raise InvalidEvent(Reason.INVALID_EVENT, _explain(error)) from None
    if not (event.user_id or event.anonymous_id or event.email):
        raise InvalidEvent(Reason.MISSING_USER_ID, "no userId, anonymousId or email")
    return event


def _explain(error: ValidationError) -> str:
    """Name each wrong field and its rule; pydantic's own text would quote the value."""
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in problem["loc"]) or "event"
        what = problem["type"] if "input" in problem["msg"].lower() else problem["msg"]
        lines.append(f"{where}: {what}")
    return "; ".join(lines[:5])
