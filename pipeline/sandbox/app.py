"""The sandbox over HTTP: plain ASGI, so that it can take what a load test sends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from starlette.types import Receive, Scope, Send

from pipeline.clock import Clock, SystemClock
from pipeline.sandbox.control import handle_control, is_control
from pipeline.sandbox.faults import Fault, FaultKind, Faults, apply_fault, status_of
from pipeline.sandbox.limits import Limits
from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.params import describe_user
from pipeline.sandbox.replies import TOO_MANY, ApiError, Reply
from pipeline.sandbox.sandbox import PAGEVIEW_ENDPOINT, Sandbox
from pipeline.sandbox.wire import (
    BodyTooLarge,
    call_fields,
    call_params,
    check_signature,
    header,
    json_object,
    read_body,
    send_json,
)


@dataclass(slots=True)
class _Request:
    """One request, read but not judged; `api_error` is what is already wrong with it."""

    sandbox: Sandbox
    method: str
    endpoint: str
    at: float
    bearer: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    api_error: ApiError | None = None
    user: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def is_pageview(self) -> bool:
        return self.endpoint == PAGEVIEW_ENDPOINT


class SandboxApp:
    """An ASGI app around one `Sandbox`, with limits, faults and a control API."""

    def __init__(self, options: SandboxOptions, clock: Clock, faults: Faults) -> None:
        self.sandbox = Sandbox(options)
        self.faults = faults
        self.limits = Limits()
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        try:
            body = await read_body(receive)
        except BodyTooLarge:
            await send_json(send, 413, {"error": 99, "errormsg": "Request too large"})
            return
        if is_control(scope["path"]):
            await handle_control(self, scope, body, send)
            return
        await self._serve(self._read(scope, body), scope, receive, send)

    def reset(self) -> None:
        """Forget what came in and is under way, the faults and the counters; options stay."""
        self.sandbox = Sandbox(self.sandbox.options)
        self.faults.clear()
        self.limits = Limits()

    def _read(self, scope: Scope, body: bytes) -> _Request:
        request = _Request(self.sandbox, scope["method"], scope["path"], self._clock.now())
        try:
            if request.is_pageview:
                request.bearer = header(scope, b"authorization").removeprefix("Bearer ").strip()
                request.params = json_object(body)
            else:
                request.fields = call_fields(request.method, scope["query_string"], body)
                request.params = call_params(request.fields)
        except ApiError as api_error:
            request.api_error = api_error
        request.user = describe_user(request.params)
        return request

    async def _serve(self, request: _Request, scope: Scope, receive: Receive, send: Send) -> None:
        fault = self.faults.take(request.method, request.endpoint, request.user)
        if fault is None:
            reply = self._answer(request)
            self._log(request, reply.status)
            await self._pause(request.sandbox.options.latency_s)
            await send_json(send, reply.status, reply.body, request.headers)
        elif fault.kind is FaultKind.LATENCY:
            await self._serve_late(request, fault, send)
        else:
            if fault.processed:
                self._answer(request)
            self._log(request, status_of(fault), fault)
            await self._pause(request.sandbox.options.latency_s)
            await apply_fault(fault, self._clock.now(), scope, receive, send)

    async def _serve_late(self, request: _Request, fault: Fault, send: Send) -> None:
        reply = self._answer(request) if fault.processed else None
        await self._pause(fault.seconds)
        reply = reply or self._answer(request)
        self._log(request, reply.status, fault)
        await send_json(send, reply.status, reply.body, request.headers)

    def _answer(self, request: _Request) -> Reply:
        """Signature, limit, and then the call itself."""
        options = request.sandbox.options
        try:
            if request.api_error is not None:
                raise request.api_error
            if not request.is_pageview:
                check_signature(request.fields, options)
                self._count(request)
        except ApiError as api_error:
            return api_error.reply
        return request.sandbox.handle(
            request.method,
            request.endpoint,
            request.params,
            self._clock.now(),
            bearer=request.bearer,
        )

    def _count(self, request: _Request) -> None:
        """Pageviews are not counted: their limit, if there is one, is undocumented."""
        usage = self.limits.count(
            request.method, request.endpoint, request.at, request.sandbox.options
        )
        request.headers = usage.headers
        if not usage.allowed:
            name = request.endpoint.removeprefix("/")
            message = f"Too many {name} requests this minute to {request.endpoint} API"
            raise ApiError(429, TOO_MANY, message)

    def _log(self, request: _Request, status: int | None, fault: Fault | None = None) -> None:
        request.sandbox.state.log_call(
            request.at,
            request.method,
            request.endpoint,
            request.user,
            status,
            None if fault is None else fault.kind.value,
        )

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            await self._clock.sleep(seconds)


def create_app(
    options: SandboxOptions | None = None,
    *,
    clock: Clock | None = None,
    faults: Faults | None = None,
) -> SandboxApp:
    """A fresh sandbox. `clock` decides limits, lag and latency; `faults` may bring its own dice."""
    return SandboxApp(options or SandboxOptions(), clock or SystemClock(), faults or Faults())


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
