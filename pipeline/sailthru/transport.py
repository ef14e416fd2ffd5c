"""The HTTP transport underneath: httpx's requests and responses over sockets of our own.

A call costs a third of what it costs over httpx.AsyncClient and aiohttp's pool (`python -m benchmarks.http_calls`):
no call of ours has cookies, redirects, hooks or proxies. Head and body leave in one write, so that it is
known of each call whether it has left.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from base64 import b64encode
from dataclasses import dataclass, field

import httpx
from aiohappyeyeballs import start_connection
from aiohappyeyeballs.types import AddrInfoType

from pipeline.sailthru.connection import Connection, Departure, TooLate

MAX_CONNECTIONS = 1000
"""Sockets per process; more calls than that are never in flight."""
CONNECT_TIMEOUT_S = 4.0
"""A stalled connect ends before a call's total timeout, so that it is known not to have been sent. From the look-up of
the name to the end of the TLS handshake."""
KEEPALIVE_S = 4.0
"""Idle sockets are closed sooner than common servers close them (5 s): a POST that meets a socket
closed by the other end is an ambiguous failure."""
SWEEP_S = 1.0
"""How often they are looked for."""
NAME_S = 10.0
"""For how long the addresses of a host are remembered, so that a burst of new sockets is one look-up."""
SECOND_ADDRESS_S = 0.25
"""When a host's next address is tried beside one that does not answer (RFC 8305)."""
DEPARTURE = "departure"
"""Name of the request's extension that is its Departure."""
_PORTS = {"http": 80, "https": 443}
_OWN_HEADERS = frozenset({b"content-length", b"transfer-encoding"})
_BODILESS = frozenset({"GET", "DELETE"})


def open_http(ssl_context: ssl.SSLContext | None = None) -> Transport:
    """Open the transport all accounts of a process share; the caller closes it. `ssl_context` replaces the public
    authorities (loading those takes 0.1 s)."""
    return Transport(ssl_context or httpx.create_ssl_context())


@dataclass(slots=True, eq=False)
class _Host:
    """A server: its idle sockets, the longest idle one first, and its addresses."""

    name: str
    port: int
    is_tls: bool
    idle: dict[Connection, None] = field(default_factory=dict)
    addresses: list[AddrInfoType] = field(default_factory=list)
    known_until: float = 0.0
    looking_up: asyncio.Lock = field(default_factory=asyncio.Lock)


class Transport(httpx.AsyncBaseTransport):
    """Sends each request once, over sockets that are kept.

    It follows no redirect, sets no timeout but for connecting (the caller bounds the whole call), takes no
    cookies (accounts must not share a session), ignores proxy settings, and unpacks no body. A request fails with
    an httpx.TransportError. One that has a Departure as its extension keeps to it.
    """

    def __init__(self, trusted: ssl.SSLContext) -> None:
        self._trusted = trusted
        self._hosts: dict[tuple[str, bytes, int | None], _Host] = {}
        self._open: set[Connection] = set()
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self._busy = 0
        self._sweeper: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._emptied = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The reply's head; its body is the response's stream. A request that breaks its own head is a ValueError."""
        if self._is_closed:
            msg = "the transport is closed"
            raise RuntimeError(msg)
        departure = request.extensions.get(DEPARTURE) or Departure(lambda: False)
        message = _message(request, await request.aread())
        if departure.is_over():
            raise TooLate(request.method)
        await self._slots.acquire()
        self._busy += 1
        try:
            host = self._host_of(request.url)
            connection = self._kept(host) or await self._connect(host)
            reply = connection.send(message, departure)
        except BaseException:
            self._release()
            raise
        await reply.head()
        return httpx.Response(reply.status, headers=reply.headers, stream=reply)

    async def aclose(self) -> None:
        """Close the sockets, and with them what is under way. A request after it raises RuntimeError."""
        self._is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self._open):
            connection.abort()
        if self._open:
            await self._emptied.wait()

    def opened(self, connection: Connection) -> None:
        """A socket is there."""
        self._open.add(connection)
        if self._is_closed:
            connection.abort()

    def ended(self, connection: Connection, *, reusable: bool) -> None:
        """A call is over: its socket serves the next one, if it can."""
        self._release()
        if reusable and not self._is_closed:
            loop = asyncio.get_running_loop()
            connection.idle_since = loop.time()
            connection.idle[connection] = None
            if self._sweeper is None:
                self._sweeper = loop.call_later(SWEEP_S, self._sweep)

    def lost(self, connection: Connection) -> None:
        """A socket is closed."""
        self._open.discard(connection)
        connection.idle.pop(connection, None)
        if self._is_closed and not self._open:
            self._emptied.set()

    def _release(self) -> None:
        self._busy -= 1
        self._slots.release()

    def _host_of(self, url: httpx.URL) -> _Host:
        key = url.scheme, url.raw_host, url.port
        host = self._hosts.get(key)
        if host is None:
            if url.scheme not in _PORTS or not url.raw_host:
                raise httpx.UnsupportedProtocol(url.scheme)
            name, port = url.raw_host.decode(), url.port or _PORTS[url.scheme]
            host = self._hosts[key] = _Host(name, port, url.scheme == "https")
        return host

    def _kept(self, host: _Host) -> Connection | None:
        """The socket that was used last, if it is as it was left."""
        while host.idle:
            connection, _ = host.idle.popitem()
            idle_s = asyncio.get_running_loop().time() - connection.idle_since
            if idle_s < KEEPALIVE_S and connection.is_quiet():
                return connection
            connection.abort()
        return None

    async def _connect(self, host: _Host) -> Connection:
        if self._busy + sum(len(one.idle) for one in self._hosts.values()) > MAX_CONNECTIONS:
            self._close_idle()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                connection = await self._dial(host)
        except TimeoutError as error:
            raise httpx.ConnectTimeout(host.name) from error
        except (OSError, UnicodeError) as error:
            host.known_until = 0.0
            raise httpx.ConnectError(host.name) from error
        return connection

    async def _dial(self, host: _Host) -> Connection:
        loop = asyncio.get_running_loop()
        async with host.looking_up:
            if loop.time() >= host.known_until:
                host.addresses = await _addresses_of(host)
                host.known_until = loop.time() + NAME_S
        sock = await start_connection(host.addresses, happy_eyeballs_delay=SECOND_ADDRESS_S)
        _, connection = await loop.create_connection(
            lambda: Connection(self, host.idle),
            sock=sock,
            ssl=self._trusted if host.is_tls else None,
            server_hostname=host.name.rstrip(".") if host.is_tls else None,
        )
        return connection

    def _close_idle(self) -> None:
        """Close the socket of all hosts that has been idle for longest."""
        oldest = [next(iter(host.idle)) for host in self._hosts.values() if host.idle]
        if oldest:
            _drop(min(oldest, key=lambda one: one.idle_since))

    def _sweep(self) -> None:
        """Close what has been idle for too long. It comes again for as long as any socket is idle."""
        loop = asyncio.get_running_loop()
        self._sweeper = None
        for host in self._hosts.values():
            for connection in list(host.idle):
                if connection.idle_since + KEEPALIVE_S > loop.time():
                    self._sweeper = self._sweeper or loop.call_later(SWEEP_S, self._sweep)
                    break
                _drop(connection)


def _drop(connection: Connection) -> None:
    connection.idle.pop(connection, None)
    connection.abort()


async def _addresses_of(host: _Host) -> list[AddrInfoType]:
    """What a name stands for. An address needs no look-up, and with it no thread."""
    where, kind = (host.name, host.port), socket.SOCK_STREAM
    with contextlib.suppress(socket.gaierror):
        return list(socket.getaddrinfo(*where, type=kind, flags=socket.AI_NUMERICHOST))
    return list(await asyncio.get_running_loop().getaddrinfo(*where, type=kind))


def _message(request: httpx.Request, body: bytes) -> bytes:
    """Head and body as they are sent."""
    url = request.url
    lines = [
        b"%b %b HTTP/1.1" % (request.method.encode(), url.raw_path),
        *(b"%b: %b" % pair for pair in request.headers.raw if pair[0].lower() not in _OWN_HEADERS),
    ]
    if url.userinfo and "authorization" not in request.headers:
        user = f"{url.username}:{url.password}".encode()
        lines.append(b"Authorization: Basic %b" % b64encode(user))
    if body or request.method not in _BODILESS:
        lines.append(b"Content-Length: %d" % len(body))
    head = b"\r\n".join(lines)
    if not head.count(b"\n") == head.count(b"\r") == len(lines) - 1:
        msg = "a header has more than one line"
        raise ValueError(msg)
    return b"%b\r\n\r\n%b" % (head, body)
