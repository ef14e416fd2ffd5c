"""A client that costs little: one request's bytes over many sockets, and how long each answer took."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, replace
from typing import cast

_ANSWERS = (b'{"success":true}', b'{"ok":true}')


@dataclass(frozen=True, slots=True)
class Load:
    """`requests` times the same bytes, each with `events` events.

    rate: requests a second, each counted from when it was due; None: the next when one is answered.
    """

    content: bytes
    events: int
    requests: int
    connections: int
    keep_alive: bool = True
    rate: float | None = None


async def run_load(port: int, load: Load, beside: Load | None = None) -> list[float]:
    """Send all of it; the seconds from when each request was due until its answer.

    beside: sent over and over meanwhile, over all its connections.
    """
    sender = _Sender(port, load)
    others = [
        asyncio.create_task(_repeat(port, beside))
        for _ in range(beside.connections if beside else 0)
    ]
    await sender.run()
    for other in others:
        other.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    return sender.waits


async def _repeat(port: int, load: Load | None) -> None:
    while load is not None:
        await _Sender(port, replace(load, requests=1, connections=1)).run()


class _Sender:
    """Hands requests to free connections, oldest first."""

    def __init__(self, port: int, load: Load) -> None:
        self.waits: list[float] = []
        self.load = load
        self._loop = asyncio.get_running_loop()
        self._port = port
        self._due: deque[float] = deque()
        self._free: deque[_Connection] = deque()
        self._open: set[_Connection] = set()
        self._given = 0
        self._over: asyncio.Future[None] = self._loop.create_future()

    async def run(self) -> None:
        for _ in range(self.load.connections):
            await self._connect()
        began = self._loop.time()
        if self.load.rate is None:
            self._due.extend([began] * self.load.requests)
            self._hand_out()
        else:
            self._pace(began, self.load.rate)
        await self._over
        for connection in self._open:
            connection.close()

    def _pace(self, began: float, rate: float) -> None:
        """Put what is due by now into the queue, and look again a moment later."""
        by_now = min(self.load.requests, int((self._loop.time() - began) * rate) + 1)
        self._due.extend(began + number / rate for number in range(self._given, by_now))
        self._given = by_now
        self._hand_out()
        if by_now < self.load.requests:
            self._loop.call_later(0.001, self._pace, began, rate)

    def _hand_out(self) -> None:
        while self._due and self._free:
            due = self._due.popleft()
            self._free.popleft().send(due if self.load.rate else self._loop.time())

    async def _connect(self) -> None:
        _, made = await self._loop.create_connection(
            lambda: _Connection(self), "127.0.0.1", self._port
        )
        self._open.add(made)
        self._free.append(made)
        self._hand_out()

    def answered(self, connection: _Connection, due: float) -> None:
        self.waits.append(self._loop.time() - due)
        if self.load.keep_alive:
            self._free.append(connection)
            self._hand_out()
        else:
            self._open.discard(connection)
            connection.close()
            connection.successor = self._loop.create_task(self._connect())
        if len(self.waits) == self.load.requests:
            self._over.set_result(None)

    def failed(self, why: str) -> None:
        if not self._over.done():
            self._over.set_exception(AssertionError(why))


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, sender: _Sender) -> None:
        self.successor: asyncio.Task[None] | None = None
        self._sender = sender
        self._due = 0.0
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, due: float) -> None:
        self._due = due
        self._transport.write(self._sender.load.content)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if self._answer.endswith(_ANSWERS):
            self._answer = b""
            self._sender.answered(self, self._due)
        elif not self._answer.startswith(b"HTTP/1.1 200"):
            self._sender.failed(self._answer.decode())

    def close(self) -> None:
        self._transport.close()
