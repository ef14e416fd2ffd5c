"""What the faults that spoil an answer do to it."""

from __future__ import annotations

import asyncio
import contextlib
import math

from starlette.types import Receive, Scope, Send

from pipeline.sandbox.faults import Fault, FaultKind
from pipeline.sandbox.limits import Usage
from pipeline.sandbox.replies import INTERNAL, TOO_MANY
from pipeline.sandbox.wire import send_bytes, send_json, send_start, wait_for_disconnect

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


async def misbehave(fault: Fault, now: float, scope: Scope, receive: Receive, send: Send) -> None:
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
