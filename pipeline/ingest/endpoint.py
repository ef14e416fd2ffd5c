"""One path that takes posted events: it reads the body, hands it on, and answers as Segment's SDKs read answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pipeline.errors import EnqueueError
from pipeline.ingest.answers import HttpError, error_response, success_response
from pipeline.ingest.bodies import read_body
from pipeline.ingest.refusals import Refusals

Take: TypeAlias = Callable[[Headers, bytes], Awaitable[None]]
"""Puts what a request brought into the raw stream. Raises HttpError or EnqueueError; nothing of it was taken then."""


class Endpoint:
    """An ASGI app."""

    def __init__(self, take: Take, refusals: Refusals) -> None:
        self._take = take
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST":
            response = await self._answer(Headers(scope=scope), receive)
        else:
            response = error_response(HttpError(405, "method_not_allowed", "Method Not Allowed"))
            response.headers["Allow"] = "POST"
        await self._refusals.write_behind(response)(scope, receive, send)

    async def _answer(self, headers: Headers, receive: Receive) -> Response:
        try:
            await self._take(headers, await read_body(receive))
        except HttpError as error:
            return self._refuse(error)
        except EnqueueError as error:
            return self._refuse(HttpError(503, "unavailable", f"{error.what}. Try again."))
        return success_response()

    def _refuse(self, error: HttpError) -> Response:
        self._refusals.count(error.code)
        return error_response(error)
