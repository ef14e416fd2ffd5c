"""Signed sessions: a cookie that says how its owner logged in, and that only these servers can have written."""

from __future__ import annotations

import secrets
from typing import Any, Final

import redis.asyncio
from starlette.middleware.sessions import SessionMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.guard.credentials import Credentials
from pipeline.guard.operators import Access, Operator
from pipeline.storage import keys

COOKIE: Final = "sailpipe"
MAX_AGE_S: Final = 12 * 3600
"""Seconds from the log-in on; after them a person logs in again."""
_KEY_BYTES = 32


class Sessions:
    """Wraps an app in signed sessions; the key is in Redis, so that all HTTP servers know each other's."""

    def __init__(self, app: ASGIApp, client: redis.asyncio.Redis, credentials: Credentials) -> None:
        self._app = app
        self._redis = client
        self._credentials = credentials
        self._signed: dict[bool, ASGIApp] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises RedisError when the key must be read and Redis does not answer."""
        if not self._signed:
            key = self._credentials.session_key(await self._random())
            self._signed = {secure: self._wrapped(key, secure=secure) for secure in (False, True)}
        await self._signed[scope["scheme"] == "https"](scope, receive, send)

    def _wrapped(self, key: str, *, secure: bool) -> ASGIApp:
        return SessionMiddleware(self._app, key, COOKIE, MAX_AGE_S, https_only=secure)

    async def _random(self) -> bytes:
        await self._redis.set(keys.CONSOLE_KEY, secrets.token_bytes(_KEY_BYTES), nx=True)
        found: Any = await self._redis.get(keys.CONSOLE_KEY)
        return bytes(found)


def logged_in(scope: Scope) -> Operator | None:
    """Whose session a request carries, if any."""
    session = scope.get("session") or {}
    try:
        return Operator(str(session["who"]), Access(session["access"]))
    except (KeyError, ValueError):
        return None


def log_in(scope: Scope, operator: Operator) -> None:
    """Begin a session. What an older one said is forgotten."""
    scope["session"].clear()
    scope["session"].update({"who": operator.who, "access": operator.access.value})


def log_out(scope: Scope) -> None:
    """End the session in this browser."""
    scope["session"].clear()
