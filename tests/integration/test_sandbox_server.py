"""The sandbox over HTTP: its control API, its limits on what it takes, and its process."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.clock import ManualClock
from pipeline.sandbox.app import create_app
from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.server import RunningSandbox, running_in_thread
from pipeline.settings import load_settings


@pytest.fixture(scope="module")
def running() -> Iterator[RunningSandbox]:
    with running_in_thread() as found:
        yield found


@pytest.fixture
def http(running: RunningSandbox) -> Iterator[httpx.Client]:
    running.app.reset()
    running.app.sandbox.options = SandboxOptions()
    with httpx.Client(base_url=running.url, trust_env=False) as found:
        yield found


def signed(params: object, using: str = "sandbox", **changes: str) -> dict[str, str]:
    fields = {"api_key": "sandbox", "format": "json", "json": json.dumps(params), **changes}
    text = using + "".join(sorted(fields.values()))
    return {**fields, "sig": hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}


USER = {"id": "42", "key": "extid", "keys": {"email": "zoe@example.com"}}
ITEM = {"id": "1", "title": "T", "price": 5, "qty": 1, "url": "http://x"}


def test_the_state_shows_all_that_came_in(http: httpx.Client) -> None:
    """Profiles, orders, events, returns and pageviews, each in arrival order."""
    http.post("/user", data=signed(USER))
    for name in ("First", "Second"):
        http.post("/event", data=signed({"id": "42", "key": "extid", "event": name}))
    http.post("/purchase", data=signed({"email": "zoe@example.com", "items": [ITEM]}))
    http.post("/return", data=signed({"email": "zoe@example.com", "items": [ITEM]}))
    view = {"url": "http://x"}
    http.post("/v1/track/event/pageview", json=view, headers={"Authorization": "Bearer any"})
    state = http.get("/_sandbox/state").json()
    assert [event["event"] for event in state["events"]] == ["First", "Second"]
    assert state["profiles"][0]["keys"]["extid"] == "42"
    assert state["profiles"][0]["purchases"] == [state["purchases"][0]["id"]]
    assert state["returns"][0]["params"]["items"] == [ITEM]
    assert state["pageviews"][0]["params"] == view


def test_the_state_shows_one_person(http: httpx.Client) -> None:
    """By any of their keys: what came in about them, and of nobody else."""
    for identity, email in (("42", "zoe@example.com"), ("43", "bo@example.com")):
        user = {"id": identity, "key": "extid"}
        http.post("/user", data=signed(user | {"keys": {"email": email}}))
        http.post("/event", data=signed(user | {"event": "Came"}))
        who = {"email": email, "items": [ITEM]}
        http.post("/purchase", data=signed(who))
        http.post("/return", data=signed(who))
    found = http.get("/_sandbox/state", params={"user": "42"}).json()
    assert found == http.get("/_sandbox/state", params={"user": "zoe@example.com"}).json()
    counts = {name: len(rows) for name, rows in found.items()}
    assert counts == {"profiles": 1, "purchases": 1, "events": 1, "returns": 1}
    assert "bo@example.com" not in str(found)
    found = http.get("/_sandbox/state", params={"user": "nobody"}).json()
    assert not any(found.values())


def test_each_account_of_an_up_has_a_key_of_its_own(http: httpx.Client, tmp_path: Path) -> None:
    """As the settings fill them in where no account has an API key."""
    (tmp_path / "sailpipe.toml").write_text("[accounts.shoes]\n")
    for account in load_settings({}, directory=tmp_path).accounts.values():
        for key, secret in account.credentials:
            answer = http.post("/user", data=signed(USER, using=secret, api_key=key))
            assert answer.status_code == 200, account.name
        assert account.credentials


def test_the_call_log_is_read_on_from_a_number(http: httpx.Client) -> None:
    """Every request is in it with whom it was about and how it ended, refused ones too."""
    http.post("/user", data=signed(USER))
    http.post("/user", data=signed(USER, using="wrong"))
    http.get("/user", params=signed({"id": "Zoe@example.com"}))
    calls = http.get("/_sandbox/calls").json()
    assert [(call["method"], call["user"], call["status"]) for call in calls] == [
        ("POST", "extid:42", 200),
        ("POST", "extid:42", 401),
        ("GET", "email:zoe@example.com", 200),
    ]
    assert http.get("/_sandbox/calls", params={"since": 2}).json() == calls[2:]


def test_faults_are_set_listed_and_taken_back(http: httpx.Client) -> None:
    """A fault of one user leaves the others alone."""
    rules = [{"kind": "5xx", "user": "extid:42", "status": 502}, {"kind": "error_9", "times": 1}]
    assert len(http.post("/_sandbox/faults", json=rules).json()) == 2
    assert http.post("/user", data=signed(USER)).status_code == 502
    assert http.post("/user", data=signed({"id": "1", "key": "extid"})).json()["error"] == 9
    assert http.post("/user", data=signed({"id": "1", "key": "extid"})).status_code == 200
    assert [rule["kind"] for rule in http.get("/_sandbox/faults").json()] == ["5xx"]
    assert http.delete("/_sandbox/faults").json() == []
    assert http.post("/user", data=signed(USER)).status_code == 200


def test_options_change_at_once_and_reset_forgets_the_rest(http: httpx.Client) -> None:
    """The secret is never shown."""
    changed = http.post("/_sandbox/options", json={"api_secret": "hush", "limits": {"X /y": 1}})
    assert "hush" not in changed.text
    assert http.get("/_sandbox/options").json()["limits"] == {"X /y": 1}
    assert http.post("/user", data=signed(USER)).json()["error"] == 5
    assert http.post("/user", data=signed(USER, using="hush")).status_code == 200
    assert http.post("/_sandbox/reset").json() == {"ok": True}
    assert http.get("/_sandbox/state").json()["profiles"] == []
    assert http.get("/_sandbox/options").json()["limits"] == {"X /y": 1}


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("POST", "faults", b"{", 400),
        ("POST", "faults", b'{"kind": "flood"}', 400),
        ("POST", "options", b"[]", 400),
        ("POST", "options", b'{"lag": 1}', 400),
        ("GET", "calls?since=x", b"", 400),
        ("GET", "nothing", b"", 404),
        ("PUT", "state", b"", 404),
    ],
)
def test_the_refusal_of_a_wrong_control_request_says_what_is_wrong(
    http: httpx.Client, method: str, path: str, content: bytes, status: int
) -> None:
    """In a sentence, and nothing changes."""
    answer = http.request(method, f"/_sandbox/{path}", content=content)
    assert answer.status_code == status
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({}, 400, 2),
        ({"json": "{}"}, 400, 2),
        ({**signed({}), "sig": ""}, 400, 2),
        (signed([]), 400, 99),
        ({**signed({}), "json": "{"}, 400, 99),
        ({**signed({}), "api_key": "é"}, 401, 3),
        (signed({}, api_key="sandbox-"), 401, 3),
        (signed({}, using="sandbox-shoes", api_key="x-sandbox-shoes"), 401, 3),
        (signed({}, api_key="sandbox-shoes"), 401, 5),
        ({**signed({}), "sig": "é"}, 401, 5),
    ],
)
def test_what_is_not_a_signed_call_is_refused(
    http: httpx.Client, fields: dict[str, str], status: int, code: int
) -> None:
    """Error 2 for a missing field, 3 for the key, 5 for the signature."""
    answer = http.post("/user", data=fields)
    assert (answer.status_code, answer.json()["error"]) == (status, code)


def test_bytes_that_are_not_utf8_are_refused(http: httpx.Client) -> None:
    """Error 6, raw or percent-encoded."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for content in (b"json=\xe9", b"json=%E9"):
        answer = http.post("/user", content=content, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (400, 6)


def test_a_huge_request_is_refused(http: httpx.Client) -> None:
    """The sandbox keeps all it takes in memory."""
    assert http.post("/user", content=b"x" * (11 * 1024 * 1024)).status_code == 413


async def test_the_injected_clock_rules_limits_lag_and_latency() -> None:
    """No test has to wait for a minute to pass."""
    clock = ManualClock(1_600_000_020.0)
    options = SandboxOptions(limits={"POST /user": 1}, lag_s=30, latency_s=2)
    app = create_app(options, clock=clock)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as http:

        async def call(method: str, **kwargs: Any) -> int:
            return (await http.request(method, "/user", **kwargs)).status_code

        assert await call("POST", data=signed(USER)) == 200
        assert clock.now() == 1_600_000_022
        assert await call("POST", data=signed(USER)) == 429
        assert await call("GET", params=signed({"id": "42", "key": "extid"})) == 400
        clock.advance(60)
        assert await call("POST", data=signed(USER)) == 200
        assert await call("GET", params=signed({"id": "42", "key": "extid"})) == 200


_SERVE = """
import socket, sys
from pipeline.sandbox.server import serve
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
print("port", port, flush=True)
serve("127.0.0.1", port)
"""


async def test_the_sandbox_process_serves_and_ends_on_sigterm() -> None:
    """In order, without a traceback; the access log that would show signatures is off."""
    process = subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", _SERVE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        found = re.match(r"port (\d+)", process.stdout.readline())
        assert found is not None
        await _get_until_up(f"http://127.0.0.1:{found[1]}/user", signed({"id": "42"}))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 0
    assert (out, err) == ("", "")


async def _get_until_up(url: str, params: dict[str, str]) -> None:
    async with asyncio.timeout(10), httpx.AsyncClient(trust_env=False) as http:
        while True:
            try:
                await http.get(url, params=params)
            except httpx.ConnectError:
                await asyncio.sleep(0.05)
            else:
                return
