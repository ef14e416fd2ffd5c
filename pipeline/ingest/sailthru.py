"""Sailthru's own API as a way in: an unmodified client needs only this host.

Signed `POST /event`, `/user`, `/purchase` and `/return` wait in mailboxes as every event does. Everything else is made at
once, signed anew with the account's own key, and answered with Sailthru's reply. Reference: sailthru-api 1 to 4.
"""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Awaitable, Mapping
from typing import get_args
from xml.sax.saxutils import escape

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.clock import Clock
from pipeline.errors import EnqueueError
from pipeline.events.native import ENDPOINTS
from pipeline.fields import is_nothing
from pipeline.ingest.answers import RETRY_AFTER_S, HttpError
from pipeline.ingest.bodies import read_body
from pipeline.ingest.openapi import TEXT, PathItem, exactly, operation, refusals
from pipeline.ingest.refusals import Refusals
from pipeline.ingest.sailthru_requests import (
    OTHER,
    REQUIRED,
    UNAVAILABLE,
    UNSUPPORTED,
    ApiError,
    Grantor,
    SignedCall,
    native_event,
    read_call,
    read_fields,
)
from pipeline.ingest.uploads import is_multipart, read_parts
from pipeline.ingest.upstream import NotNow, Upstream
from pipeline.producer import AsyncProducer
from pipeline.raw_entries import Labels
from pipeline.sailthru.answers import RATE_HEADERS, Failed
from pipeline.sailthru.calls import HandedCall, Method, Upload
from pipeline.sailthru.client import Reply
from pipeline.ways_in import WayIn

PASSED_ON = (
    *("alert", "blast", "blast_repeat", "contacts", "content", "email", "globalvars", "horizon"),
    *(
        "inbox",
        "include",
        "job",
        "list",
        "preview",
        "send",
        "settings",
        "stats",
        "template",
        "trigger",
    ),
)
"""Endpoints none of whose calls wait: those that Sailthru's own clients call, beside the four."""
LIGHT_BYTES = 8 * 1024
"""A form up to this is read at once. Larger ones are read one at a time, in a thread."""
TRACE = "X-Sailpipe-Trace"
"""The header that names the event which a request became: its client chooses no messageId."""
MAX_HEAVY = 200
"""Of these that wait for their turn: a hundred megabytes."""
MAX_UPLOADS = 4
"""Under way at a time: each may hold ten megabytes twice."""
_METHODS: tuple[str, ...] = get_args(Method)
_HANDED_ON = ("content-type", *RATE_HEADERS)
"""What of a reply's head its receiver gets."""


class SailthruApi:
    """Takes requests for the accounts with whose keys they are signed."""

    def __init__(
        self,
        producer: AsyncProducer,
        keys: Mapping[str, Grantor],
        upstream: Upstream,
        refusals: Refusals,
        clock: Clock,
    ) -> None:
        self._producer = producer
        self._keys = keys
        self._upstream = upstream
        self._refusals = refusals
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._heavy = 0
        self._uploads = asyncio.Semaphore(MAX_UPLOADS)

    def apps(self) -> dict[str, ASGIApp]:
        """By path: what takes its requests."""
        return dict.fromkeys([*(one.strip("/") for one in ENDPOINTS), *PASSED_ON], self)

    def describe(self) -> dict[str, PathItem]:
        """The same paths, as `/openapi.json` says them."""
        return dict.fromkeys(self.apps(), _DESCRIBED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_upload = scope["method"] == "POST" and is_multipart(scope)
        if is_upload and self._uploads.locked():
            error = _unavailable("Too many uploads are under way", RETRY_AFTER_S)
            response = self._refuse(error, "json")
        elif is_upload:
            async with self._uploads:
                response = await self._respond(scope, read_parts(scope, receive))
        else:
            response = await self._respond(scope, self._read(scope, receive))
        await self._refusals.write_behind(response)(scope, receive, send)

    async def _respond(
        self, scope: Scope, reading: Awaitable[tuple[dict[str, str], Upload | None]]
    ) -> Response:
        fields = {"format": "json"}  # until it is known
        try:
            fields, upload = await reading
            return await self._answer(scope, fields, upload)
        except ApiError as error:
            return self._refuse(error, fields.get("format"))

    def _refuse(self, error: ApiError, reply_format: str | None) -> Response:
        self._refusals.count(f"sailthru_{error.code}")
        return _error_response(error, reply_format)

    async def _read(self, scope: Scope, receive: Receive) -> tuple[dict[str, str], Upload | None]:
        if scope["method"] not in _METHODS:
            raise ApiError(405, UNSUPPORTED, "Method is not supported")
        form = scope["query_string"]
        try:
            if scope["method"] == "POST":
                form = await read_body(receive)
        except HttpError as error:
            status = 413 if error.code == "too_large" else error.status
            raise ApiError(status, OTHER, error.message) from None
        if len(form) <= LIGHT_BYTES:
            return read_fields(form), None
        return await self._read_heavy(form), None

    async def _read_heavy(self, form: bytes) -> dict[str, str]:
        if self._heavy >= MAX_HEAVY:
            raise _unavailable("Too many large requests wait already", RETRY_AFTER_S)
        self._heavy += 1
        try:
            async with self._one_at_a_time:
                return await asyncio.to_thread(read_fields, form)
        finally:
            self._heavy -= 1

    async def _answer(
        self, scope: Scope, fields: Mapping[str, str], upload: Upload | None
    ) -> Response:
        method, endpoint = scope["method"], f"/{scope['path'].strip('/')}"
        signed = read_call(fields, self._keys)
        if upload is None and _waits(method, endpoint, signed):
            return await self._enqueue(endpoint, signed)
        text, reply_format = signed.text, signed.reply_format
        call = HandedCall(method, endpoint, signed.params, text, reply_format, upload)
        return await self._hand_on(signed.account, call)

    async def _enqueue(self, endpoint: str, signed: SignedCall) -> Response:
        """Each request is an event of its own: two equal ones may be meant so, and Sailthru would act on both."""
        name = str(uuid.uuid4())
        raw = native_event(endpoint, signed.params, name, self._clock.now())
        try:
            await self._producer.send_all([raw], Labels(signed.account, via=WayIn.SAILTHRU))
        except EnqueueError as error:
            raise _unavailable(error.what, RETRY_AFTER_S) from None
        return JSONResponse({"ok": True}, headers={TRACE: name})

    async def _hand_on(self, account: str, call: HandedCall) -> Response:
        try:
            answer, reply = await self._upstream.exchange(account, call)
        except NotNow as error:
            raise _unavailable(error.what, error.wait_s) from None
        if reply.status is None or reply.broken:
            if isinstance(answer, Failed) and answer.ambiguous:
                message = "Sailthru's answer did not come: it may have done what was asked"
                raise ApiError(502, UNAVAILABLE, message)
            raise _unavailable("Sailthru does not answer", RETRY_AFTER_S)
        return _response(reply, reply.status)


def _described() -> PathItem:
    call = {"type": "object", "properties": dict.fromkeys(REQUIRED, TEXT), "required": REQUIRED}
    refusal = exactly(error={"type": "integer"}, errormsg=TEXT)
    answers = refusals((400, 401, 413, 502, 503), refusal)
    for said in answers.values():
        said["content"]["application/xml"] = {}
    answers |= {
        "200": {"description": "Taken, or Sailthru's answer."},
        "default": {"description": "Sailthru's answer to what was passed on."},
    }
    query = [{"name": one, "in": "query", "required": True, "schema": TEXT} for one in REQUIRED]
    form = "application/x-www-form-urlencoded"
    asked = operation("Pass a call on", answers, parameters=query)
    posted = operation("Take a call, or pass it on", answers, body=call, media=form)
    return {"post": posted, "get": asked, "delete": asked}


_DESCRIBED = _described()


def _waits(method: str, endpoint: str, signed: SignedCall) -> bool:
    """Whether a call is queued. One that asks for something of the profile, or for XML, is made at once."""
    if method != "POST" or endpoint not in ENDPOINTS or signed.reply_format != "json":
        return False
    return endpoint != "/user" or is_nothing(signed.params.get("fields"))


def _unavailable(what: str, wait_s: float) -> ApiError:
    return ApiError(503, UNAVAILABLE, f"{what}. Try again.", wait_s)


def _response(reply: Reply, status: int) -> Response:
    # A proxy's may hold what no header of ours can.
    given = {name.lower(): value for name, value in reply.headers.items() if value.isascii()}
    headers = {name: given[name] for name in _HANDED_ON if name in given}
    return Response(bytes(reply.body), status, headers)


def _error_response(error: ApiError, reply_format: str | None) -> Response:
    """As Sailthru answers it: in XML unless the request asked for JSON."""
    wait_s = error.retry_after_s
    headers = {} if wait_s is None else {"Retry-After": str(max(1, math.ceil(wait_s)))}
    if error.status == 405:
        headers["Allow"] = ", ".join(_METHODS)
    if reply_format is not None and reply_format.lower() == "json":
        body = {"error": error.code, "errormsg": error.message}
        return JSONResponse(body, error.status, headers)
    text = f"<error>{error.code}</error><errormsg>{escape(error.message)}</errormsg>"
    xml = f'<?xml version="1.0" encoding="UTF-8"?>\n<triggermail>{text}</triggermail>\n'
    return Response(xml, error.status, headers, "application/xml")
