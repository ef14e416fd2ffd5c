"""Two API keys of an account, side by side while one is being changed for the other."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from structlog.testing import capture_logs

from pipeline.lanes import PAGEVIEW_ENDPOINT
from pipeline.sailthru.answers import Accepted, Failed
from pipeline.sailthru.calls import Call
from pipeline.sailthru.client import Credentials, SailthruClient
from pipeline.sailthru.signing import signed
from pipeline.settings import AccountSettings

SECRETS = {"old": "hush", "new": "quiet", "newest": "silent"}
URL = "https://api.example"
CREDENTIALS = Credentials("old", "hush", URL, "c1", URL, (("new", "quiet"), ("newest", "silent")))
POST, GET = (Call(method, "/user", {"id": "u1", "key": "extid"}) for method in ("POST", "GET"))
PAGE = Call("POST", PAGEVIEW_ENDPOINT, {"url": "https://shop.example/"})
WRONG_KEY = httpx.Response(401, json={"error": 3, "errormsg": "Invalid API key: old"})


class Server(httpx.AsyncBaseTransport):
    """Takes calls of one key, refuses those of others, and remembers whose came; or answers all alike."""

    def __init__(self, takes: str, always: httpx.Response | None = None) -> None:
        self.takes = takes
        self.always = always
        self.keys: list[str] = []
        self.answers = asyncio.Event()
        self.answers.set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = (await request.aread()).decode()
        key = (
            ""
            if request.url.path == PAGEVIEW_ENDPOINT
            else self._key(body or request.url.query.decode())
        )
        self.keys.append(key)
        await self.answers.wait()
        if self.always is not None:
            return self.always
        return httpx.Response(200, json={"ok": True}) if key == self.takes else WRONG_KEY

    def _key(self, form: str) -> str:
        """The call's key. It is signed with its own secret."""
        fields: Any = {name: value for name, [value] in parse_qs(form).items()}
        key = str(fields["api_key"])
        assert fields == signed(json.loads(fields["json"]), key, SECRETS[key])
        return key


@pytest.mark.parametrize("call", [POST, GET])
async def test_a_key_that_is_refused_is_changed_for_the_next_from_the_next_call_on(
    call: Call,
) -> None:
    """Round and round: it may be the first one that is right again."""
    server = Server("newest")
    client = SailthruClient(CREDENTIALS, server)
    answers = [await client.send(call) for _ in range(4)]
    assert server.keys == ["old", "new", "newest", "newest"]
    assert [type(one) for one in answers] == [Failed, Failed, Accepted, Accepted]
    server.takes = "old"
    await client.send(call)
    assert isinstance(await client.send(call), Accepted)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, {"error": 43, "errormsg": "Too many"}),
        (503, {}),
        (400, {"error": 99, "errormsg": "User not found with extid: u1"}),
        (400, {"error": 11, "errormsg": "Invalid email"}),
        (200, {"ok": True}),
    ],
)
async def test_no_other_answer_changes_the_key(status: int, body: dict[str, Any]) -> None:
    server = Server("old", httpx.Response(status, json=body))
    client = SailthruClient(CREDENTIALS, server)
    for _ in range(2):
        await client.send(POST)
    assert server.keys == ["old", "old"]


async def test_a_page_view_that_is_refused_changes_no_key() -> None:
    """It has the customer's id, and none of the keys."""
    server = Server("old", httpx.Response(401, json={"message": "no such customer"}))
    client = SailthruClient(CREDENTIALS, server)
    for call in (PAGE, POST):
        await client.send(call)
    assert server.keys == ["", "old"]


async def test_calls_under_way_with_a_refused_key_change_it_once() -> None:
    """Or the second would change the next one, which may be right, for another."""
    server = Server("new")
    client = SailthruClient(CREDENTIALS, server)
    server.answers.clear()
    under_way = [asyncio.create_task(client.send(POST)) for _ in range(2)]
    while len(server.keys) < 2:
        await asyncio.sleep(0)
    server.answers.set()
    await asyncio.gather(*under_way)
    assert isinstance(await client.send(POST), Accepted)


async def test_the_only_key_of_an_account_stays() -> None:
    """And the log tells of no other."""
    server = Server("")
    client = SailthruClient(Credentials("old", "hush", URL), server)
    with capture_logs() as lines:
        for _ in range(2):
            await client.send(POST)
    assert (server.keys, lines) == (["old", "old"], [])


def test_an_accounts_keys_are_used_in_the_order_of_its_settings() -> None:
    """Each with its own secret. Without any, Sailthru is to refuse the call."""
    keys = tuple(SECRETS.items())
    names = {"api_key": ",".join(SECRETS), "api_secret": ",".join(SECRETS.values())}
    account = AccountSettings(**names, customer_id="c1", api_url=URL)
    assert Credentials.of(account).pairs == keys
    assert (Credentials.of(account).api_url, Credentials.of(account).customer_id) == (URL, "c1")
    assert Credentials.of(AccountSettings()).pairs == (("", ""),)
