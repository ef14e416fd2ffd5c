"""From bytes to a signed call, and from a reply to bytes (reference: sailthru-api 1)."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.replies import BAD_KEY, BAD_SIGNATURE, BAD_UTF8, ApiError, invalid, missing

MAX_BODY_BYTES = 10 * 1024 * 1024
"""Nothing the sandbox takes is longer; Sailthru's own limit is undocumented."""

JSON_HEADERS = {"Content-Type": "application/json"}


class BodyTooLarge(Exception):
    """The request is longer than MAX_BODY_BYTES."""


async def read_body(receive: Receive) -> bytes:
    """Read a request's body. Raises BodyTooLarge."""
    body = bytearray()
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge
    return bytes(body)


async def wait_for_disconnect(receive: Receive) -> None:
    """Return when the other end is gone."""
    while (await receive())["type"] != "http.disconnect":
        continue


async def send_bytes(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Send one whole response."""
    await send_start(send, status, {**headers, "Content-Length": str(len(body))})
    await send({"type": "http.response.body", "body": body})


async def send_start(send: Send, status: int, headers: Mapping[str, str]) -> None:
    """Send status and headers; the body is up to the caller."""
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})


async def send_json(
    send: Send, status: int, body: object, headers: Mapping[str, str] | None = None
) -> None:
    """Send one JSON response."""
    content = json.dumps(body, separators=(",", ":")).encode()
    await send_bytes(send, status, {**JSON_HEADERS, **(headers or {})}, content)


def header(scope: Scope, name: bytes) -> str:
    """A request header (lower-case name), or an empty string."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def call_fields(method: str, query: bytes, body: bytes) -> dict[str, str]:
    """A call's form fields: in the body of a POST, else in the query. Refuses with error 6."""
    try:
        text = (body if method == "POST" else query).decode("utf-8")
        return dict(parse_qsl(text, keep_blank_values=True, errors="strict"))
    except UnicodeDecodeError:
        raise ApiError(400, BAD_UTF8, "Invalid UTF-8") from None


def call_params(fields: Mapping[str, str]) -> dict[str, Any]:
    """The call's arguments. Refuses with errors 2 and 99."""
    if "json" not in fields:
        raise missing("json")
    return json_object(fields["json"])


def json_object(text: str | bytes) -> dict[str, Any]:
    """A JSON object, or its refusal with error 99."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise invalid("Invalid JSON") from None
    if not isinstance(found, dict):
        raise invalid("Invalid JSON")
    return found


def check_signature(fields: Mapping[str, str], options: SandboxOptions) -> None:
    """Refuse with error 2, 3 or 5 what wasn't signed with this sandbox's secret. A further account (`sandbox-shoes`) has
    the same name behind its key and its secret."""
    for name in ("api_key", "format", "sig"):
        if not fields.get(name):
            raise missing(name)
    own, _, account = fields["api_key"].partition(f"{options.api_key}-")
    if fields["api_key"] != options.api_key and (own or not account):
        raise ApiError(401, BAD_KEY, "Invalid API key")
    values = sorted(value for name, value in fields.items() if name != "sig")
    secret = f"{options.api_secret}-{account}" if account else options.api_secret
    text = (secret + "".join(values)).encode()
    expected = hashlib.md5(text, usedforsecurity=False).hexdigest()
    if not hmac.compare_digest(expected.encode(), fields["sig"].encode()):
        raise ApiError(401, BAD_SIGNATURE, "Signature hash does not match")
