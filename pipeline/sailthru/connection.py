"""One socket to a server and the reply that comes in over it: an asyncio protocol with llhttp as its parser.

Of a reply only what sailpipe reads is kept: the status, the rate headers and the body as it came.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

import httptools
import httpx

from pipeline.sailthru.answers import RATE_HEADERS

MAX_HEAD_BYTES = 64 * 1024
"""Of the lines before a body, interim ones too, that came in pieces: gateways decorate answers. A longer head is none."""
MAX_HEADERS = 256
_READ = frozenset(name.encode() for name in RATE_HEADERS)
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_SWITCHING = 101
_LENIENT = {
    "lenient_headers": True,
    "lenient_optional_cr_before_lf": True,
    "lenient_spaces_after_chunk_size": True,
}
"""A call that was accepted is not made again over a control character in a Location, or a bare line feed. What llhttp
calls dangerous is so for a proxy, which might see other borders between replies than the next one: here none follows."""


@dataclass(slots=True)
class Departure:
    """The moment at which a call is handed to the socket.

    is_over: asked right before the first byte. If it says yes, no byte leaves. A timeout cannot see to that: a process
    that was frozen between its checks and the socket sends first and hears of its timeout afterwards, when
    another process has long made the call.
    left: whether the call was handed over: from then on the server may have it. No class of exception
    tells: the same reset may come before the first byte, and after the last.
    """

    is_over: Callable[[], bool]
    left: bool = False


class TooLate(httpx.TransportError):
    """The call's time was over before its first byte left: the process stood still meanwhile."""


class Unasked(httpx.TransportError):
    """The new socket was closed, or bytes came that no call had asked for. The call was not sent."""


class Disconnected(httpx.TransportError):
    """The socket was closed, by one side or the other, before the reply was whole."""


class Malformed(httpx.TransportError):
    """The reply is not HTTP, or has more of a head than is read."""


class Owner(Protocol):
    """What a connection reports to."""

    def opened(self, connection: Connection) -> None:
        """The socket is there, its TLS handshake included."""

    def ended(self, connection: Connection, *, reusable: bool) -> None:
        """The reply of the call that `connection` had is whole, or will never be."""

    def lost(self, connection: Connection) -> None:
        """The socket is closed."""


class Reply(httpx.AsyncByteStream):
    """One reply. As a stream it is the body: what has come is given before an error is raised."""

    def __init__(self, connection: Connection) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.has_head = False  # the status and the headers are known
        self.is_whole = False
        self.is_framed = False  # the head says where the body ends
        self.names = 0  # headers that have come
        self.chunks: list[bytes] = []
        self._connection = connection
        self._is_announced = self._is_over = False
        self._error: httpx.TransportError | None = None
        self._news: asyncio.Future[None] | None = None

    async def head(self) -> None:
        """Wait until the head has come. A call that is cancelled meanwhile takes its socket with it."""
        try:
            while not self._is_announced:
                self._raise_error()
                await self._wait()
        finally:
            if not self._is_announced:
                await self.aclose()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            if self.chunks:
                chunk = b"".join(self.chunks)
                self.chunks.clear()
                yield chunk
            elif self._is_over:
                self._raise_error()
                return
            else:
                await self._wait()

    async def aclose(self) -> None:
        """Close the socket, unless the reply has ended: then the socket is no longer its own."""
        if not self._is_over:
            self._connection.abort()

    def announce(self) -> None:
        """Say that the head, or more of the body, has come."""
        self._is_announced = True
        self._wake()

    def end(self, error: httpx.TransportError | None) -> None:
        """Nothing more will come: all is here, or `error` says why not."""
        self._error, self._is_over = error, True
        self._wake()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def _wait(self) -> None:
        self._news = asyncio.get_running_loop().create_future()
        await self._news


class Connection(asyncio.Protocol):
    """A socket that has one call at a time. It closes itself as soon as it can have no other after it.

    idle: the sockets to the same server that have no call, among them this one when it has none.
    idle_since: loop time, in seconds.
    """

    def __init__(self, owner: Owner, idle: dict[Connection, None]) -> None:
        self.idle = idle
        self.idle_since = 0.0
        self._owner = owner
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(**_LENIENT)
        self._reply: Reply | None = None  # of the call that is under way
        # What bytes are read into: a spare one if no call asked for them.
        self._parsed = Reply(self)
        self._head_bytes = 0
        self._keep = False
        self._readable = select.poll()

    def send(self, message: bytes, departure: Departure) -> Reply:
        """Hand the whole of a call to the socket, in one write: before it no byte has left.

        Raises:
            TooLate: the call is over.
            Unasked: the socket cannot be trusted with a call. Neither was sent.
        """
        if self._transport.is_closing():
            raise Unasked(type(self).__name__)
        if departure.is_over():
            self.abort()
            raise TooLate(type(self).__name__)
        self._reply = self._parsed = reply = Reply(self)
        self._head_bytes, self._keep = 0, False
        departure.left = True
        self._transport.write(message)
        return reply

    def is_quiet(self) -> bool:
        """Whether the socket is open, and neither its end nor a byte waits to be read: either would be taken for
        the next call's reply."""
        return not self._transport.is_closing() and not self._readable.poll(0)

    def abort(self) -> None:
        """Close the socket at once, whatever was still to be written."""
        self._transport.abort()

    # ---- what asyncio says ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket over."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(transport)
        self._transport = transport
        self._readable.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._owner.opened(self)

    def data_received(self, data: bytes) -> None:
        """Read on. Whatever else comes in the same piece as the end of a reply must be HTTP as well."""
        reply = self._reply
        if reply is None:
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._keep = False  # the status says so: what follows is another protocol
        except httptools.HttpParserError:
            self._end(reply, Malformed("not HTTP"))
            return
        if not reply.has_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._end(reply, Malformed("no end of the head"))
            return
        reply.announce()
        if reply.is_whole:
            self._end(reply, None)

    def eof_received(self) -> None:
        """The server writes no more, so it is of no use that it may read."""
        self._cut_short(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._cut_short(exc)
        self._owner.lost(self)

    def _cut_short(self, cause: Exception | None) -> None:
        reply = self._reply
        if reply is None:
            return
        self._keep = False
        ends_so = cause is None and reply.has_head and not reply.is_framed
        error = None if ends_so else Disconnected("closed")
        if error is not None:
            error.__cause__ = cause
        self._end(reply, error)

    def _end(self, reply: Reply, error: httpx.TransportError | None) -> None:
        self._reply = None
        reply.end(error)
        is_sent = self._transport.get_write_buffer_size() == 0
        reusable = error is None and self._keep and is_sent and not self._transport.is_closing()
        if not reusable:
            self.abort()
        self._owner.ended(self, reusable=reusable)

    # ---- what the parser says ------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of a reply, or of one that no call asked for."""
        if self._parsed.is_whole:
            self._parsed = Reply(self)
            self._keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or one line after the last chunk."""
        parsed = self._parsed
        if parsed.has_head:
            return
        parsed.names += 1
        if parsed.names > MAX_HEADERS:
            raise Malformed("too many headers")
        lowered = name.lower()
        if lowered in _READ:
            parsed.headers.append((lowered, value))
        elif lowered in _FRAMING:
            parsed.is_framed = True

    def on_headers_complete(self) -> None:
        """The head is whole. Informing ones (100, 103) come before the one that counts."""
        parsed = self._parsed
        parsed.status = self._parser.get_status_code()
        parsed.has_head = not 100 <= parsed.status < 200 or parsed.status == _SWITCHING

    def on_body(self, body: bytes) -> None:
        """A piece of the body, without its chunks' sizes."""
        self._parsed.chunks.append(body)

    def on_message_complete(self) -> None:
        """The reply is whole."""
        parsed = self._parsed
        if parsed.has_head:
            parsed.is_whole = True
            self._keep = self._parser.should_keep_alive() and parsed is self._reply
        else:
            parsed.headers.clear()
            parsed.is_framed = False
