"""The guard as ASGI middleware: what it lets through has an operator, and may do what it asks."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from urllib.parse import quote

import redis.asyncio
from redis.exceptions import RedisError
from secure import CacheControl, ContentSecurityPolicy, Secure
from secure.headers import (
    CrossOriginOpenerPolicy,
    CrossOriginResourcePolicy,
    ReferrerPolicy,
    XContentTypeOptions,
    XFrameOptions,
)
from secure.middleware import SecureASGIMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.clock import Clock
from pipeline.guard.credentials import Credentials, bearer
from pipeline.guard.operators import LOCAL, Operator
from pipeline.guard.rules import Refusal, Visit, refuse
from pipeline.guard.sessions import Sessions, logged_in
from pipeline.guard.tries import Tries
from pipeline.settings import Settings

LOGIN: Final = "/console/login"
OPERATOR: Final = "sailpipe.operator"
_READS: Final = frozenset({"GET", "HEAD"})
_NOT_LOGGED_IN = Refusal(
    401,
    "not_logged_in",
    "Show a token (Authorization: Bearer ...) from SAILPIPE_CONSOLE_TOKEN, or log in to the console.",
)
_READ_ONLY = Refusal(403, "read_only", "This log-in may look at everything and change nothing.")
_REDIS_AWAY = Refusal(
    503, "unavailable", "Redis does not answer, or refuses: sailpipe doctor says why."
)


class Guard:
    """What guarded apps share: the rules, who may come in, sessions, and tries at the password."""

    def __init__(self, settings: Settings, client: redis.asyncio.Redis, clock: Clock) -> None:
        self.credentials = Credentials(settings)
        self.tries = Tries(clock)
        self._hosts = settings.console_hosts
        self._redis = client

    def around(
        self,
        app: ASGIApp,
        *,
        harmless: Collection[str] = (),
        public: Collection[str] = (),
        metrics: bool = False,
    ) -> ASGIApp:
        """The app behind this guard.

        harmless: paths whose POST changes nothing, which a read-only operator may send, too.
        public: paths, or folders that end in `/`, which who is not logged in may see.
        metrics: METRICS_TOKEN lets in, too.
        """
        door = _Door(self, app, frozenset(harmless), frozenset(public), metrics=metrics)
        sessions = Sessions(door, self._redis, self.credentials)
        return _Entrance(self, door, sessions)

    def refusal(self, scope: Scope) -> Refusal | None:
        """Why a request is not answered, before an operator is asked who they are."""
        has_token = bearer(_visit(scope).header("authorization")) is not None
        return refuse(
            _visit(scope), self._hosts, has_password=self.credentials.has_password or has_token
        )

    def operator(self, scope: Scope, *, metrics: bool = False) -> Operator | None:
        """Who asks. A token that is shown counts, right or wrong; else the session, else this machine."""
        token = bearer(_visit(scope).header("authorization"))
        if token is not None:
            return self.credentials.by_token(token, metrics=metrics)
        return logged_in(scope) if self.credentials.has_password else LOCAL


class _Entrance:
    """Refuses what breaks a rule, before anything is read for it, and adds the headers to every answer."""

    def __init__(self, guard: Guard, door: ASGIApp, sessions: ASGIApp) -> None:
        self._guard = guard
        self._door = door
        self._sessions = sessions
        self._with_headers = SecureASGIMiddleware(self._enter, secure=_headers())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._with_headers(scope, receive, send)  # type: ignore[arg-type]

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._guard.refusal(scope)
        if refusal is not None:
            await _answer(scope, refusal)(scope, receive, send)
            return
        inner = self._sessions if self._guard.credentials.has_password else self._door
        started = False

        async def noting(message: object) -> None:
            nonlocal started
            started = True
            await send(message)  # type: ignore[arg-type]

        try:
            await inner(scope, receive, noting)
        except RedisError:
            if started:
                raise
            await _answer(scope, _REDIS_AWAY)(scope, receive, send)


class _Door:
    """Lets in who shows who they are, for what they may do."""

    def __init__(
        self,
        guard: Guard,
        app: ASGIApp,
        harmless: frozenset[str],
        public: frozenset[str],
        *,
        metrics: bool,
    ) -> None:
        self._guard = guard
        self._app = app
        self._harmless = harmless | {LOGIN}
        self._public = public | {LOGIN}
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        operator = self._guard.operator(scope, metrics=self._metrics)
        path = scope["path"]
        scope[OPERATOR] = operator
        response: Response | None = None
        if operator is None and not self._is_public(path):
            response = _log_in_first(scope)
        elif (
            operator is not None
            and not operator.may_change
            and scope["method"] not in _READS
            and path not in self._harmless
        ):
            response = _answer(scope, _READ_ONLY)
        await (response or self._app)(scope, receive, send)

    def _is_public(self, path: str) -> bool:
        return any(
            path.startswith(one) if one.endswith("/") else path == one for one in self._public
        )


def operator_of(scope: Scope) -> Operator | None:
    """Who sent a request that the guard let through; None on a public page, before the log-in."""
    found: Operator | None = scope.get(OPERATOR)
    return found


def refused(refusal: Refusal) -> JSONResponse:
    """As JSON, in the shape of every other refusal."""
    body = {"success": False, "code": refusal.code}
    return JSONResponse(
        body | {"message": refusal.message, "error": refusal.message}, refusal.status
    )


def _headers() -> Secure:
    nothing, own = "'none'", "'self'"
    csp = ContentSecurityPolicy().default_src(nothing).script_src(own).style_src(own)
    csp = csp.img_src(own, "data:").connect_src(own).form_action(own).base_uri(nothing)
    return Secure(
        csp=csp.frame_ancestors(nothing),
        cache=CacheControl().no_store(),
        coop=CrossOriginOpenerPolicy().same_origin(),
        corp=CrossOriginResourcePolicy().same_origin(),
        referrer=ReferrerPolicy().same_origin(),
        xcto=XContentTypeOptions().nosniff(),
        xfo=XFrameOptions().deny(),
    )


def _visit(scope: Scope) -> Visit:
    client = scope.get("client")
    return Visit(
        scope["method"],
        client[0] if client else None,
        tuple(
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in scope["headers"]
        ),
        scope.get("http_version", "1.1"),
    )


def _log_in_first(scope: Scope) -> Response:
    if not scope["path"].startswith("/console"):
        response = _answer(scope, _NOT_LOGGED_IN)
        response.headers["WWW-Authenticate"] = "Bearer"
        return response
    if _visit(scope).header("hx-request"):
        # A script that swaps a part of a page would find nothing of it on the log-in page, and empty it.
        return _answer(scope, _NOT_LOGGED_IN)
    target = ""
    if scope["method"] in _READS:
        query = scope["query_string"].decode("latin-1")
        target = "?next=" + quote(scope["path"] + (f"?{query}" if query else ""), safe="")
    return RedirectResponse(LOGIN + target, 303)


def _answer(scope: Scope, refusal: Refusal) -> Response:
    if scope["path"].startswith("/console"):
        return PlainTextResponse(f"{refusal.message}\n", refusal.status)
    return refused(refusal)
