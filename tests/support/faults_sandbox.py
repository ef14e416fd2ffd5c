"""A sandbox that keeps what took effect, in order, and knows which calls are under way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from starlette.types import Receive, Scope, Send

from pipeline.clock import SystemClock
from pipeline.sandbox.app import SandboxApp
from pipeline.sandbox.core import Sandbox
from pipeline.sandbox.faults import Faults
from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.replies import Reply

PAGES = "https://shop.example.com/"


class Mark(NamedTuple):
    """Which event a call was about: its kind of call, its user, its place in the user's order."""

    kind: str
    who: str
    seq: int


@dataclass(frozen=True, slots=True)
class Effect:
    """One call that Sailthru would have taken. `at` is Unix seconds."""

    at: float
    method: str
    endpoint: str
    params: Mapping[str, Any]

    @property
    def mark(self) -> Mark | None:
        """What `faults_traffic` wrote into the event; carts and reads carry nothing."""
        if self.method != "POST":
            return None
        if self.endpoint == "/purchase":
            return _mark_of_order(self.params)
        if self.endpoint in ("/user", "/event"):
            found = self.params.get("vars") or {}
            if "seq" in found and "who" in found:
                return Mark(self.endpoint, found["who"], int(found["seq"]))
            return None
        who, _, seq = str(self.params.get("url")).removeprefix(PAGES).partition("/")
        return Mark("page", who, int(seq)) if seq.isdecimal() else None


def _mark_of_order(params: Mapping[str, Any]) -> Mark | None:
    extid = str((params.get("purchase_keys") or {}).get("extid", ""))
    if params.get("incomplete") or extid.count("-") != 2:
        return None
    _, who, seq = extid.split("-")
    return Mark("order", who, int(seq))


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
            self.effects.append(Effect(now, method, endpoint, dict(params)))
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
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.in_flight[port] -= 1

    @property
    def busy_ports(self) -> set[int]:
        """Ports of callers that wait for an answer now."""
        return {port for port, calls in list(self.in_flight.items()) if calls > 0}
