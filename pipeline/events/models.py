"""Segment-style events, read from their raw bytes.

The models are lenient where Segment's own SDKs differ (null means absent, numeric ids become
strings, unknown fields are kept out of the way) and strict where a wrong guess would reach
Sailthru. A field that an event can do without is left out where it cannot be read, with a note.
The raw bytes are never changed; they travel beside the parsed event to the very end.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import cached_property
from itertools import chain
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import from_json

from pipeline import lanes
from pipeline.errors import InvalidEvent, Reason
from pipeline.events.destinations import given_options
from pipeline.events.names import TRACKED, Kind
from pipeline.events.native import Endpoint, kind_of_call, person
from pipeline.events.refusals import explain, problem_line
from pipeline.fields import Note, as_whole, is_nothing
from pipeline.json_text import read_mended
from pipeline.roles import Role
from pipeline.text import email_in, mend_id, mend_line, read_email
from pipeline.times import read_time

Lane = lanes.Lane
"""Where an event waits. A lane is a row of pipeline/lanes.py."""
MAX_EVENT_BYTES = 32 * 1024
"""Segment's limit for one event (reference: HTTP Tracking API, 32 KB)."""
INGEST_BYTES = 256
"""What the HTTP server may add to an event that was within the limit: receivedAt, a messageId."""
MAX_ID_CHARS = 512
"""Longer ids are refused: no real one is, and they would become Redis keys."""

_MISSING = "is missing"
_BROKEN = "has a broken character (half an emoji, or bytes that are not UTF-8)"
_TOO_LONG = f"is longer than {MAX_ID_CHARS} characters"


def read_id(value: object) -> str | None:
    """An id as text, without control characters; None when it is nothing.

    SDKs send whole numbers, too.

    Raises:
        ValueError: it cannot be read; the message says what would be right.
    """
    if isinstance(value, str) and value.isprintable():
        mended = value.strip()  # what mend_id makes of it, and nearly every id is such a text
    elif is_nothing(value):
        return None
    else:
        return _odd_id(as_whole(value))
    if len(mended) > MAX_ID_CHARS:
        raise ValueError(_TOO_LONG)
    return mended or None


def _odd_id(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 64:
        return str(value)
    if not isinstance(value, str):
        msg = "must be a string"
        raise ValueError(msg)  # noqa: TRY004 - pydantic turns a ValueError into its own error
    mended = mend_id(value)
    if len(mended) > MAX_ID_CHARS:
        raise ValueError(_TOO_LONG)
    return mended


def read_person_id(value: object) -> str | None:
    """As `read_id`, for the id of a person: a broken character in it is not mended.

    Ids that differ in such characters only would be one person.
    """
    found = read_id(value)
    if found and "\ufffd" in found:
        raise ValueError(_BROKEN)
    return found


def readable_id(value: object) -> str | None:
    """As `read_id`, and None too when it cannot be read."""
    try:
        return read_id(value)
    except ValueError:
        return None


def _optional_id(value: object, info: ValidationInfo) -> str | None:
    read = read_id if info.field_name == "message_id" else read_person_id
    try:
        return read(value)
    except ValueError as error:
        _leave_out(info, str(error))
        return None


def _optional_object(value: object, info: ValidationInfo) -> dict[str, Any]:
    """PHP's SDK writes an empty object as []."""
    if isinstance(value, dict):
        return value
    if not is_nothing(value):
        _leave_out(info, "must be an object")
    return {}


def _optional_line(value: object, info: ValidationInfo) -> str | None:
    if is_nothing(value):
        return None
    if not isinstance(value, str):
        _leave_out(info, "must be a string")
        return None
    return mend_line(value)


def _leave_out(info: ValidationInfo, problem: str) -> None:
    """Note that this field is left out. Without somewhere to note it, it is wrong."""
    if not isinstance(info.context, list):
        raise ValueError(problem)  # noqa: TRY004 - as above
    info.context.append(Note(to_camel(info.field_name or ""), problem))


def _required_line(value: object) -> object:
    if isinstance(value, str) and value.isprintable() and value.strip():
        return value
    if is_nothing(value):
        raise ValueError(_MISSING)
    return mend_line(value) if isinstance(value, str) else value


def _required_id(value: object) -> str:
    found = read_person_id(value)
    if found is None:
        raise ValueError(_MISSING)
    return found


def _kind_by_call(_: object, info: ValidationInfo) -> Kind:
    endpoint = info.data.get("endpoint", "/event")  # absent when it cannot be read
    return kind_of_call(endpoint, info.data.get("params", {}))


def _kind_by_name(_: object, info: ValidationInfo) -> Kind:
    name = info.data.get("event", "")  # absent when it cannot be read
    return TRACKED.get(name.replace(" ", "").replace("_", "").casefold(), Kind.CUSTOM)


Id = Annotated[str | None, PlainValidator(read_person_id)]
OptionalId = Annotated[str | None, PlainValidator(_optional_id)]
RequiredId = Annotated[str | None, PlainValidator(_required_id)]
"""Present in what a client sends. Later it may be left out of the event because it is a shared id."""
Object = Annotated[dict[str, Any], PlainValidator(_optional_object)]
OptionalLine = Annotated[str | None, PlainValidator(_optional_line)]
TrackKind = Annotated[Kind, PlainValidator(_kind_by_name)]
NativeKind = Annotated[Kind, PlainValidator(_kind_by_call)]


UNREAD = "other"
"""In the place of a type, where an event is none."""
TYPES = ("identify", "track", "page", "screen", "group", "alias", "sailthru", UNREAD)
"""What events are counted by."""


class _Common(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True
    )

    message_id: OptionalId = None
    user_id: Id = None
    anonymous_id: OptionalId = None
    timestamp: Any = None
    context: Object = Field(default_factory=dict)
    integrations: Object = Field(default_factory=dict)
    traits: Object = Field(default_factory=dict)
    properties: Object = Field(default_factory=dict)

    role: ClassVar[Role] = Role.SERVER
    """Of the write key it came with. One of another role has its own; see `pipeline.events.rights`."""
    notes: ClassVar[tuple[Note, ...]] = ()
    """Which of its fields were left out, since they cannot be read. An event that has some has its own."""
    left_out: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """The ids that were taken from it because several people share them: field -> id. As `notes`."""

    @cached_property
    def has_id(self) -> bool:
        """Whether it came with a userId or anonymousId, be it one that several people share."""
        return bool(self.user_id or self.anonymous_id)

    def without(self, ids: Collection[str]) -> Self:
        """A copy without these id fields, which remembers that it came with them."""
        left_out = {to_camel(name): value for name in ids if (value := getattr(self, name, None))}
        kept = {"has_id": self.has_id, "left_out": {**self.left_out, **left_out}}
        return self.model_copy(update={**dict.fromkeys(ids), **kept})

    @property
    def any_email(self) -> str | None:
        """The first well-formed email anywhere: it may be anybody's (see `pipeline.events.emails`).

        In this order: traits, context.traits, properties, properties.traits, context, properties.userId.
        """
        nested = self.properties.get("traits")
        places = (self.traits, self.context.get("traits"), self.properties, nested, self.context)
        named = (self.properties.get(name) for name in ("userId", "user_id"))
        found = chain(map(email_in, places), map(read_email, named))
        return next((email for email in found if email), None)

    @property
    def page_url(self) -> str | None:
        """context.page.url, unless it is blank or no text."""
        page = self.context.get("page")
        url = page.get("url") if isinstance(page, Mapping) else None
        return mend_id(url) or None if isinstance(url, str) else None

    @property
    def occurred_at(self) -> datetime | None:
        """`timestamp` with its own offset (none means UTC); None when it is none (`pipeline.times`)."""
        return None if self.timestamp is None else read_time(self.timestamp)


class Identify(_Common):
    """Who a user is: traits, and maybe both of their ids."""

    kind: ClassVar = Kind.IDENTIFY
    type: Literal["identify"] = "identify"


class OptOut(Identify):
    """What is left of an event of another kind when its opt-out alone is meant: whose it is, and its options.

    No producer sends one; `of` makes it of what one sent.
    """

    kind: ClassVar = Kind.OPTOUT

    @classmethod
    def of(cls, event: Event) -> OptOut:
        """That of `event`. An anonymousId beside a userId is left out: nothing is merged for it."""
        fields = {name: getattr(event, name) for name in Identify.model_fields}
        if event.user_id:
            fields["anonymous_id"] = None
        made = cls.model_construct(**fields)
        made.__dict__["has_id"] = event.has_id
        return made


class Track(_Common):
    """Something a user did. `event` must be a string (discard codes event_not_defined/string)."""

    type: Literal["track"] = "track"
    event: Annotated[str, Field(max_length=MAX_ID_CHARS), BeforeValidator(_required_line)]
    kind: TrackKind = Field(Kind.CUSTOM, exclude=True, validate_default=True)
    """What it is to Sailthru by its name, whatever a client may send in a field of this name."""


class Page(_Common):
    """A page was seen. Sailthru is told neither its `name` nor its `category`."""

    kind: ClassVar = Kind.PAGE
    type: Literal["page"] = "page"
    name: OptionalLine = None
    category: OptionalLine = None


class Screen(_Common):
    """A screen of an app was seen; same fields as Page."""

    kind: ClassVar = Kind.SCREEN
    type: Literal["screen"] = "screen"
    name: OptionalLine = None
    category: OptionalLine = None


class Group(_Common):
    """A user belongs to a group."""

    kind: ClassVar = Kind.GROUP
    type: Literal["group"] = "group"
    group_id: RequiredId


class Alias(_Common):
    """`previous_id` and `user_id` are the same person."""

    kind: ClassVar = Kind.ALIAS
    type: Literal["alias"] = "alias"
    previous_id: RequiredId
    user_id: RequiredId


class NativeCall(_Common):
    """A call of Sailthru's own API: it goes out with its parameters as they are.

    What it says of its person is read from these into the fields that every event has (`pipeline.events.native`).
    """

    type: Literal["sailthru"] = "sailthru"
    endpoint: Endpoint
    params: dict[str, Any]
    kind: NativeKind = Field(Kind.NATIVE_EVENT, exclude=True, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _read_person(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        own = {name: data[name] for name in _OWN_FIELDS if name in data}
        return own | person(data.get("endpoint"), data.get("params"))

    @property
    def event(self) -> str | None:
        """The name of a custom event, None of any other."""
        name = self.params.get("event") if self.endpoint == "/event" else None
        return name if isinstance(name, str) and name.strip() else None


_OWN_FIELDS = ("type", "endpoint", "params", "messageId")
Event = Annotated[
    Identify | Track | Page | Screen | Group | Alias | NativeCall, Field(discriminator="type")
]
_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)


def parse_event(raw: bytes) -> Event:
    """Read one event from its raw bytes.

    Raises:
        InvalidEvent: with reason too_large, invalid_json, invalid_event or missing_user_id; its
            detail names fields and rules, never values.
    """
    check_size(raw)
    try:
        data = from_json(raw, allow_inf_nan=False)
    except ValueError:
        data = _read_mended(raw)
    if not isinstance(data, dict):
        raise InvalidEvent(Reason.INVALID_EVENT, "the event is not a JSON object")
    return validate_event(data)


def _read_mended(raw: bytes) -> Any:
    try:
        return read_mended(raw)
    except ValueError as error:
        raise InvalidEvent(Reason.INVALID_JSON, str(error)) from None


def check_size(raw: bytes) -> None:
    """Refuse an event that is too large. Raises InvalidEvent with reason too_large."""
    if len(raw) > MAX_EVENT_BYTES + INGEST_BYTES:
        raise InvalidEvent(Reason.TOO_LARGE, f"{len(raw)} bytes; the limit is {MAX_EVENT_BYTES}")


def validate_event(data: dict[str, Any]) -> Event:
    """Check one event that is already a dict. Raises InvalidEvent as `parse_event` does."""
    notes: list[Note] = []
    try:
        event = _ADAPTER.validate_python(data, context=notes)
    except ValidationError as error:
        raise InvalidEvent(Reason.INVALID_EVENT, explain(error)) from None
    if notes:  # beside its fields, where cached_property writes, too
        event.__dict__["notes"] = tuple(notes)
    if not (event.user_id or event.anonymous_id or event.any_email or _has_target(event)):
        raise _without_person(event)
    return event


def _has_target(event: Event) -> bool:
    """Whether a track without any id is addressed by its options (`id` and `key`)."""
    return isinstance(event, Track) and any(
        key.casefold() == "id" and not is_nothing(value)
        for _, key, value in given_options(event.integrations)
    )


def _without_person(event: Event) -> InvalidEvent:
    for note in event.notes:
        if note.path == "anonymousId":
            return InvalidEvent(Reason.INVALID_EVENT, problem_line(note.path, note.problem))
    return InvalidEvent(
        Reason.MISSING_USER_ID,
        "no userId, anonymousId or email, and no id among its options (no_user_anon_id)",
    )
