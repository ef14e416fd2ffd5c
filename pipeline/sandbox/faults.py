"""Faults on demand: which calls they hit, and what they do to the answer."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

from starlette.types import Receive, Scope, Send

from pipeline.clock import SYSTEM_RANDOM, Random
from pipeline.sandbox.limits import Usage
from pipeline.sandbox.replies import INTERNAL, TOO_MANY
from pipeline.sandbox.wire import send_bytes, send_json, send_start, wait_for_disconnect


class FaultKind(StrEnum):
    """What happens to a call."""

    LATENCY = "latency"  # the call is handled and answered, after `seconds`
    SERVER_ERROR = "5xx"  # `status` with a proxy's HTML page
    ERROR_9 = "error_9"  # HTTP 500 with Sailthru's "internal error"
    ERROR_IN_200 = "200_with_error"  # HTTP 200 with error `code`
    TOO_MANY = "429"  # HTTP 429, error 43, and headers that name a Reset in `seconds`
    HANG = "hang"  # no answer for `seconds`, then the connection closes
    RESET = "reset"  # the connection is reset without an answer
    GARBAGE = "garbage"  # HTTP 200 with an HTML page
    HALF_BODY = "half_body"  # the connection closes in the middle of the answer


@dataclass(slots=True)
class Fault:
    """A rule: which calls it hits, how often, and what it does to them.

    method, endpoint, user: whom it hits (`POST`, `/event`, `extid:42`); None is everyone.
    probability: share of matching calls hit; times: how many more it hits, None for no end.
    seconds: for latency, hang and 429. status: for 5xx. code: Sailthru's, for 200_with_error.
    processed: the call takes effect before the fault, as when only the answer is lost.
    """

    kind: FaultKind
    method: str | None = None
    endpoint: str | None = None
    user: str | None = None
    probability: float = 1.0
    times: int | None = None
    seconds: float = 60.0
    status: int = 503
    code: int = 99
    processed: bool = False

    @classmethod
    def from_json(cls, rule: object) -> Fault:
        """Read a rule as the control API takes it.

        Raises:
            ValueError: the kind is missing or unknown, a name is unknown or a value has the wrong type.
        """
        if not isinstance(rule, dict):
            msg = "a fault is an object"
            raise ValueError(msg)  # noqa: TRY004 - one error class for one reaction
        known = {option.name for option in fields(cls)}
        if unknown := set(rule) - known:
            msg = f"unknown fault field {min(unknown)!r}; there are {', '.join(sorted(known))}"
            raise ValueError(msg)
        if rule.get("kind") not in set(FaultKind):
            msg = f"kind must be one of {', '.join(FaultKind)}"
            raise ValueError(msg)
        _check_numbers(rule)
        return cls(**{**rule, "kind": FaultKind(rule["kind"])})

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def matches(self, method: str, endpoint: str, user: str) -> bool:
        """Whether this rule is about such a call."""
        return (
            self.times != 0
            and self.method in (None, method)
            and self.endpoint in (None, endpoint)
            and self.user in (None, user)
        )


class Faults:
    """The rules in force, first come first served."""

    def __init__(self, random: Random = SYSTEM_RANDOM) -> None:
        self._random = random
        self.rules: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self.rules.append(fault)

    def clear(self) -> None:
        self.rules.clear()

    def take(self, method: str, endpoint: str, user: str) -> Fault | None:
        """The fault that hits this call, if any; used-up rules are dropped."""
        for fault in self.rules:
            if fault.matches(method, endpoint, user) and self._random.random() < fault.probability:
                self._use(fault)
                return fault
        return None

    def _use(self, fault: Fault) -> None:
        if fault.times is not None:
            fault.times -= 1
            if fault.times == 0:
                self.rules.remove(fault)


def _check_numbers(rule: Mapping[str, Any]) -> None:
    for name in ("probability", "seconds", "status", "code"):
        if name in rule and (
            isinstance(rule[name], bool) or not isinstance(rule[name], int | float)
        ):
            msg = f"fault field {name} must be a number"
            raise ValueError(msg)
    times = rule.get("times")
    if times is not None and (not isinstance(times, int) or isinstance(times, bool) or times < 1):
        msg = "fault field times must be a positive integer"
        raise ValueError(msg)


_PAGE = b"<html><body><h1>Service Unavailable</h1></body></html>"

_MINUTE_LIMIT = 2_400
"""What the headers of a 429 say the limit is: 40/s (reference: sailthru-api 3)."""


def status_of(fault: Fault) -> int | None:
    """The HTTP status it is answered with; None when there is no answer."""
    if fault.kind in {FaultKind.HANG, FaultKind.RESET}:
        return None
    if fault.kind is FaultKind.SERVER_ERROR:
        return fault.status
    return {FaultKind.ERROR_9: 500, FaultKind.TOO_MANY: 429}.get(fault.kind, 200)


async def apply_fault(fault: Fault, now: float, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as the fault says, `now` in Unix seconds. What only ends a connection waits until it has
    ended."""
    html = {"Content-Type": "text/html"}
    match fault.kind:
        case FaultKind.SERVER_ERROR:
            await send_bytes(send, fault.status, html, _PAGE)
        case FaultKind.ERROR_9:
            await send_json(send, 500, {"error": INTERNAL, "errormsg": "Internal Error"})
        case FaultKind.ERROR_IN_200:
            await send_json(send, 200, {"error": fault.code, "errormsg": "Something is wrong"})
        case FaultKind.TOO_MANY:
            spent = Usage(_MINUTE_LIMIT, 0, math.ceil(now + fault.seconds), allowed=False)
            body = {"error": TOO_MANY, "errormsg": "Too many requests this minute"}
            await send_json(send, 429, body, spent.headers)
        case FaultKind.GARBAGE:
            await send_bytes(send, 200, html, _PAGE)
        case FaultKind.HANG:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(fault.seconds):
                    await wait_for_disconnect(receive)
            await _end_connection(scope, receive, reset=False)
        case FaultKind.RESET:
            await _end_connection(scope, receive, reset=True)
        case FaultKind.HALF_BODY:
            await send_start(
                send, 200, {"Content-Type": "application/json", "Content-Length": "99"}
            )
            await send({"type": "http.response.body", "body": b'{"ok":', "more_body": True})
            await _end_connection(scope, receive, reset=False)
        case FaultKind.LATENCY:  # served elsewhere: it ends in a real answer
            return


async def _end_connection(scope: Scope, receive: Receive, *, reset: bool) -> None:
    end = scope.get("state", {}).get("end_connection")
    if end is None:
        msg = "this server cannot end connections; run the sandbox with pipeline.sandbox.server"
        raise RuntimeError(msg)
    end(reset)
    await wait_for_disconnect(receive)
