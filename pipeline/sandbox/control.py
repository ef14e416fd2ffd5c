"""The control API under /_sandbox/: look inside, change options, make things go wrong.

GET state, state?user=ID for one person; GET calls?since=N; GET, POST, DELETE faults; GET, POST options; POST reset.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice
from typing import Any, Protocol
from urllib.parse import parse_qs

from starlette.types import Scope, Send

from pipeline.sandbox.faults import Fault, Faults
from pipeline.sandbox.sandbox import Sandbox
from pipeline.sandbox.wire import send_json

_PREFIX = "/_sandbox/"


class Controlled(Protocol):
    """What the control API acts on."""

    sandbox: Sandbox
    faults: Faults

    def reset(self) -> None:
        """Forget what came in, and the faults."""


def is_control(path: str) -> bool:
    """Whether this path is the control API's."""
    return path.startswith(_PREFIX)


async def handle_control(app: Controlled, scope: Scope, body: bytes, send: Send) -> None:
    """Answer one control request; a wrong one gets 400 and a sentence."""
    action = f"{scope['method']} {scope['path'].removeprefix(_PREFIX)}"
    try:
        found = _act(app, action, scope["query_string"].decode("latin-1"), body)
    except ValueError as error:
        await send_json(send, 400, {"error": str(error)})
        return
    if found is None:
        await send_json(send, 404, {"error": f"there is no {action} here"})
        return
    await send_json(send, 200, found)


def _act(app: Controlled, action: str, query: str, body: bytes) -> object:
    match action:
        case "GET state":
            return _state(app.sandbox, query)
        case "GET calls":
            return _calls(app.sandbox, query)
        case "GET faults":
            return _faults(app)
        case "POST faults":
            for fault in _read_faults(json.loads(body)):
                app.faults.add(fault)
            return _faults(app)
        case "DELETE faults":
            app.faults.clear()
            return _faults(app)
        case "GET options":
            return _options(app.sandbox)
        case "POST options":
            app.sandbox.options = app.sandbox.options.changed(_read_object(json.loads(body)))
            return _options(app.sandbox)
        case "POST reset":
            app.reset()
            return {"ok": True}
    return None


def _state(sandbox: Sandbox, query: str) -> dict[str, Any]:
    user = parse_qs(query).get("user")
    return sandbox.state.as_json() if user is None else sandbox.state.of_user(user[0])


def _calls(sandbox: Sandbox, query: str) -> list[dict[str, Any]]:
    """Logged calls after number `since`, oldest first."""
    since = int(parse_qs(query).get("since", ["0"])[0])
    calls = sandbox.state.calls
    skip = max(0, since - (sandbox.state.calls_seen - len(calls)))
    return [asdict(call) for call in islice(calls, skip, None)]


def _faults(app: Controlled) -> list[dict[str, Any]]:
    return [fault.as_json() for fault in app.faults.rules]


def _options(sandbox: Sandbox) -> dict[str, Any]:
    options = sandbox.options
    shown = ("api_key", "customer_id", "lag_s", "latency_s", "window_s", "unknown_user_on_event")
    return {name: getattr(options, name) for name in shown} | {"limits": dict(options.limits)}


def _read_faults(found: object) -> list[Fault]:
    return [Fault.from_json(rule) for rule in (found if isinstance(found, list) else [found])]


def _read_object(found: object) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        msg = "options are an object"
        raise ValueError(msg)  # noqa: TRY004 - one error class for one reaction
    return found
