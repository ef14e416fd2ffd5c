"""How long a request may take to come, and how many connections may be open; a slow sender makes room.

uvicorn bounds neither. A few hundred connections that send half a request each would use up the process's
descriptors, and no other client could connect.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from typing import cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.clock import Clock
from pipeline.observe.logs import log_event

KEEP_ALIVE_S = 65
"""Seconds after which an idle connection is closed: longer than clients and proxies keep theirs, 60 s at most by default. One
that both close in the same moment costs the client an error for a request that was never read."""
REQUEST_S = 70.0
"""Seconds until a request has come whole, counted from the connection or the last answer on it."""
MAX_CONNECTIONS = 2_000
"""Each may hold a body of half a megabyte that is not whole yet."""
RESERVE = 512
"""Descriptors that are no counted connections: Redis, files, and what was accepted a moment ago."""
SAID_EVERY_S = 60.0
_SWEEP_S = 1.0


class Senders:
    """The connections that owe us a request, the rest of one, or the reading of our answers; the oldest debt first."""

    def __init__(self, most: int, clock: Clock) -> None:
        self._most = most
        self._clock = clock
        self._owing: dict[asyncio.Transport, float] = {}
        self._open: set[asyncio.Transport] = set()
        self._closed = 0
        self._said_at: float | None = None

    def connected(self, transport: asyncio.Transport) -> None:
        """A connection was made. If they are too many now, the slowest sender's is closed."""
        self._open.add(transport)
        self.owes(transport)
        if len(self._open) > self._most:
            self._close(next(iter(self._owing)))

    def owes(self, transport: asyncio.Transport) -> None:
        """From now on the next request is waited for."""
        self._owing.pop(transport, None)
        self._owing[transport] = self._clock.monotonic()

    def has_sent(self, transport: asyncio.Transport) -> None:
        """Its request is whole."""
        self._owing.pop(transport, None)

    def gone(self, transport: asyncio.Transport) -> None:
        """The connection has ended."""
        self._owing.pop(transport, None)
        self._open.discard(transport)

    async def watch(self) -> None:
        """Close, again and again, what has owed a request for REQUEST_S."""
        while True:
            await self._clock.sleep(_SWEEP_S)
            self.close_overdue()

    def close_overdue(self) -> None:
        """Close what has owed a request for REQUEST_S."""
        since = self._clock.monotonic() - REQUEST_S
        for transport in [one for one, began in self._owing.items() if began <= since]:
            self._close(transport)

    def _close(self, transport: asyncio.Transport) -> None:
        self.gone(transport)
        transport.abort()
        self._closed += 1
        now = self._clock.monotonic()
        if self._said_at is None or now - self._said_at >= SAID_EVERY_S:
            log_event("senders_cut_off", logging.WARNING, connections=self._closed)
            self._closed, self._said_at = 0, now


class BoundedHttp(H11Protocol):
    """uvicorn's HTTP protocol, which tells `senders` how far its request has come.

    It is the one on h11: that on httptools drops the body of a request that offers to upgrade to HTTP/2, as each of
    Java's own client does.
    """

    senders: Senders

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        self.senders.connected(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.senders.gone(self.transport)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._owes():
            self.senders.has_sent(self.transport)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._owes():  # the next request may have come behind this one
            self.senders.owes(self.transport)

    def pause_writing(self) -> None:
        """Its client reads no answers. Those are short: it has sent many requests, and waits for none of them."""
        super().pause_writing()
        self.senders.owes(self.transport)

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self._owes():
            self.senders.has_sent(self.transport)

    def _owes(self) -> bool:
        return self.flow.write_paused or self.conn.their_state in {h11.IDLE, h11.SEND_BODY}


def protocol_for(senders: Senders) -> type[BoundedHttp]:
    """A protocol whose connections are counted by `senders`; uvicorn takes a class."""
    return type("CountedHttp", (BoundedHttp,), {"senders": senders})


def raise_descriptors(most: int = MAX_CONNECTIONS) -> int:
    """Let this process have descriptors for `most` connections; how many it may really have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most + RESERVE
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return most
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(min(most, soft - RESERVE), soft // 2)
