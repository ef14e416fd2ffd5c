"""The HTTP transport underneath: httpx's requests and responses over aiohttp's connection pool.

httpx's own pool costs 2 to 7 ms of CPU a request at the concurrency a lane needs; aiohttp's costs less than one
(reference: celery-redis 2.4). httpx.AsyncClient in front of it costs as much again for cookies, redirects, hooks and
proxies that no call of ours has (`python -m benchmarks.http_calls`), so requests are handed to the transport itself.

Of a reply only what sailpipe reads gets through: the status, the rate headers and the body as it
came. Both libraries interpret more than that, and raise over what they cannot interpret: a reason
phrase that is not UTF-8, a Location that is no address, a cookie, a Content-Encoding.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import aiohttp
import httpx
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpProcessingError

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
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
DEPARTURE = "departure"
"""Name of the request's extension that is its Departure."""


@dataclass(slots=True)
class Departure:
    """The moment at which a call is handed to the socket.

    is_over: asked right before the first byte. If it says yes, no byte leaves. A timeout cannot see to that: a process
    that was frozen between its checks and the socket sends first and hears of its timeout afterwards, when
    another process has long made the call.
    left: whether a byte was handed over: from then on the server may have the call. No class of exception
    tells: the same reset may come before the first byte, and after the last.
    """

    is_over: Callable[[], bool]
    left: bool = False


_departure: ContextVar[Departure | None] = ContextVar("departure", default=None)


def open_http(ssl_context: ssl.SSLContext | None = None) -> Transport:
    """Open the transport all accounts of a process share; the caller closes it. `ssl_context` replaces the public
    authorities (loading those takes 0.1 s)."""
    return Transport(ssl_context or httpx.create_ssl_context())


class Transport(httpx.AsyncBaseTransport):
    """Sends each request once, over sockets that are kept.

    It follows no redirect, sets no timeout but for connecting (the caller bounds the whole call), takes no
    cookies (accounts must not share a session), ignores proxy settings, and unpacks no body. A request fails with
    an httpx.TransportError or an OSError. One that has a Departure as its extension keeps to it.
    """

    def __init__(self, trusted: ssl.SSLContext) -> None:
        self._trusted = trusted
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The reply's head; its body is the response's stream."""
        session = self._session or self._open()
        token = _departure.set(request.extensions.get(DEPARTURE))
        try:
            with _as_httpx_errors():
                reply = await session.request(
                    request.method,
                    str(request.url),
                    headers=[
                        (name.decode(), value.decode()) for name, value in request.headers.raw
                    ],
                    data=await request.aread() or None,
                    allow_redirects=False,
                    timeout=_TIMEOUT,
                )
        finally:
            _departure.reset(token)
        headers = [pair for pair in reply.raw_headers if pair[0].lower() in _READ]
        return httpx.Response(reply.status, headers=headers, stream=_Body(reply))

    async def aclose(self) -> None:
        """Close the sockets. A request after it raises RuntimeError."""
        await (self._session or self._open()).close()

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=MAX_CONNECTIONS, keepalive_timeout=KEEPALIVE_S, ssl=self._trusted
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            request_class=_LastCheck,
            response_class=_Wordless,
            auto_decompress=False,
            trust_env=False,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADERS,
        )
        # aiohttp repeats a GET or DELETE whose kept socket was closed. Each call needs a slot of
        # its own, and there is no public switch; a test would notice if this one went away.
        self._session._retry_connection = False  # noqa: SLF001
        return self._session


class _Body(httpx.AsyncByteStream):
    """The body's bytes as they came, and httpx's errors for all that can go wrong with them."""

    def __init__(self, reply: aiohttp.ClientResponse) -> None:
        self._reply = reply

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx_errors():
            async for chunk in self._reply.content.iter_any():
                yield chunk

    async def aclose(self) -> None:
        """Give the socket back, or close it when the body was not read to its end."""
        self._reply.release()
        with _as_httpx_errors():
            await self._reply.wait_for_close()


@contextmanager
def _as_httpx_errors() -> Iterator[None]:
    """All of aiohttp's errors as httpx's; the cause tells which one it was."""
    try:
        yield
    except (aiohttp.ClientError, HttpProcessingError) as error:
        raise httpx.TransportError(type(error).__name__) from error


class _Wordless(aiohttp.ClientResponse):
    """A reply without its reason phrase, which aiohttp would quote in errors."""

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


class _LastCheck(aiohttp.ClientRequest):
    """Asks whether it is over right before bytes are handed to the socket, and notes that they were.

    A request without a body leaves in `send`. One with a body leaves, headers and all, in
    `write_bytes`, which before Python 3.12 is a task of its own: the loop may turn, and the process
    stand still, in between.
    """

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        departure = _departure.get()
        if departure is not None and departure.is_over():
            raise TooLate
        if conn.protocol is not None and conn.protocol.should_close:
            raise Unasked
        reply = await super().send(conn)
        if departure is not None and not self.body:
            departure.left = True
        return reply

    async def write_bytes(
        self, writer: AbstractStreamWriter, conn: aiohttp.connector.Connection, *length: int | None
    ) -> None:
        departure = _departure.get()
        if departure is None or not departure.is_over():
            if departure is not None:
                departure.left = True
            await super().write_bytes(writer, conn, *length)
        elif conn.protocol is not None:
            conn.protocol.set_exception(TooLate())  # raised where the answer is awaited
