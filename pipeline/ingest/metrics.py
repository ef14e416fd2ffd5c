"""`GET /metrics`: what Prometheus reads, behind the guard."""

from __future__ import annotations

from redis.asyncio import Redis
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.guard import Guard
from pipeline.metrics.collector import CONTENT_TYPE, metrics_text
from pipeline.settings import Settings


class Metrics:
    """An ASGI app with one answer."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self._settings = settings
        self._redis = redis

    def guarded(self, guard: Guard) -> ASGIApp:
        """It, for who may see it."""
        return guard.around(self, metrics=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method not in {"GET", "HEAD"}:
            return PlainTextResponse("GET it.\n", 405, {"Allow": "GET, HEAD"})
        text = await metrics_text(self._redis, self._settings)
        return Response(text, headers={"Content-Type": CONTENT_TYPE})
