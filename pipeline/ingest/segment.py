"""Segment's HTTP Tracking API: an unmodified SDK needs only this host and a write key.

Reference: segment 1. Every path is taken with and without a trailing slash, Content-Type is
ignored, browsers may call from any site (a write key is no secret there, and no cookie is read).
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from pipeline.clock import Clock
from pipeline.errors import EnqueueError
from pipeline.ingest.bodies import is_packed, read_object, unpacked
from pipeline.ingest.endpoint import Endpoint
from pipeline.ingest.openapi import ANY_OBJECT, WRITE_KEY, PathItem, segment_post
from pipeline.ingest.refusals import Refusals
from pipeline.ingest.segment_events import (
    MAX_BATCH_EVENTS,
    Arrival,
    Events,
    allowed,
    batch_events,
    judge,
    single_event,
)
from pipeline.ingest.shares import Shares
from pipeline.ingest.write_keys import Grant, choose_grant, refuse_header
from pipeline.lanes import Lane
from pipeline.producer import AsyncProducer
from pipeline.raw_entries import Labels
from pipeline.roles import Role
from pipeline.ways_in import WayIn

SINGLE_PATHS: Mapping[str, str] = {
    "track": "track",
    "identify": "identify",
    "page": "page",
    "screen": "screen",
    "group": "group",
    "alias": "alias",
    "t": "track",
    "i": "identify",
    "p": "page",
    "s": "screen",
    "g": "group",
    "a": "alias",
}
"""Path under /v1 -> type of the one event in the body. The letters are the browser SDK's."""

BATCH_PATHS = ("batch", "import", "b")
"""Paths under /v1 that take many: documented; Ruby and Java; mobile SDKs and the browser's."""

_PATHS = (*SINGLE_PATHS, *BATCH_PATHS)
_SHORT_PATHS = tuple(path for path in _PATHS if len(path) == 1)
"""Those that are taken without /v1, too: the browser SDK appends them to its `apiHost`, which people write without it."""

_KINDS: Mapping[str, str | None] = {
    **{f"v1/{path}": SINGLE_PATHS.get(path) for path in _PATHS},
    **{path: SINGLE_PATHS.get(path) for path in _SHORT_PATHS},
}
"""Every path -> the type of its event; None for batches."""

LIGHT_BYTES = 8 * 1024
"""A body up to this, with one event, is read at once, in a millisecond at most. All others are read one at a
time, in a thread, and their events made in pieces: other requests are answered in between."""

PIECE_S = 0.003
"""The length of a piece of a batch; other requests are answered between two."""

MAX_HELD_BYTES = 128 << 20
"""Of heavy bodies that wait for their turn, and of batches that wait for Redis: a Redis that hangs must not let
them fill the memory."""

CORS = Middleware(
    CORSMiddleware,
    allow_origins=["*"],
    allow_methods=["POST"],
    allow_headers=["*"],
    expose_headers=["Retry-After"],  # or the browser SDK could not read it
)


class SegmentApi:
    """Takes requests for the accounts whose write keys they show, as the roles of those allow."""

    def __init__(
        self,
        producer: AsyncProducer,
        grants: Mapping[str, Grant],
        shares: Shares,
        refusals: Refusals,
        clock: Clock,
    ) -> None:
        self._producer = producer
        self._shares = shares
        self._grants = grants
        self._refusals = refusals
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._held = 0

    def apps(self) -> dict[str, ASGIApp]:
        """By path: what takes its requests."""
        return {path: self._app(kind) for path, kind in _KINDS.items()}

    def describe(self) -> dict[str, PathItem]:
        """The same paths, as `/openapi.json` says them."""
        return {path: _described(kind) for path, kind in _KINDS.items()}

    def _app(self, kind: str | None) -> ASGIApp:
        app = Endpoint(partial(self.accept, kind), self._refusals)
        return CORS.cls(app, *CORS.args, **CORS.kwargs)

    async def accept(self, kind: str | None, headers: Headers, body: bytes) -> None:
        """Put the event of type `kind`, or all of a batch (None), into the raw stream.

        Raises HttpError or EnqueueError; nothing of the request was taken then.
        """
        authorization = headers.get("authorization")
        arrival = Arrival(self._clock.now(), lambda: str(uuid.uuid4()))
        if kind is not None and len(body) <= LIGHT_BYTES and not is_packed(body):
            data = read_object(body)
            grant = choose_grant(self._grants, authorization, data.get("writeKey"))
            await self._take(allowed(single_event(data, kind, arrival), grant.key.role), grant)
            return
        refuse_header(self._grants, authorization)  # before a large body is read
        with self._hold(len(body)):
            async with self._one_at_a_time:
                data = await asyncio.to_thread(lambda: read_object(unpacked(body)))
                grant = choose_grant(self._grants, authorization, data.get("writeKey"))
                if kind is None:
                    events = await self._batch(data, arrival, grant.key.role)
                else:
                    events = allowed(single_event(data, kind, arrival), grant.key.role)
            with self._hold(sum(map(len, events.raws))):
                await self._take(events, grant)

    async def _take(self, events: Events, grant: Grant) -> None:
        await self._producer.count_refused(grant.account, events.refused)
        bulk = await self._shares.is_bulk(grant, len(events.raws), events.lanes)
        labels = Labels(grant.account, bulk, grant.key.role, WayIn.SEGMENT)
        await self._producer.send_all(events.raws, labels)

    @contextmanager
    def _hold(self, size: int) -> Iterator[None]:
        """Count so many bytes while the block lasts. Raises EnqueueError when too many are held already."""
        if self._held + size > MAX_HELD_BYTES:
            raise EnqueueError("Too many large requests wait already")
        self._held += size
        try:
            yield
        finally:
            self._held -= size

    async def _batch(self, data: Mapping[str, Any], arrival: Arrival, role: Role) -> Events:
        """Its events without those that the role may not send."""
        raws, refused, lanes = list[bytes](), 0, Counter[Lane]()
        began = self._clock.monotonic()
        for raw in batch_events(data, arrival):
            right = judge(raw, role)
            if right.refused:
                refused += 1
            else:
                raws.append(raw)
                lanes.update(right.lanes)
            if self._clock.monotonic() - began > PIECE_S:
                await asyncio.sleep(0)
                began = self._clock.monotonic()
        return Events(raws, refused, lanes)


_BATCH = {
    "type": "object",
    "properties": {
        "batch": {
            "type": "array",
            "maxItems": MAX_BATCH_EVENTS,
            "description": "Events, each with its `type`. One that is wrong becomes a dead letter.",
        },
        "context": {"description": "Merged into the context of each event."},
        "integrations": {"description": "Merged into the integrations of each event."},
        "sentAt": {"description": "When the request left, by the clock of the events' times."},
        "writeKey": {"description": "The key, unless it is the user name of Basic."},
    },
    "required": ["batch"],
}


def _described(kind: str | None) -> PathItem:
    if kind is None:
        refused = (400, 401, 413, 503)
        return segment_post("Take a batch of events", _BATCH, refused, security=WRITE_KEY)
    refused = (400, 401, 403, 503)
    summary = f"Take one event of type {kind}"
    return segment_post(summary, ANY_OBJECT, refused, security=WRITE_KEY)
