"""The way in that is taken most, in front of the web framework: one look at a table instead of its routes."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send


class PathTable:
    """An ASGI app that hands a request to the app of its path, and what has none to `otherwise`.

    Slashes around a path do not count: SDKs end theirs in one, and a base URL that does makes `//v1/batch`.
    """

    def __init__(self, apps: Mapping[str, ASGIApp], otherwise: ASGIApp) -> None:
        """apps: by path without the slashes around it."""
        self._apps = apps
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._apps.get(scope["path"].strip("/")) if scope["type"] == "http" else None
        await (app or self._otherwise)(scope, receive, send)
