"""The way in that is taken most, in front of the web framework: one look at a table instead of its routes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.ingest.answers import HttpError, error_response

_LENGTHS = {b"content-length", b"transfer-encoding"}


class PathTable:
    """An ASGI app that hands a request to the app of its path, and what has none to `otherwise`.

    Slashes around a path do not count: SDKs end theirs in one, and a base URL that does makes `//v1/batch`.
    """

    def __init__(self, apps: Mapping[str, ASGIApp], otherwise: ASGIApp) -> None:
        """apps: by path without the slashes around it."""
        self._apps = apps
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp | None = None
        if scope["type"] == "http":
            app = self._apps.get(scope["path"].strip("/"))
            if _has_two_lengths(scope["headers"]):
                app = _refuse_two_lengths
        await (app or self._otherwise)(scope, receive, send)


class PrefixTable:
    """An ASGI app that hands a request to the app of its path's first part, and any other to `otherwise`."""

    def __init__(self, apps: Mapping[str, ASGIApp], otherwise: ASGIApp) -> None:
        """apps: by the first part of their paths, without slashes."""
        self._apps = apps
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp | None = None
        if scope["type"] == "http":
            app = self._apps.get(scope["path"].split("/", 2)[1])
        await (app or self._otherwise)(scope, receive, send)


def _has_two_lengths(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return len({name for name, _ in headers} & _LENGTHS) > 1


async def _refuse_two_lengths(scope: Scope, receive: Receive, send: Send) -> None:
    """A proxy may believe the other one, and take the body's end for the next client's request."""
    error = HttpError(
        400, "two_lengths", "Content-Length and Transfer-Encoding exclude each other."
    )
    response = error_response(error)
    response.headers["Connection"] = "close"
    await response(scope, receive, send)
