"""A server that writes down when each call arrived: `python -m benchmarks.limits_server FILE`.

It prints its port, answers every POST after 25 to 100 ms, and writes its record on SIGTERM: one line
per arrival, `PATH NANOSECONDS`. On Linux the kernel stamps the packets, so that a busy server measures
the sender and not itself.
"""

from __future__ import annotations

import heapq
import random
import selectors
import signal
import socket
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from pipeline.clock import SystemClock

_SO_TIMESTAMPNS = 35
_KERNEL_STAMPS = sys.platform == "linux"
_LATENCY_S = (0.025, 0.100)
_ANSWER = (
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"ok":true}'
)


@dataclass(slots=True)
class _Connection:
    sock: socket.socket
    arrived: int = 0
    received: bytearray = field(default_factory=bytearray)


class RecordingServer:
    """Accepts on loopback, one request at a time per connection, until SIGTERM."""

    def __init__(self, record: Path) -> None:
        self._record = record
        self._clock = SystemClock()
        self._random = random.Random(0)
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._due: list[tuple[float, int, socket.socket]] = []
        self._arrivals: list[tuple[str, int]] = []

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def serve(self) -> None:
        """Serve until SystemExit, then write the record."""
        try:
            while True:
                self._step()
        finally:
            lines = (f"{path} {stamp}\n" for path, stamp in self._arrivals)
            self._record.write_text("".join(lines))

    def _step(self) -> None:
        now = self._clock.monotonic()
        timeout = max(0.0, self._due[0][0] - now) if self._due else None
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                self._accept()
            else:
                self._read(key.data)
        while self._due and self._due[0][0] <= self._clock.monotonic():
            self._answer(heapq.heappop(self._due)[2])

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        if _KERNEL_STAMPS:
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._selector.register(sock, selectors.EVENT_READ, _Connection(sock))

    def _read(self, connection: _Connection) -> None:
        try:
            data, extras, _, _ = connection.sock.recvmsg(65536, 64)
        except ConnectionResetError:
            data, extras = b"", []
        if not data:
            self._selector.unregister(connection.sock)
            connection.sock.close()
            return
        connection.arrived = connection.arrived or self._stamp(extras)
        connection.received += data
        if _is_complete(connection.received):
            self._note(connection)

    def _stamp(self, extras: list[tuple[int, int, bytes]]) -> int:
        for level, kind, value in extras:
            if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                seconds, nanos = struct.unpack("qq", value[:16])
                return int(seconds) * 10**9 + int(nanos)
        return int(self._clock.now() * 1e9)

    def _note(self, connection: _Connection) -> None:
        path = connection.received.split(b" ", 2)[1].decode()
        self._arrivals.append((path, connection.arrived))
        connection.received.clear()
        connection.arrived = 0
        due = self._clock.monotonic() + self._random.uniform(*_LATENCY_S)
        heapq.heappush(self._due, (due, len(self._arrivals), connection.sock))

    def _answer(self, sock: socket.socket) -> None:
        try:
            sock.sendall(_ANSWER)
        except OSError:  # a worker that was killed no longer listens
            return


def _is_complete(received: bytearray) -> bool:
    head, blank, body = received.partition(b"\r\n\r\n")
    _, found, length = head.lower().partition(b"content-length:")
    size = int(length.split(b"\r\n", 1)[0]) if found else 0
    return bool(blank) and len(body) >= size


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> None:
    """Serve; the port is the first line on stdout."""
    signal.signal(signal.SIGTERM, _stop)
    server = RecordingServer(Path(sys.argv[1]))
    print(server.port, flush=True)
    server.serve()


if __name__ == "__main__":
    main()
