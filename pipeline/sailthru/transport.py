"""The HTTP client underneath: httpx's interface over aiohttp's connection pool.

httpx's own pool costs 2 to 7 ms of CPU a request at the concurrency a lane needs; aiohttp's costs
less than one (reference: celery-redis 2.4).
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http.cookiejar import CookieJar, DefaultCookiePolicy

import aiohttp
import httpx
from aiohttp.abc import AbstractStreamWriter
from httpx_aiohttp import AiohttpTransport

MAX_CONNECTIONS = 1000
"""Sockets per process; more calls than that are never in flight."""
CONNECT_TIMEOUT_S = 4.0
"""A stalled connect ends before a call's total timeout, so that it is known not to have been sent."""
KEEPALIVE_S = 4.0
"""Idle sockets are closed sooner than common servers close them (5 s): a POST that meets a socket
closed by the other end is an ambiguous failure."""


def open_http(ssl_context: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    """Open the client all accounts of a process share; whoever opens it closes it.

    It follows no redirect, sets no read timeout (the caller bounds the whole call), takes no
    cookies (accounts must not share a session), ignores proxy settings, and never sends anything
    twice. `ssl_context` replaces the public authorities (loading those takes 0.1 s).
    """
    trusted = ssl_context or httpx.create_ssl_context()

    def open_session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=MAX_CONNECTIONS, keepalive_timeout=KEEPALIVE_S, ssl=trusted
        )
        session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), request_class=_LastCheck
        )
        # aiohttp repeats a GET or DELETE whose kept socket was closed. Each call needs a slot of
        # its own, and there is no public switch; a test would notice if this one went away.
        session._retry_connection = False  # noqa: SLF001
        return session

    return httpx.AsyncClient(
        transport=AiohttpTransport(verify=trusted, client=open_session),
        timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT_S),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        trust_env=False,
    )


class TooLate(aiohttp.ClientConnectionError):
    """The call's time was over before its first byte left: the process stood still meanwhile."""


_is_over: ContextVar[Callable[[], bool]] = ContextVar("is_over")


@contextmanager
def not_after(is_over: Callable[[], bool]) -> Iterator[None]:
    """Let no call inside begin to be sent once `is_over`, or what is said so around it.

    A timeout cannot see to that: a process that was frozen between its checks and the socket sends
    first and hears of its timeout afterwards, when somebody else has long made the call.
    """
    outer = _is_over.get(None)
    token = _is_over.set(is_over if outer is None else lambda: outer() or is_over())
    try:
        yield
    finally:
        _is_over.reset(token)


def is_too_late() -> bool:
    """Whether the call that is being made may not begin any more."""
    is_over = _is_over.get(None)
    return is_over is not None and is_over()


class _LastCheck(aiohttp.ClientRequest):
    """Asks whether it is over right before bytes are handed to the socket.

    A request without a body leaves in `send`. One with a body leaves, headers and all, in
    `write_bytes`, which before Python 3.12 is a task of its own: the loop may turn, and the process
    stand still, in between.
    """

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        if is_too_late():
            raise TooLate
        return await super().send(conn)

    async def write_bytes(
        self, writer: AbstractStreamWriter, conn: aiohttp.connector.Connection, *length: int | None
    ) -> None:
        if not is_too_late():
            await super().write_bytes(writer, conn, *length)
        elif conn.protocol is not None:
            conn.protocol.set_exception(TooLate())  # heard by whoever waits for the answer


def was_sent(error: Exception) -> bool:
    """Whether a failed request may have reached the server.

    httpx's classes don't tell: its aiohttp transport reports a reset after sending as a
    ConnectTimeout too. aiohttp's own error, the cause, does.
    """
    cause = error.__cause__ or error
    never_sent = (
        aiohttp.ClientConnectorError,
        aiohttp.ConnectionTimeoutError,
        TooLate,
        aiohttp.InvalidURL,
        aiohttp.NonHttpUrlClientError,
        httpx.UnsupportedProtocol,
    )
    return not isinstance(cause, never_sent)


def hide_queries_in_logs() -> None:
    """Cut the query from the URLs httpx logs: it holds the key and signature of a GET."""
    logger = logging.getLogger("httpx")
    if not any(isinstance(known, _WithoutQuery) for known in logger.filters):
        logger.addFilter(_WithoutQuery())


class _WithoutQuery(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                arg.copy_with(query=None) if isinstance(arg, httpx.URL) else arg
                for arg in record.args
            )
        return True
