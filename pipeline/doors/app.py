"""The web application: every door in one place, and whether it is well."""

from __future__ import annotations

from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.clock import Clock, SystemClock
from pipeline.doors.answers import DoorError, refused
from pipeline.doors.intake import Intake
from pipeline.doors.segment import SegmentDoor
from pipeline.doors.write_keys import write_key_accounts
from pipeline.settings import Settings


def create_app(settings: Settings, redis: Redis, clock: Clock | None = None) -> Starlette:
    """An ASGI app that puts what the doors take into the raw stream of `redis`.

    The caller opens and closes `redis`; nothing connects before the first request.
    """
    intake = Intake(redis)
    health = _Health(intake)
    segment = SegmentDoor(intake, write_key_accounts(settings), clock or SystemClock())
    return Starlette(
        routes=[
            segment.routes(),
            Route("/healthz", health.alive, name="healthz"),
            Route("/readyz", health.ready, name="readyz"),
        ],
        exception_handlers={HTTPException: _not_served},
    )


class _Health:
    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def alive(self, _: Request) -> Response:
        """This process answers; nothing else is asked."""
        return JSONResponse({"ok": True})

    async def ready(self, _: Request) -> Response:
        """Whether an event could be taken now: 200, or 503 while Redis is away."""
        if await self._intake.ready():
            return JSONResponse({"ok": True})
        return refused(DoorError(503, "unavailable", "Redis does not answer."))


async def _not_served(_: Request, error: Exception) -> Response:
    """Unknown paths and wrong methods, in the shape of every other refusal."""
    if not isinstance(error, HTTPException):
        raise error
    code = error.detail.lower().replace(" ", "_")
    return refused(DoorError(error.status_code, code, error.detail))
