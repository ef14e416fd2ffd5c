"""ALERT_URL: one POST a closing; whatever becomes of it, delivery goes on."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from pipeline.gates.alerts import Alert, Alerts
from pipeline.gates.gates import Closure

URL = "https://alerts.example.org/hook?token=secret"
CLOSURE = Closure(
    "api", "circuit", 1_700_000_060_000, 1_700_000_000_000, "Sailthru does not answer"
)


async def test_an_alert_says_what_closed_where_and_since_when() -> None:
    """Names and a time; there is nothing else it could say."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(204)

    async with httpx.MockTransport(answer) as http:
        alerts = Alerts(URL, http)
        alerts.post("default", CLOSURE)
        await alerts.aclose()
    (request,) = seen
    assert (request.method, str(request.url)) == ("POST", URL)
    assert request.headers["User-Agent"] == "sailpipe"
    assert json.loads(request.content) == {
        "kind": "circuit",
        "account": "default",
        "scope": "api",
        "detail": "Sailthru does not answer",
        "since": "2023-11-14T22:13:20.000+00:00",
    }


async def test_every_alert_has_the_same_shape() -> None:
    """Gates and dead letters: a receiver reads one object."""
    seen: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.content)
        return httpx.Response(204)

    async with httpx.MockTransport(answer) as http:
        alerts = Alerts(URL, http)
        alerts.post("default", CLOSURE)
        alerts.send(Alert("dead_letters_trimmed", "default", "dead", "12 went", CLOSURE.since))
        await alerts.aclose()
    gate, letters = sorted(map(json.loads, seen), key=lambda one: str(one["kind"]))
    assert list(gate) == list(letters) == ["kind", "account", "scope", "detail", "since"]
    assert (letters["kind"], letters["scope"]) == ("dead_letters_trimmed", "dead")


@pytest.mark.parametrize(
    ("trouble", "shown"),
    [(httpx.ConnectError("to " + URL), "ConnectError"), (httpx.Response(500), "HTTP 500")],
)
async def test_an_alert_that_cannot_be_posted_is_logged_without_its_address(
    trouble: Exception | httpx.Response, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The address may hold a token."""

    def answer(request: httpx.Request) -> httpx.Response:
        if isinstance(trouble, Exception):
            raise trouble
        return trouble

    async with httpx.MockTransport(answer) as http:
        alerts = Alerts(URL, http)
        alerts.post("default", CLOSURE)
        await alerts.aclose()
    out = "".join(capsys.readouterr())
    assert "alert_failed" in out
    assert shown in out
    assert "secret" not in out


async def test_posting_an_alert_blocks_no_caller() -> None:
    """A receiver that hangs holds up no delivery."""
    asked, release = asyncio.Event(), asyncio.Event()

    async def hang(request: httpx.Request) -> httpx.Response:
        asked.set()
        await release.wait()
        return httpx.Response(200)

    async with httpx.MockTransport(hang) as http:
        alerts = Alerts(URL, http)
        alerts.post("default", CLOSURE)
        await asyncio.wait_for(asked.wait(), 5)
        release.set()
        await alerts.aclose()


async def test_without_an_address_nothing_is_posted() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise AssertionError

    async with httpx.MockTransport(answer) as http:
        alerts = Alerts(None, http)
        alerts.post("default", CLOSURE)
        await alerts.aclose()
