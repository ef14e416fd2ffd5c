"""What tests of the HTTP API are set up with, and how it refuses."""

from __future__ import annotations

import httpx

TOKEN = "r" * 40

SETTINGS = {"SAILPIPE_CONSOLE_READ_TOKEN": TOKEN, "SAILPIPE_REDACT": "phone"}


def check_refusal(reply: httpx.Response, status: int, code: str) -> None:
    body = reply.json()
    assert (reply.status_code, body["code"], body["success"]) == (status, code, False)
    assert body["error"] == body["message"] != ""
