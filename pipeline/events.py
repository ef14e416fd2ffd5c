"""Segment-style events, read from their raw bytes.

The models are lenient where Segment's own SDKs differ (null means absent, numeric ids become
strings, unknown fields are kept out of the way) and strict where a wrong guess would reach
Sailthru. The raw bytes are never changed; they travel beside the parsed event to the very end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import pydantic_core
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
)
from pydantic.alias_generators import to_camel

from pipeline.errors import InvalidEvent, Reason

MAX_EVENT_BYTES = 32 * 1024
"""Segment's limit for one event (reference: HTTP Tracking API, 32 KB)."""
DOOR_BYTES = 256
"""What a door may add to an event that was within the limit: receivedAt, a messageId."""
MAX_ID_CHARS = 512
"""Longer ids are refused: no real one is, and they would become Redis keys."""

FIRST_YEAR, LAST_YEAR = 1971, 2199
"""Times outside of these are a client's mistake."""

_EMAIL_CHAR = r"[^@\s\x00-\x1f\x7f\ud800-\udfff]"
_EMAIL = re.compile(f"{_EMAIL_CHAR}{{1,64}}@{_EMAIL_CHAR}{{1,255}}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Lane(StrEnum):
    """Where an event waits. Each lane has its own Celery queue and rate limits."""

    USER = "user"
    EVENT = "event"
    PURCHASE = "purchase"
    PAGE = "page"


def _clean_id(value: object) -> object:
    """Null and blank mean absent; whole numbers are what some SDKs send for ids."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 64:
        return str(value)
    if not isinstance(value, str):
        msg = "must be a string"
        raise ValueError(msg)  # noqa: TRY004 - pydantic turns a ValueError into its own error
    if len(value) > MAX_ID_CHARS:
        msg = f"is longer than {MAX_ID_CHARS} characters"
        raise ValueError(msg)
    if _CONTROL.search(value):
        msg = "contains a control character"
        raise ValueError(msg)
    return value.strip() or None


def _none_as_empty(value: object) -> object:
    """PHP's SDK writes an empty object as []."""
    return {} if value is None or value == [] else value


def _not_blank(value: str) -> str:
    if not value.strip():
        msg = "must not be blank"
        raise ValueError(msg)
    return value


def _required(value: str | None) -> str:
    if value is None:
        msg = "must be a string"
        raise ValueError(msg)
    return value


Id = Annotated[str | None, BeforeValidator(_clean_id)]
RequiredId = Annotated[str | None, BeforeValidator(_clean_id), AfterValidator(_required)]
"""Present in what a client sends; later it may be taken away from an event as nobody's."""
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
    traits: Object = Field(default_factory=dict)
    properties: Object = Field(default_factory=dict)
    _has_id: bool = PrivateAttr(default=False)

    def model_post_init(self, context: Any, /) -> None:
        """Remember whether it came with an id: shared ids are taken away from it later."""
        self._has_id = bool(self.user_id or self.anonymous_id)

    @property
    def has_id(self) -> bool:
        """Whether it came with a userId or anonymousId, be it one that several people share."""
        return self._has_id

    @property
    def any_email(self) -> str | None:
        """The first well-formed email anywhere: it may be anybody's (see `pipeline.emails`).

        In this order: traits, context.traits, properties, properties.traits, context.
        """
        nested = self.properties.get("traits")
        places = (self.traits, self.context.get("traits"), self.properties, nested, self.context)
        return next((found for place in places if (found := email_in(place))), None)

    @property
    def page_url(self) -> str | None:
        """context.page.url, unless it is blank or no text."""
        page = self.context.get("page")
        url = page.get("url") if isinstance(page, Mapping) else None
        return url.strip() or None if isinstance(url, str) else None

    @property
    def occurred_at(self) -> datetime | None:
        """`timestamp` with its own offset (none means UTC); None when it isn't ISO 8601 or when
        its year is no year of an event. SDKs send 0 to 9 digits of a second."""
        if not isinstance(self.timestamp, str):
            return None
        try:
            at = datetime.fromisoformat(self.timestamp.strip())
        except ValueError:
            return None
        if not FIRST_YEAR <= at.year <= LAST_YEAR:
            return None
        return at if at.tzinfo else at.replace(tzinfo=UTC)


class Identify(_Common):
    """Who a user is: traits, and maybe both of their ids."""

    type: Literal["identify"] = "identify"


class Track(_Common):
    """Something a user did. `event` must be a string (discard codes event_not_defined/string)."""

    type: Literal["track"] = "track"
    event: Annotated[str, Field(max_length=MAX_ID_CHARS), AfterValidator(_not_blank)]


class Page(_Common):
    """A page was seen. `name` and `category` must be strings (name_not_string, ...)."""

    type: Literal["page"] = "page"
    name: str | None = None
    category: str | None = None


class Screen(_Common):
    """A screen of an app was seen; same fields as Page."""

    type: Literal["screen"] = "screen"
    name: str | None = None
    category: str | None = None


class Group(_Common):
    """A user belongs to a group."""

    type: Literal["group"] = "group"
    group_id: RequiredId


class Alias(_Common):
    """`previous_id` and `user_id` are the same person."""

    type: Literal["alias"] = "alias"
    previous_id: RequiredId
    user_id: RequiredId


Event = Annotated[Identify | Track | Page | Screen | Group | Alias, Field(discriminator="type")]
_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)


def is_email(text: str) -> bool:
    """Whether Sailthru could take this for an address: shape only, nothing is looked up."""
    return _EMAIL.fullmatch(text) is not None


def looks_deliverable(text: str) -> bool:
    """Whether it is an address with a dot in its domain: `42@facebook` is an id of another kind."""
    return is_email(text) and "." in text.rpartition("@")[2].strip(".")


def email_in(place: object) -> str | None:
    """`email` of an object, trimmed; None when it is no email, or the place no object."""
    found = place.get("email") if isinstance(place, Mapping) else None
    return found.strip() if isinstance(found, str) and is_email(found.strip()) else None


def parse_event(raw: bytes) -> Event:
    """Read one event from its raw bytes.

    Raises:
        InvalidEvent: with reason too_large, invalid_json, invalid_event or missing_user_id; its
            detail names fields and rules, never values.
    """
    if len(raw) > MAX_EVENT_BYTES + DOOR_BYTES:
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
    if not (event.user_id or event.anonymous_id or event.any_email):
        raise InvalidEvent(Reason.MISSING_USER_ID, "no userId, anonymousId or email")
    return event


_RULES = {
    "missing": "is missing",
    "string_type": "must be a string",
    "string_too_long": f"is longer than {MAX_ID_CHARS} characters",
    "string_unicode": "must be valid Unicode",
    "dict_type": "must be an object",
    "union_tag_not_found": "is missing",
    "union_tag_invalid": "must be identify, track, page, screen, group or alias",
}


def _explain(error: ValidationError) -> str:
    """Name each wrong field and its rule; pydantic's own text would quote the value."""
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in problem["loc"][1:]) or "type"
        own = problem["msg"].removeprefix("Value error, ")
        rule = own if problem["type"] == "value_error" else problem["type"]
        lines.append(f"{where}: {_RULES.get(rule, rule)}")
    return "; ".join(lines[:5])
