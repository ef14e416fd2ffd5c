"""From a request of Segment's Tracking API, or of its Webhooks destination, to the events it holds. No I/O.

The server adds what Segment's server adds and takes away the write key and our own replay flag. What is wrong
with an event of a batch is for the splitter to say, which makes a dead letter of it: an SDK throws a refused batch
away, with the good events in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

import pydantic_core

from pipeline.accept import with_message_id
from pipeline.errors import InvalidEvent, RefusedByRole
from pipeline.events.kinds import LANES
from pipeline.events.models import MAX_EVENT_BYTES, Lane, parse_event
from pipeline.events.rights import restricted
from pipeline.fields import is_nothing
from pipeline.ingest.answers import HttpError
from pipeline.roles import Role
from pipeline.times import read_time

MERGED = ("context", "integrations")
"""What a batch may say once for all of its events; the event's own words win."""

NOT_FOR_PRODUCERS = frozenset({"writeKey", "sailpipe"})
"""A credential, and the flag of an exported dead letter. The flag removes the letter of its id. A visitor who reads
the write key in a shop's page must not be able to do that."""

NATIVE_TYPE = "sailthru"
"""Of a call of Sailthru's own API, which is taken by its account's secret alone. No SDK of Segment's says it: such an
event becomes a letter, as one of any other unknown type."""

MAX_BATCH_EVENTS = 2500
"""Segment's own limit (reference: segment 1.3). SDKs send some hundreds at most; what an event costs in
Redis and in a dead letter is far more than the three bytes that it may have in a batch."""

MAX_BATCH_BYTES = 8 << 20
"""What all events of a batch may come to once each has the batch's context: a 30 KB context over 10,000
empty events is a body of 60 KB, and would be 300 MB in Redis."""


@dataclass(frozen=True)
class Arrival:
    """What the server knows about a request. `at` is the wall time in seconds."""

    at: float
    new_id: Callable[[], str]

    @cached_property
    def received_at(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    @cached_property
    def text(self) -> str:
        """`received_at` as all events of the request have it."""
        return _iso(self.received_at)


class Events(NamedTuple):
    """What is taken of a request, and how many events are left out since its key's role may not send them.

    lanes: of those that are taken, as far as the role's rights depend on them.
    """

    raws: Sequence[bytes]
    refused: int = 0
    lanes: Mapping[Lane, int] = MappingProxyType({})


class Judgement(NamedTuple):
    """refused: why its key's role may not send an event, '' when it may. lanes: the one that it waits in, if any."""

    refused: str = ""
    lanes: tuple[Lane, ...] = ()


def judge(raw: bytes, role: Role) -> Judgement:
    """What a key's role makes of an event. What else is wrong with it is for the splitter to say."""
    if role is Role.SERVER:
        return Judgement()
    try:
        event = restricted(parse_event(raw), role)
    except RefusedByRole as refused:
        return Judgement(refused.detail)
    except InvalidEvent:
        return Judgement()
    lane = LANES.get(event.kind)
    return Judgement(lanes=() if lane is None else (lane,))


def allowed(raw: bytes, role: Role) -> Events:
    """The one event of a request. Raises HttpError: 403, when the role may not send it."""
    right = judge(raw, role)
    if right.refused:
        message = f"This key may not send it: {right.refused}."
        raise HttpError(403, "refused_by_role", message)
    return Events([raw], lanes=Counter(right.lanes))


def single_event(body: Mapping[str, Any], event_type: str, arrival: Arrival) -> bytes:
    """The event of /v1/track and its like; the path decides its type.

    Raises:
        HttpError: 400 when it is larger than 32 KB (reference: segment 1.3).
    """
    event = {**body, "type": event_type}
    if len(pydantic_core.to_json(event)) > MAX_EVENT_BYTES:
        raise HttpError(400, "too_large", f"The event is larger than {MAX_EVENT_BYTES} bytes.")
    return _finish(event, {}, arrival)


def forwarded_event(body: Mapping[str, Any], new_id: Callable[[], str]) -> bytes:
    """An event as Segment forwards it to a webhook, with what Segment has done to it already.

    Its four times stay as they are, or they would be corrected twice. `All` of its integrations said which of Segment's
    destinations get it: it came here, and what names Sailthru still holds. A request to erase a person (type
    `delete`) is what shops call `User Deleted`.
    """
    data = _without_ours(body)
    switches = data.get("integrations")
    if isinstance(switches, dict):
        data["integrations"] = {
            name: value for name, value in switches.items() if name.strip().casefold() != "all"
        }
    if data.get("type") == "delete":
        data |= {"type": "track", "event": "User Deleted"}
    return _as_raw(data, new_id)


def batch_events(body: Mapping[str, Any], arrival: Arrival) -> Iterator[bytes]:
    """The events of /v1/batch, in order, one by one. None at all is a success, as at Segment.

    What is no object, or too large, is among them as it came: it becomes a dead letter.

    Raises:
        HttpError: 400 when `batch` is no list, or all of its events are larger than MAX_BATCH_BYTES; 413 when it has
            more than MAX_BATCH_EVENTS.
    """
    batch = body.get("batch")
    if not isinstance(batch, list):
        raise HttpError(400, "invalid_batch", "The body has no `batch` that is a list.")
    beyond = len(batch) - MAX_BATCH_EVENTS
    if beyond > 0:
        raise HttpError(
            413,
            "too_many_events",
            f"The batch has {len(batch)} events, {beyond} beyond the {MAX_BATCH_EVENTS} that one may have:"
            " send it in parts.",
        )
    left = MAX_BATCH_BYTES
    for item in batch:
        is_event = isinstance(item, dict)
        finished = _finish(item, body, arrival) if is_event else pydantic_core.to_json(item)
        left -= len(finished)
        if left < 0:
            raise HttpError(
                400, "too_large", f"Its events, with its context, exceed {MAX_BATCH_BYTES} bytes."
            )
        yield finished


def corrected_timestamp(original: object, sent_at: object, received_at: datetime) -> str | None:
    """When it happened by the server's clock: `receivedAt - (sentAt - original)`.

    Without a client time it is the time of arrival. None, "leave it as it is", when there is no
    sentAt or either cannot be read (reference: segment 1.5).
    """
    if original is None:
        return _iso(received_at)
    happened, sent = read_time(original), read_time(sent_at)
    if happened is None or sent is None:
        return None
    try:
        return _iso(received_at - (sent - happened))
    except OverflowError:
        return None


def _finish(event: Mapping[str, Any], batch: Mapping[str, Any], arrival: Arrival) -> bytes:
    data = _without_ours(event)
    data |= _merged(data, batch) | _times(data, batch.get("sentAt"), arrival)
    return _as_raw(data, arrival.new_id)


def _without_ours(event: Mapping[str, Any]) -> dict[str, Any]:
    data = {name: value for name, value in event.items() if name not in NOT_FOR_PRODUCERS}
    if data.get("type") == NATIVE_TYPE:
        del data["type"]
    return data


def _as_raw(data: Mapping[str, Any], new_id: Callable[[], str]) -> bytes:
    raw = pydantic_core.to_json(data)
    return with_message_id(raw, data, new_id()) if is_nothing(data.get("messageId")) else raw


def _merged(event: Mapping[str, Any], batch: Mapping[str, Any]) -> dict[str, Any]:
    """The batch's context and integrations under the event's. Odd shapes stay as they are."""
    merged = {}
    for name in MERGED:
        ours, theirs = event.get(name), batch.get(name)
        if isinstance(theirs, dict) and theirs and isinstance(ours or {}, dict):
            merged[name] = {**theirs, **(ours or {})}
    return merged


def _times(event: Mapping[str, Any], batch_sent_at: object, arrival: Arrival) -> dict[str, Any]:
    """Segment's four times; what the producer wrote as `timestamp` is kept beside ours."""
    sent_at = _given(event.get("sentAt"), batch_sent_at)
    original = _given(event.get("originalTimestamp"), event.get("timestamp"))
    times: dict[str, Any] = {"receivedAt": arrival.text}
    corrected = corrected_timestamp(original, sent_at, arrival.received_at)
    if corrected is not None:
        times["timestamp"] = corrected
    if original is not None:
        times["originalTimestamp"] = original
    if sent_at is not None:
        times["sentAt"] = sent_at
    return times


def _given(*values: object) -> object:
    """The first that is not nothing; None without one."""
    return next((value for value in values if not is_nothing(value)), None)


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
