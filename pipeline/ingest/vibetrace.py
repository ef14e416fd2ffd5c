"""Vibetrace's event API: a caller needs only this host, and a write key as the `Authorization` header.

Reference: document 003. Its restrictions are the rules in `pipeline/ingest/rules/`. A request is asked in this order: its
key, its form, the role of its key, whether a bot did it, whether its user exists. Then it is appended, unless it repeats
one. An event that a rule drops is answered as one that is taken, as it is at Vibetrace.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.clock import Clock
from pipeline.counters import Count, counter
from pipeline.errors import EnqueueError, InvalidEvent, RefusedByRole
from pipeline.events.emails import address_key
from pipeline.events.kinds import LANES, IgnoreReason
from pipeline.events.models import MAX_EVENT_BYTES, parse_event
from pipeline.events.rights import restricted
from pipeline.ingest.answers import RETRY_AFTER_S, HttpError
from pipeline.ingest.bodies import read_body, read_object, unpacked
from pipeline.ingest.known_users import Asks, Knowledge, KnownUser, KnownUsers
from pipeline.ingest.openapi import (
    PLAIN_KEY,
    TEXT,
    PathItem,
    answer,
    exactly,
    operation,
    refusals,
)
from pipeline.ingest.refusals import Refusals
from pipeline.ingest.rules import bots
from pipeline.ingest.rules.once import Once, OnceSender, one_confirmation, one_open
from pipeline.ingest.segment import CORS
from pipeline.ingest.segment_events import Arrival, Events, single_event
from pipeline.ingest.shares import Shares
from pipeline.ingest.vibetrace_events import EventType, VibetraceEvent, read_request, segment_events
from pipeline.ingest.write_keys import Grant, grant_of
from pipeline.lanes import Lane
from pipeline.producer import AsyncProducer
from pipeline.raw_entries import Labels
from pipeline.roles import Role
from pipeline.settings import Settings
from pipeline.ways_in import WayIn

PATH = "v1/event"
CREATED = {
    "results": {
        "message": "Event created",
        "email": "Event was created for the specified user",
    }
}
_REQUEST = {
    "type": "object",
    "properties": {
        "user": {"type": "object", "properties": {"_id": {}, "email": {}}},
        "event": {"type": "object", "description": "One object, under the name of its type."},
        "messageId": {},
    },
    "required": ["user", "event"],
}
_REFUSAL = exactly(
    errors={"type": "array", "items": exactly(message=TEXT, description=TEXT), "minItems": 1}
)
MAX_BODY_BYTES = 4 * MAX_EVENT_BYTES
"""Of one event with its user, unpacked. JSON may need several bytes where the event that is kept needs one."""


class VibetraceApi:
    """Takes requests for the accounts whose write keys they show, as the roles of those allow."""

    def __init__(
        self,
        redis: Redis,
        producer: AsyncProducer,
        shares: Shares,
        upstream: Asks,
        grants: Mapping[str, Grant],
        settings: Settings,
        refusals: Refusals,
        clock: Clock,
    ) -> None:
        self._producer = producer
        self._sender = OnceSender(redis, producer)
        self._shares = shares
        self._known = KnownUsers(redis, upstream, settings)
        self._grants = grants
        self._settings = settings
        self._refusals = refusals
        self._clock = clock

    def apps(self) -> dict[str, ASGIApp]:
        """By path: what takes its requests.

        | path | method | body | answers |
        |---|---|---|---|
        | `/v1/event` | POST | `{"user": {"_id", "email"}, "event": {TYPE: {}}, "messageId"}` | 200 `CREATED`, else `errors` |
        """
        return {PATH: CORS.cls(self._app, *CORS.args, **CORS.kwargs)}

    def describe(self) -> dict[str, PathItem]:
        """The same path, as `/openapi.json` says it."""
        created = answer("Taken, or dropped by a rule.", {"const": CREATED})
        answers = {"200": created} | refusals((400, 401, 403, 503), _REFUSAL)
        said = operation("Take one event", answers, body=_REQUEST, security=PLAIN_KEY)
        return {PATH: {"post": said}}

    async def accept(self, authorization: str | None, body: bytes) -> None:
        """Put the request's event into the raw stream, or drop and count it by a rule.

        Raises HttpError or EnqueueError; nothing of the request was taken then, and no later one is dropped for it.
        """
        key = (authorization or "").strip()
        grant = grant_of(self._grants, key, "No write key in the header Authorization.")
        event = read_request(_read(body))
        if grant.key.role is Role.BROWSER and event.type is EventType.CONFIRMATION:
            raise _refused("an event of type confirmation is taken from a server key only")
        if bots.is_bot(event.user_agent):
            await self._drop(grant.account, bots.REASON)
            return
        user = await self._known.look_up(grant.account, *event.person)
        if user.knowledge is Knowledge.UNKNOWN:
            # Told to a page, it would tell any visitor whose addresses the shop has.
            if grant.key.role is Role.BROWSER:
                await self._drop(grant.account, IgnoreReason.UNKNOWN_USER)
                return
            raise HttpError(
                400, "user_not_found", "The user must exist before an event is created for it"
            )
        events = _finish(event, user, Arrival(self._clock.now(), _new_id), grant.key.role)
        if user.knowledge is Knowledge.UNCHECKED:
            await self._producer.count(grant.account, counter(Count.UNCHECKED_USERS))
        await self._take(events, grant, self._rule(event, user, grant))

    async def _drop(self, account: str, reason: IgnoreReason) -> None:
        await self._producer.count(account, counter(Count.IGNORED, reason))

    def _rule(self, event: VibetraceEvent, user: KnownUser, grant: Grant) -> Once | None:
        if event.type is EventType.CONFIRMATION:
            return one_confirmation(event.order_id, self._settings.account(grant.account))
        if event.type is EventType.OPEN:
            person = event.person.id or user.owner or address_key(event.person.email or "")
            return one_open(person, grant.key.role)
        return None

    async def _take(self, events: Events, grant: Grant, once: Once | None) -> None:
        bulk = await self._shares.is_bulk(grant, len(events.raws), events.lanes)
        labels = Labels(grant.account, bulk, grant.key.role, WayIn.VIBETRACE)
        if once is None:
            await self._producer.send_all(events.raws, labels)
        else:
            await self._sender.send(events.raws, labels, once)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST":
            response = await self._answer(scope, receive)
        else:
            response = error_response(HttpError(405, "method_not_allowed", "Please send a POST"))
            response.headers["Allow"] = "POST"
        await self._refusals.write_behind(response)(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        try:
            body = await read_body(receive)
            await self.accept(Headers(scope=scope).get("authorization"), body)
        except HttpError as error:
            return self._refuse(error)
        except EnqueueError as error:
            return self._refuse(HttpError(503, "unavailable", f"{error.what}. Try again."))
        return JSONResponse(CREATED)

    def _refuse(self, error: HttpError) -> Response:
        self._refusals.count(error.code)
        return error_response(error)


def error_response(error: HttpError) -> JSONResponse:
    """A refusal in Vibetrace's form; `message` is the code in words."""
    headers = {"Retry-After": str(RETRY_AFTER_S)} if error.status == 503 else None
    said = {"message": error.code.replace("_", " ").capitalize(), "description": error.message}
    return JSONResponse({"errors": [said]}, error.status, headers)


def _read(body: bytes) -> dict[str, Any]:
    whole = unpacked(body)
    if len(whole) > MAX_BODY_BYTES:
        raise HttpError(400, "too_large", f"The body is larger than {MAX_BODY_BYTES} bytes.")
    return read_object(whole)


def _finish(event: VibetraceEvent, user: KnownUser, arrival: Arrival, role: Role) -> Events:
    """The events for the raw stream.

    Raises:
        HttpError: 400 for one that is invalid, 403 for one that the role may not send.
    """
    raws, lanes = list[bytes](), Counter[Lane]()
    may_have_cart = bool(event.person.id or user.owner)
    for kind, body in segment_events(event, may_have_cart=may_have_cart):
        raw = single_event(body, kind, arrival)
        try:
            lane = LANES.get(restricted(parse_event(raw), role).kind)
        except RefusedByRole as refused:
            raise _refused(refused.detail) from None
        except InvalidEvent as invalid:
            raise HttpError(400, "invalid_event", f"{invalid.detail}.") from None
        raws.append(raw)
        lanes.update(() if lane is None else (lane,))
    return Events(raws, lanes=lanes)


def _refused(detail: str) -> HttpError:
    return HttpError(403, "refused_by_role", f"This write key may not send it: {detail}.")


def _new_id() -> str:
    return str(uuid.uuid4())
