"""The HTTP client underneath: httpx's interface over aiohttp's connection pool.

httpx's own pool costs 2 to 7 ms of CPU a request at the concurrency a lane needs; aiohttp's costs
less than one (reference: celery-redis 2.4).

Of a reply only what sailpipe reads gets through: the status, the rate headers and the body as it
came. Both libraries interpret more than that, and raise over what they cannot interpret: a reason
phrase that is not UTF-8, a Location that is no address, a cookie, a Content-Encoding.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import cast

import aiohttp
import httpx
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpProcessingError
from httpx_aiohttp import AiohttpTransport

from pipeline.sailthru.answers import RATE_HEADERS

MAX_CONNECTIONS = 1000
"""Sockets per process; more calls than that are never in flight."""
CONNECT_TIMEOUT_S = 4.0
"""A stalled connect ends before a call's total timeout, so that it is known not to have been sent."""
KEEPALIVE_S = 4.0
"""Idle sockets are closed sooner than common servers close them (5 s): a POST that meets a socket
closed by the other end is an ambiguous failure."""
MAX_HEADER_BYTES = 32 * 1024
MAX_HEADERS = 256
"""Four times what aiohttp takes of one header, and twice as many: an answer does not count for less
because a gateway decorates it. A reply with more of them is none."""
_READ = frozenset(name.encode() for name in RATE_HEADERS)


def open_http(ssl_context: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    """Open the client all accounts of a process share; the caller closes it.

    It follows no redirect, sets no read timeout (the caller bounds the whole call), takes no
    cookies (accounts must not share a session), ignores proxy settings, unpacks no body, and never
    sends anything twice. A request fails with an httpx.HTTPError or an OSError. `ssl_context`
    replaces the public authorities (loading those takes 0.1 s).
    """
    trusted = ssl_context or httpx.create_ssl_context()

    def open_session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=MAX_CONNECTIONS, keepalive_timeout=KEEPALIVE_S, ssl=trusted
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            request_class=_LastCheck,
            response_class=_Wordless,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADERS,
        )
        # aiohttp repeats a GET or DELETE whose kept socket was closed. Each call needs a slot of
        # its own, and there is no public switch; a test would notice if this one went away.
        session._retry_connection = False  # noqa: SLF001
        return session

    return httpx.AsyncClient(
        transport=_Transport(verify=trusted, client=open_session),
        timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT_S),
        headers={"Accept-Encoding": "gzip"},
        follow_redirects=False,
        trust_env=False,
    )


class _Transport(AiohttpTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with _as_httpx_errors():
            reply = await super().handle_async_request(request)
        headers = [(name, value) for name, value in reply.headers.raw if name.lower() in _READ]
        body = _Body(cast("httpx.AsyncByteStream", reply.stream))
        return httpx.Response(reply.status_code, headers=headers, stream=body)


class _Body(httpx.AsyncByteStream):
    """The body's bytes as they came, and httpx's errors for all that can go wrong with them."""

    def __init__(self, raw: httpx.AsyncByteStream) -> None:
        self._raw = raw

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx_errors():
            async for chunk in self._raw:
                yield chunk

    async def aclose(self) -> None:
        with _as_httpx_errors():
            await self._raw.aclose()


@contextmanager
def _as_httpx_errors() -> Iterator[None]:
    """httpx_aiohttp translates some of aiohttp's errors only."""
    try:
        yield
    except (aiohttp.ClientError, HttpProcessingError) as error:
        raise httpx.TransportError(type(error).__name__) from error


class _Wordless(aiohttp.ClientResponse):
    """A reply without its reason phrase, which httpx_aiohttp would encode and httpx would log."""

    async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        started = await super().start(connection)
        started.reason = None
        return started


class TooLate(aiohttp.ClientConnectionError):
    """The call's time was over before its first byte left: the process stood still meanwhile."""


class Unasked(aiohttp.ClientConnectionError):
    """The kept socket holds bytes that no call asked for: they would count as this call's answer.

    A proxy says 408 to an idle socket before it closes it. The call was not sent.
    """


_is_over: ContextVar[Callable[[], bool]] = ContextVar("is_over")


@contextmanager
def not_after(is_over: Callable[[], bool]) -> Iterator[None]:
    """Abort requests made in this block if `is_over()` is true when their first byte would be written.
    Nested blocks combine.

    A timeout cannot see to that: a process that was frozen between its checks and the socket sends
    first and hears of its timeout afterwards, when another process has long made the call.
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


@dataclass(slots=True)
class Departure:
    """Whether a byte of a call was handed to the socket: from then on the server may have it."""

    left: bool = False


_departure: ContextVar[Departure | None] = ContextVar("departure", default=None)


@contextmanager
def watched_departure() -> Iterator[Departure]:
    """Tell of the one call that is made inside whether it has left.

    No class of exception tells: the same reset may come before the first byte, and after the last.
    """
    departure = Departure()
    token = _departure.set(departure)
    try:
        yield departure
    finally:
        _departure.reset(token)


def _note_departure() -> None:
    departure = _departure.get()
    if departure is not None:
        departure.left = True


class _LastCheck(aiohttp.ClientRequest):
    """Asks whether it is over right before bytes are handed to the socket, and notes that they were.

    A request without a body leaves in `send`. One with a body leaves, headers and all, in
    `write_bytes`, which before Python 3.12 is a task of its own: the loop may turn, and the process
    stand still, in between.
    """

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        if is_too_late():
            raise TooLate
        if conn.protocol is not None and conn.protocol.should_close:
            raise Unasked
        reply = await super().send(conn)
        if not self.body:
            _note_departure()
        return reply

    async def write_bytes(
        self, writer: AbstractStreamWriter, conn: aiohttp.connector.Connection, *length: int | None
    ) -> None:
        if not is_too_late():
            _note_departure()
            await super().write_bytes(writer, conn, *length)
        elif conn.protocol is not None:
            conn.protocol.set_exception(TooLate())  # raised where the answer is awaited


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
