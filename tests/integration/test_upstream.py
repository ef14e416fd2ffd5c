"""Calls that the HTTP server makes itself: a real Redis for their limits, the sandbox for Sailthru."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from pydantic import SecretStr
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.types import Message, Receive

from pipeline.addresses import SANDBOX_FILE, write_address
from pipeline.gates.gates import Closure, Gates
from pipeline.ingest.upstream import NotNow, Upstream
from pipeline.sailthru.answers import Accepted, Failed, Failure
from pipeline.sailthru.calls import HandedCall, Upload
from pipeline.sailthru.signing import is_signed
from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.server import RunningSandbox, running_in_thread
from pipeline.settings import AccountSettings, Settings, load_settings
from pipeline.storage.redis_client import open_async_redis

USER = {"id": "42", "key": "extid"}
Open = Callable[..., Upstream]


@pytest.fixture(scope="module")
def running() -> Iterator[RunningSandbox]:
    with running_in_thread() as found:
        yield found


@pytest.fixture
def sandbox(running: RunningSandbox) -> RunningSandbox:
    running.app.reset()
    running.app.sandbox.options = SandboxOptions()
    return running


@pytest.fixture
async def opened(sandbox: RunningSandbox, client: redis.asyncio.Redis) -> AsyncIterator[Open]:
    """Open one, with settings of the account."""
    made: list[Upstream] = []

    def do(redis: redis.asyncio.Redis = client, **given: Any) -> Upstream:
        keys = {"api_key": "sandbox", "api_secret": SecretStr("sandbox")}
        urls = dict.fromkeys(("api_url", "pageview_url"), sandbox.url)
        account = AccountSettings(**{**keys, **urls, **given})
        made.append(Upstream(Settings(accounts={"default": account}), redis))
        return made[-1]

    yield do
    for one in made:
        await one.aclose()


async def test_a_call_is_answered_at_once(opened: Open) -> None:
    """Written and read back; a refusal is an answer."""
    upstream = opened()
    unknown = await upstream.call("default", "GET", "/user", USER)
    assert isinstance(unknown, Failed)
    assert unknown.failure is Failure.USER_NOT_FOUND
    saved = await upstream.call("default", "POST", "/user", USER)
    assert isinstance(saved, Accepted)
    assert saved.body == {"ok": True}
    assert isinstance(await upstream.call("default", "GET", "/user", USER), Accepted)


async def test_a_handed_call_leaves_as_the_text_it_came_as(
    opened: Open, sandbox: RunningSandbox
) -> None:
    """Signed anew; the reply is there as it came, with its rate headers."""
    text = '{ "id" : "42", "key":"extid", "vars": {"n": 1.10, "caf\\u00e9": 1} }'
    call = HandedCall("POST", "/user", {"id": "42", "key": "extid"}, text, "a&sig=é +")
    _, reply = await opened().exchange("default", call)
    assert (reply.status, bytes(reply.body)) == (200, b'{"ok":true}')
    assert reply.headers["x-rate-limit-limit"] == "18000"
    (profile,) = sandbox.app.sandbox.state.profiles
    assert profile.vars == {"n": 1.1, "café": 1}


async def test_a_file_leaves_beside_the_signed_fields(opened: Open) -> None:
    """Sailthru reads a form of several parts as it reads any other (reference: sailthru-api 1)."""
    heads: list[bytes] = []
    bodies: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        length = int(re.findall(rb"(?i)content-length: (\d+)", heads[0])[0])
        bodies.append(await reader.readexactly(length))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n" + b'{"ok":true}')
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        upload = Upload("file", 'a"b.txt', "text/plain", b"\x00\xff\r\nann@example.com")
        call = HandedCall("POST", "/job", {"job": "import"}, '{"job":"import"}', upload=upload)
        _, reply = await opened(api_url=f"http://127.0.0.1:{port}").exchange("default", call)
    kind = re.findall(rb"(?i)content-type: (.+)\r\n", heads[0])
    assert (reply.status, len(kind)) == (200, 1)
    form = await Request(
        {"type": "http", "headers": [(b"content-type", kind[0])]},
        _received(bodies[0]),
    ).form()
    assert is_signed({name: form[name] for name in ("api_key", "format", "json", "sig")}, "sandbox")
    file = form["file"]
    assert isinstance(file, UploadFile)
    assert (form["json"], await file.read()) == ('{"job":"import"}', upload.content)
    await form.close()


def _received(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def test_all_who_call_share_one_limit(opened: Open) -> None:
    """Two processes: past the limit a call is refused here, and none of them at Sailthru."""
    several = [opened(limits={"GET /list": 2.0}) for _ in range(2)]
    asked = [one.call("default", "GET", "/list", {}) for one in several for _ in range(6)]
    done = await asyncio.gather(*asked, return_exceptions=True)
    refused = [one for one in done if isinstance(one, NotNow)]
    assert 1 <= len(done) - len(refused) <= 5
    assert all(one.wait_s > 0 for one in refused)


async def test_the_rate_headers_of_an_answer_hold_the_next_calls_back(
    opened: Open, sandbox: RunningSandbox
) -> None:
    """In every process, and until the minute ends: Sailthru would refuse them."""
    sandbox.app.sandbox.options = SandboxOptions(limits={"GET /user": 1}, window_s=86_400)
    assert isinstance(await opened().call("default", "GET", "/user", USER), Failed)
    with pytest.raises(NotNow):
        await opened().call("default", "GET", "/user", USER)
    assert sandbox.app.sandbox.state.calls_seen == 1


@pytest.mark.parametrize(
    ("scope", "method", "held"),
    [
        ("account", "GET", True),
        ("api", "GET", True),
        ("GET /user", "GET", True),
        ("user", "POST", True),
        ("user", "GET", False),
        ("purchase", "POST", False),
    ],
)
async def test_a_closed_gate_holds_what_is_behind_it(
    opened: Open, client: redis.asyncio.Redis, scope: str, method: Any, held: bool
) -> None:
    """The operator's pause of the account, or of the lane that makes such calls."""
    await Gates(client, "default").close(Closure(scope, "paused", 0, 0))
    if not held:
        await opened().call("default", method, "/user", USER)
        return
    with pytest.raises(NotNow, match="paused"):
        await opened().call("default", method, "/user", USER)


async def test_a_circuit_whose_time_is_up_lets_a_call_through(
    opened: Open, client: redis.asyncio.Redis
) -> None:
    """It would wait for a worker's probe, which may not come while nothing is queued."""
    await Gates(client, "default").close(Closure("api", "circuit", 1, 0))
    assert isinstance(await opened().call("default", "POST", "/user", USER), Accepted)


async def test_without_redis_no_call_is_made(opened: Open, sandbox: RunningSandbox) -> None:
    """The limits could not be kept."""
    async with open_async_redis("redis://127.0.0.1:1") as nobody:
        with pytest.raises(NotNow):
            await opened(nobody).call("default", "GET", "/user", USER)
    assert sandbox.app.sandbox.state.calls_seen == 0


async def test_a_key_that_was_changed_at_sailthru_costs_no_call(opened: Open) -> None:
    """The next one of the list is tried at once."""
    upstream = opened(api_key="old,sandbox", api_secret=SecretStr("hush,sandbox"))
    assert isinstance(await upstream.call("default", "POST", "/user", USER), Accepted)


async def test_a_dry_run_calls_nobody(opened: Open, sandbox: RunningSandbox) -> None:
    """It says what an accepted call would."""
    _, reply = await opened(dry_run=True).exchange(
        "default", HandedCall("POST", "/user", USER, "{}")
    )
    assert (reply.status, bytes(reply.body)) == (200, b'{"ok":true}')
    assert sandbox.app.sandbox.state.calls_seen == 0


async def test_an_account_without_an_api_key_calls_the_sandbox_or_nobody(
    sandbox: RunningSandbox, client: redis.asyncio.Redis, tmp_path: Path
) -> None:
    """`sailpipe serve` knows no address of it: what `up` has published is read at the first call."""
    settings = load_settings({"SAILPIPE_DATA_DIR": str(tmp_path)}, directory=tmp_path)
    upstream = Upstream(settings, client)
    with pytest.raises(NotNow, match="No sandbox is running"):
        await upstream.call("default", "GET", "/user", USER)
    write_address(tmp_path, SANDBOX_FILE, sandbox.url)
    unknown = await upstream.call("default", "GET", "/user", USER)
    await upstream.aclose()
    assert isinstance(unknown, Failed)
    assert unknown.failure is Failure.USER_NOT_FOUND
