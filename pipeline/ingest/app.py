"""The web application: every way in over HTTP in one place, and whether it is well."""

from __future__ import annotations

from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from pipeline.api import Api
from pipeline.clock import Clock, SystemClock
from pipeline.console import HOME, Console
from pipeline.errors import EnqueueError
from pipeline.guard import Guard
from pipeline.ingest.answers import HttpError, error_response
from pipeline.ingest.metrics import Metrics
from pipeline.ingest.openapi import Way, document
from pipeline.ingest.paths import PathTable, PrefixTable
from pipeline.ingest.refusals import Refusals
from pipeline.ingest.sailthru import SailthruApi
from pipeline.ingest.sailthru_requests import api_keys
from pipeline.ingest.segment import CORS, SegmentApi
from pipeline.ingest.shares import Shares
from pipeline.ingest.upstream import Upstream
from pipeline.ingest.vibetrace import VibetraceApi
from pipeline.ingest.webhook import SegmentWebhook
from pipeline.ingest.write_keys import grants, webhook_grants
from pipeline.producer import AsyncProducer
from pipeline.settings import Settings
from pipeline.status.reader import StatusReader


def create_app(
    settings: Settings,
    redis: Redis,
    clock: Clock | None = None,
    upstream: Upstream | None = None,
    redis_url: str = "",
) -> ASGIApp:
    """An ASGI app that puts what comes in over HTTP into the raw stream of `redis`, with the operator's `/console` and `/api`.

    The caller opens and closes `redis` and `upstream`; nothing connects before the first request.
    """
    producer = AsyncProducer(redis)
    upstream = upstream or Upstream(settings, redis)
    health = _Health(producer)
    granted, signers = grants(settings), webhook_grants(settings)
    shares = Shares(redis, {**granted, **signers}, settings)
    refusals = Refusals(redis)
    clock = clock or SystemClock()
    ways: list[Way] = [
        SegmentApi(producer, granted, shares, refusals, clock),
        SegmentWebhook(producer, signers, shares, refusals),
        SailthruApi(producer, api_keys(settings), upstream, refusals, clock),
        VibetraceApi(redis, producer, shares, upstream, granted, settings, refusals, clock),
    ]
    described = JSONResponse(document(ways))
    rest = Starlette(
        routes=[
            Mount("/v1", routes=[], middleware=[CORS]),
            Route("/", _to_console, name="console"),
            Route("/healthz", health.alive, name="healthz"),
            Route("/readyz", health.ready, name="readyz"),
        ],
        exception_handlers={HTTPException: _not_served},
    )
    status = StatusReader(redis, settings, redis_url, clock)
    guard = Guard(settings, redis, clock)
    site = {
        "openapi.json": guard.around(described),
        "api": Api(settings, redis, status, clock, upstream.ask).app(guard),
        "console": Console(settings, redis, status, clock, upstream.ask).app(guard),
    }
    apps = {path: app for way in ways for path, app in way.apps().items()}
    apps["metrics"] = Metrics(settings, redis).guarded(guard)
    return PathTable(apps, PrefixTable(site, rest))


class _Health:
    def __init__(self, producer: AsyncProducer) -> None:
        self._producer = producer

    async def alive(self, _: Request) -> Response:
        """This process answers; nothing else is asked."""
        return JSONResponse({"ok": True})

    async def ready(self, _: Request) -> Response:
        """Whether an event could be taken now: 200, or 503 with the reason."""
        try:
            await self._producer.check_ready()
        except EnqueueError as error:
            return error_response(HttpError(503, "unavailable", f"{error.what}."))
        return JSONResponse({"ok": True})


async def _to_console(_: Request) -> Response:
    return RedirectResponse(HOME, 303)


async def _not_served(_: Request, error: Exception) -> Response:
    """Unknown paths and wrong methods, in the shape of every other refusal."""
    if not isinstance(error, HTTPException):
        raise error
    code = error.detail.lower().replace(" ", "_")
    return error_response(HttpError(error.status_code, code, error.detail))
