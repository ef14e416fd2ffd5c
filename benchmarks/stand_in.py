"""A Sailthru to measure against: `python -m benchmarks.stand_in [--answer-ms 50] [--record] [--profiles]`.

It prints its port, answers every call after the same time, keeps connections, and notes when each call arrived
(on Linux by the kernel's stamp on the packet, so that a server that is late measures the sender and not itself).
`--record` keeps what the calls said; `--profiles` keeps profiles and carts, as Segment's way has to read them.
Paths under `/_stand_in/` are for the suite. It ends on SIGTERM.

What it uses of its core is printed with the row `cpu`: a stand-in that is busy all the time would be what is measured.
"""

from __future__ import annotations

import argparse
import json
import selectors
import signal
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any
from urllib.parse import parse_qs

CONTROL = "/_stand_in/"
_SO_TIMESTAMPNS = 35
_KERNEL_STAMPS = sys.platform == "linux"
_MAX_WAIT_S = 1.0
_OK = b'{"ok":true}'
_STRANGER = b'{"keys":{"sid":"0123456789abcdef01234567"},"vars":[],"lists":[]}'


class Connection:
    """One socket; a client sends its next request after the answer."""

    __slots__ = ("arrived", "received", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.arrived = 0
        self.received = b""


class Calls:
    """What arrived: times by `METHOD PATH`, and what the calls said if that is kept."""

    def __init__(self, *, record: bool) -> None:
        self._record = record
        self.times: dict[str, list[int]] = {}
        self.said: list[tuple[str, str, str, int]] = []

    def note(self, method: str, target: str, body: bytes, arrived: int) -> None:
        path = target.partition("?")[0]
        self.times.setdefault(f"{method} {path}", []).append(arrived)
        if self._record:
            self.said.append((method, target, body.decode(), arrived))

    def forget(self) -> None:
        self.times.clear()
        self.said.clear()


class Profiles:
    """Vars and cart of each user; a cart is found by email and by extid."""

    def __init__(self) -> None:
        self.vars: dict[str, dict[str, Any]] = {}
        self.carts: dict[str, list[dict[str, Any]]] = {}

    def answer(self, method: str, target: str, body: bytes) -> bytes:
        path, _, query = target.partition("?")
        fields = parse_qs(query or body.decode())
        params = json.loads(fields["json"][0]) if "json" in fields else {}
        if method == "GET":
            return self._shown(params)
        if path == "/user":
            self.vars.setdefault(str(params["id"]), {}).update(params.get("vars", {}))
        if path == "/purchase":
            self.carts[params["email"]] = params["items"] if params.get("incomplete") else []
        return _OK

    def _shown(self, params: dict[str, Any]) -> bytes:
        """An extid is the part of the email before the @, as in all events of the suite."""
        email = str(params["id"])
        email = email if "@" in email else f"{email}@example.com"
        profile: dict[str, Any] = {"keys": {"email": email}, "vars": []}
        if self.carts.get(email):
            profile["purchase_incomplete"] = {"items": self.carts[email]}
        return json.dumps(profile).encode()


def answer_strangers(method: str, _target: str, _body: bytes) -> bytes:
    """Yes to every write, and a profile without anything to every read."""
    return _STRANGER if method == "GET" else _OK


class StandIn:
    """Accepts on loopback until SystemExit."""

    def __init__(
        self, answer_s: float, calls: Calls, answer: Callable[[str, str, bytes], bytes]
    ) -> None:
        self._answer_s, self._calls, self._answer = answer_s, calls, answer
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self._due: deque[tuple[float, socket.socket, bytes]] = deque()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def serve(self) -> None:
        while True:
            for key, _ in self._selector.select(self._wait_s()):
                if key.data is None:
                    self._accept()
                else:
                    self._read(key.data)
            self._send_due()

    def _wait_s(self) -> float:
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else _MAX_WAIT_S

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        if _KERNEL_STAMPS:
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._selector.register(sock, selectors.EVENT_READ, Connection(sock))

    def _read(self, connection: Connection) -> None:
        try:
            data, extras, _, _ = connection.sock.recvmsg(1 << 17, 64)
        except OSError:
            data, extras = b"", []
        if not data:
            self._close(connection)
            return
        connection.arrived = connection.arrived or _stamp(extras)
        connection.received += data
        head, blank, body = connection.received.partition(b"\r\n\r\n")
        if blank and len(body) >= _length(head):
            self._take(connection, head, body)

    def _take(self, connection: Connection, head: bytes, body: bytes) -> None:
        method, target, _ = head[: head.index(b"\r\n")].decode().split(" ")
        arrived, connection.arrived, connection.received = connection.arrived, 0, b""
        if target.startswith(CONTROL):
            _send(connection.sock, self._control(target.removeprefix(CONTROL)))
            return
        self._calls.note(method, target, body, arrived)
        due = time.monotonic() + self._answer_s
        self._due.append((due, connection.sock, self._answer(method, target, body)))

    def _control(self, what: str) -> bytes:
        if what == "forget":
            self._calls.forget()
            return _OK
        profiles = getattr(self._answer, "__self__", None)
        kept = (
            {"vars": profiles.vars, "carts": profiles.carts}
            if isinstance(profiles, Profiles)
            else {}
        )
        shown = {"times": self._calls.times, "said": self._calls.said, "profiles": kept}
        return json.dumps(shown[what]).encode()

    def _send_due(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            _, sock, body = self._due.popleft()
            _send(sock, body)

    def _close(self, connection: Connection) -> None:
        self._selector.unregister(connection.sock)
        connection.sock.close()


def _send(sock: socket.socket, body: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    try:
        sock.sendall(head % len(body) + body)
    except OSError:  # the caller is gone
        return


def _stamp(extras: list[tuple[int, int, bytes]]) -> int:
    for level, kind, value in extras:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanos = struct.unpack("qq", value[:16])
            return int(seconds) * 10**9 + int(nanos)
    return time.time_ns()


def _length(head: bytes) -> int:
    _, found, length = head.lower().partition(b"content-length:")
    return int(length.split(b"\r\n", 1)[0]) if found else 0


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> None:
    """Serve; the port is the first line on stdout."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--answer-ms", type=float, default=50.0)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--profiles", action="store_true")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    answer = Profiles().answer if given.profiles else answer_strangers
    server = StandIn(given.answer_ms / 1000, Calls(record=given.record), answer)
    print(server.port, flush=True)
    server.serve()


if __name__ == "__main__":
    main()
