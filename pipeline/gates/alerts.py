"""Posts what a person should look at to the operator's own service (setting ALERT_URL)."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

import httpx

from pipeline.clock import iso
from pipeline.gates.gates import Closure
from pipeline.observe.logs import log_event

TIMEOUT_S = 5.0
STOP_S = 1.0
_HEADERS = {"User-Agent": "sailpipe"}  # some receivers refuse a request without one


@dataclass(frozen=True, slots=True)
class Alert:
    """What happened: names, numbers and a time, never anything of an event.

    kind: the reason of a gate, or a log event. scope: a lane, a bucket, a host, `account` or `dead`.
    since_ms: Unix milliseconds.
    """

    kind: str
    account: str
    scope: str
    detail: str
    since_ms: int


class Alerts:
    """Posts one JSON object an alert, in the background: nothing waits for it or fails with it."""

    def __init__(self, url: str | None, http: httpx.AsyncBaseTransport) -> None:
        self._url = url
        self._http = http
        self._tasks: set[asyncio.Task[None]] = set()

    def post(self, account: str, closure: Closure) -> None:
        """Say that a gate has closed."""
        self.send(Alert(closure.reason, account, closure.scope, closure.detail, closure.since))

    def send(self, alert: Alert) -> None:
        """Post `{"kind", "account", "scope", "detail", "since"}`."""
        if self._url is None:
            return
        message = {
            "kind": alert.kind,
            "account": alert.account,
            "scope": alert.scope,
            "detail": alert.detail,
            "since": iso(alert.since_ms),
        }
        task = asyncio.create_task(self._send(self._url, message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        """Give what is under way a second to end; a worker that stops has ten in all."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=STOP_S)
            for task in late:
                task.cancel()

    async def _send(self, url: str, message: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                request = httpx.Request("POST", url, json=message, headers=_HEADERS)
                response = await self._http.handle_async_request(request)
                await response.aclose()
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            # The error's text would show the address, which often holds a token.
            _failed(message, type(error).__name__)
        else:
            if not response.is_success:
                _failed(message, f"HTTP {response.status_code}")


def _failed(message: dict[str, Any], error: str) -> None:
    fields = {"account": message["account"], "kind": message["kind"], "error": error}
    log_event("alert_failed", logging.WARNING, **fields)
