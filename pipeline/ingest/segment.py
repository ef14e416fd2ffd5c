"""Segment's HTTP Tracking API: an unmodified SDK needs only this host and a write key.

Reference: segment 1. Every path is taken with and without a trailing slash, Content-Type is
ignored, browsers may call from any site (a write key is no secret there, and no cookie is read).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from pipeline.clock import Clock
from pipeline.errors import EnqueueError
from pipeline.ingest.answers import HttpError, error_response, success_response
from pipeline.ingest.bodies import read_body, read_object
from pipeline.ingest.segment_events import Arrival, batch_events, single_event
from pipeline.ingest.write_keys import choose_account
from pipeline.producer import AsyncProducer

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


class SegmentApi:
    """Takes requests for the accounts whose write keys they show."""

    def __init__(self, producer: AsyncProducer, accounts: Mapping[str, str], clock: Clock) -> None:
        self._producer = producer
        self._accounts = accounts
        self._clock = clock

    def routes(self) -> Mount:
        """Everything under /v1."""
        paths = [*SINGLE_PATHS, *BATCH_PATHS]
        routes = [
            Route(f"/{path}{slash}", self._receive, methods=["POST"], name=path)
            for path in paths
            for slash in ("", "/")
        ]
        cors = Middleware(
            CORSMiddleware, allow_origins=["*"], allow_methods=["POST"], allow_headers=["*"]
        )
        return Mount("/v1", routes=routes, middleware=[cors])

    async def _receive(self, request: Request) -> Response:
        try:
            await self._accept(request)
        except HttpError as error:
            return error_response(error)
        except EnqueueError as error:
            return error_response(HttpError(503, "unavailable", f"{error.what}. Try again."))
        except ClientDisconnect:
            return error_response(HttpError(400, "incomplete", "The request ended early."))
        return success_response()

    async def _accept(self, request: Request) -> None:
        body = read_object(await read_body(request.stream()))
        header = request.headers.get("authorization")
        account = choose_account(self._accounts, header, body.get("writeKey"))
        await self._producer.send_all(self._events(request, body), account)

    def _events(self, request: Request, body: Mapping[str, Any]) -> list[bytes]:
        arrival = Arrival(self._clock.now(), lambda: str(uuid.uuid4()))
        path = request.url.path.rstrip("/").rpartition("/")[2]
        if path in BATCH_PATHS:
            return batch_events(body, arrival)
        return [single_event(body, SINGLE_PATHS[path], arrival)]
