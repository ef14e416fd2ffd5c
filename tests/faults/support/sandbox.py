"""A sandbox that keeps what took effect, in order, knows which calls are under way, and can go away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

from starlette.types import Receive, Scope, Send

from pipeline.clock import SystemClock
from pipeline.sandbox.app import SandboxApp
from pipeline.sandbox.faults import Faults
from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.replies import Reply
from pipeline.sandbox.sandbox import Sandbox
from pipeline.sandbox.server import running_in_thread
from tests.support.redis_server import free_port

PAGES = "https://shop.example.com/"
_port: ContextVar[int] = ContextVar("_port", default=0)


class Origin(NamedTuple):
    """Which event a call was about: its kind of call, its user, its place in the user's order."""

    kind: str
    who: str
    seq: int


@dataclass(frozen=True, slots=True)
class Effect:
    """One call that Sailthru would have taken. `at` is Unix seconds, `port` the caller's own."""

    at: float
    port: int
    method: str
    endpoint: str
    params: Mapping[str, Any]

    @property
    def origin(self) -> Origin | None:
        """What `traffic` wrote into the event; carts and reads carry nothing."""
        if self.method != "POST":
            return None
        if self.endpoint == "/purchase":
            return _origin_of_order(self.params)
        if self.endpoint in ("/user", "/event"):
            found = self.params.get("vars") or {}
            if "seq" in found and "who" in found:
                return Origin(self.endpoint, found["who"], int(found["seq"]))
            return None
        who, _, seq = str(self.params.get("url")).removeprefix(PAGES).partition("/")
        return Origin("page", who, int(seq)) if seq.isdecimal() else None


def _origin_of_order(params: Mapping[str, Any]) -> Origin | None:
    extid = str((params.get("purchase_keys") or {}).get("extid", ""))
    if params.get("incomplete") or extid.count("-") != 2:
        return None
    _, who, seq = extid.split("-")
    return Origin("order", who, int(seq))


class RecordingSandbox(Sandbox):
    """Keeps every call that was accepted."""

    def __init__(self, options: SandboxOptions | None = None) -> None:
        super().__init__(options)
        self.effects: list[Effect] = []

    def handle(
        self,
        method: str,
        endpoint: str,
        params: Mapping[str, Any],
        now: float,
        *,
        bearer: str | None = "in-process",
    ) -> Reply:
        reply = super().handle(method, endpoint, params, now, bearer=bearer)
        if reply.status == 200:
            self.effects.append(Effect(now, _port.get(), method, endpoint, dict(params)))
        return reply


class RecordingApp(SandboxApp):
    """The sandbox app around it. `in_flight`: callers' ports with a call under way."""

    def __init__(self, options: SandboxOptions) -> None:
        super().__init__(options, SystemClock(), Faults())
        self.sandbox: RecordingSandbox = RecordingSandbox(options)
        self.in_flight: Counter[int] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        port = (scope.get("client") or ("", 0))[1]
        self.in_flight[port] += 1
        _port.set(port)
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.in_flight[port] -= 1

    @property
    def busy_ports(self) -> set[int]:
        """Ports of callers that wait for an answer now."""
        return {port for port, calls in list(self.in_flight.items()) if calls > 0}


class Listening:
    """The sandbox's server; it can go away, so that connections are refused, and come back."""

    def __init__(self, app: RecordingApp) -> None:
        self._app = app
        self._server = ExitStack()
        self._number = free_port()
        self.url = f"http://127.0.0.1:{self._number}"

    def open(self) -> None:
        """Listen."""
        self._server.enter_context(running_in_thread(app=self._app, port=self._number))

    def close(self) -> None:
        """Refuse connections; those that are open end within a second."""
        self._server.close()

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Listen for as long as the block lasts."""
        self.open()
        try:
            yield
        finally:
            self.close()
