"""For schemathesis, which imports it: shows keys and signs as each way in asks, with KEY and SECRET of the environment."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from typing import Any

import requests
import schemathesis

from pipeline.events.native import ENDPOINTS
from pipeline.ingest.sailthru_requests import REQUIRED
from pipeline.ingest.vibetrace import PATH as VIBETRACE
from pipeline.ingest.webhook import SIGNATURE
from pipeline.sailthru.signing import signed

API_KEY = "sandbox"
"""And its secret, where no API key is set."""


@schemathesis.auth()
class WriteKey:
    """Where a path asks for one."""

    def get(self, case: schemathesis.Case[Any], _: object) -> str | None:
        key = os.environ["KEY"]
        if case.operation.path == f"/{VIBETRACE}":
            return key
        return f"Basic {base64.b64encode(f'{key}:'.encode()).decode()}"

    def set(self, case: schemathesis.Case[Any], data: str, _: object) -> None:
        if case.operation.definition.raw.get("security"):
            case.headers["Authorization"] = data


class Signed(requests.auth.AuthBase):
    """Puts the right signature in place of the one that was made up. Schemathesis leaves it out to see what happens then."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        if isinstance(body, str):
            body = body.encode()
        assert isinstance(body, bytes)
        secret = os.environ["SECRET"].encode()
        request.headers[SIGNATURE] = hmac.new(secret, body, hashlib.sha1).hexdigest()
        return request


@schemathesis.hook
def before_call(_: object, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    if SIGNATURE in (case.headers or {}):
        kwargs["auth"] = Signed()
    elif case.operation.path in ENDPOINTS and case.method == "POST":
        _sign_call(case)


def _sign_call(case: schemathesis.Case[Any]) -> None:
    """A call that is whole is signed; what it says is about somebody then."""
    body = case.body
    if isinstance(body, dict) and all(body.get(name) for name in REQUIRED):
        said = {"id": "u-1", "email": "ann@example.com", "event": json.dumps(body["json"])}
        fields: Any = signed(said, API_KEY, API_KEY)
        case.body = fields
