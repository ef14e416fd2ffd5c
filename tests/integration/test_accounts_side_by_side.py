"""Two brands send the same ids by every way in, and neither is ever told of the other; a role holds on every way in."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest
import redis

import pipeline
from pipeline.accept import _PRODUCERS
from pipeline.cli.app import run
from pipeline.counters import Count, counter
from pipeline.errors import RefusedByRole
from pipeline.events.kinds import IgnoreReason
from pipeline.ingest.app import create_app
from pipeline.sailthru.signing import signed
from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.server import RunningSandbox, running_in_thread
from pipeline.settings import load_settings
from pipeline.storage import keys
from pipeline.storage.redis_client import open_async_redis
from tests.support.commands import running, wait_until
from tests.support.letters import Pipeline

ACCOUNTS = ("default", "shoes")
Event: TypeAlias = dict[str, Any]
Send: TypeAlias = Callable[[redis.Redis, list[Event], str, str], None]
"""Sends events for an account, in a role."""


def by_python(_: redis.Redis, events: list[Event], account: str, role: str) -> None:
    for event in events:
        pipeline.enqueue(event, account, role=role)


def by_python_async(_: redis.Redis, events: list[Event], account: str, role: str) -> None:
    asyncio.run(pipeline.enqueue_many_async(events, account, role=role))


def by_xadd(client: redis.Redis, events: list[Event], account: str, role: str) -> None:
    for event in events:
        client.xadd(keys.RAW, {"event": json.dumps(event), "account": account, "role": role})


def by_command(_: redis.Redis, events: list[Event], account: str, role: str) -> None:
    for event in events:
        assert run(["xadd", json.dumps(event), "--account", account, "--role", role]) == 0


def by_file(_: redis.Redis, events: list[Event], account: str, role: str) -> None:
    Path("day.jsonl").write_text("".join(f"{json.dumps(event)}\n" for event in events))
    assert run(["enqueue", "day.jsonl", "--account", account, "--role", role]) == 0


def by_segment(client: redis.Redis, events: list[Event], account: str, role: str) -> None:
    """With the key of that account and role, in one batch."""
    body = {"batch": events, "writeKey": f"{account}-{role}"}
    assert post(client, "/v1/batch", json=body) == {"success": True}


def by_sailthrus_api(client: redis.Redis, calls: dict[str, dict[str, Any]], account: str) -> None:
    """Signed with the key of that account."""
    for endpoint, params in calls.items():
        form = signed(params, f"key-{account}", "s3cret")
        assert post(client, endpoint, data=form) == {"ok": True}


def by_vibetraces_api(client: redis.Redis, account: str) -> None:
    """With the key of that account, about a user who is known by now."""
    body = {"messageId": "v", "user": {"_id": "u0"}, "event": {f"Seen by {account}": {}}}
    said = post(client, "/v1/event", json=body, headers={"Authorization": f"{account}-server"})
    assert said["results"]["message"] == "Event created"


def post(client: redis.Redis, path: str, **body: Any) -> Any:
    """What the HTTP server answers."""

    async def request() -> Any:
        async with open_async_redis(url_of(client)) as opened:
            transport = httpx.ASGITransport(create_app(load_settings(settings_env(client)), opened))
            async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as http:
                return (await http.post(path, **body)).json()

    return asyncio.run(request())


def by_webhook(client: redis.Redis, events: list[Event], account: str, role: str) -> None:
    """Each alone, signed with the secret of that account and role. What the role may not send is refused."""

    async def post(url: str) -> None:
        async with open_async_redis(url) as opened:
            transport = httpx.ASGITransport(create_app(load_settings(settings_env(client)), opened))
            async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as http:
                for event in events:
                    body = json.dumps(event).encode()
                    signed = hmac.digest(f"hook-{account}-{role}".encode(), body, "sha1").hex()
                    answer = await http.post(
                        "/webhook/segment", content=body, headers={"X-Signature": signed}
                    )
                    is_refused = role == "browser" and event.get("event") == "Order Completed"
                    assert answer.status_code == (403 if is_refused else 200)

    asyncio.run(post(url_of(client)))


WAYS: tuple[Send, ...] = (
    *(by_python, by_python_async, by_xadd, by_command),
    *(by_file, by_segment, by_webhook),
)
SAY_AT_ONCE = {by_python, by_python_async, by_webhook}
"""Those that refuse an event to the one who sends it."""


def url_of(client: redis.Redis) -> str:
    at = client.connection_pool.connection_kwargs
    return f"redis://{at['host']}:{at['port']}/0"


def settings_env(client: redis.Redis) -> dict[str, str]:
    return {"SAILPIPE_REDIS_URL": url_of(client), "SAILPIPE_CONFIG": "sailpipe.toml"}


@pytest.fixture
def client(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[redis.Redis]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAILPIPE_REDIS_URL", redis_url)
    monkeypatch.setenv("SAILPIPE_CONFIG", str(tmp_path / "sailpipe.toml"))
    _PRODUCERS.clear()
    with redis.Redis.from_url(redis_url) as opened:
        yield opened
    _PRODUCERS.clear()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[dict[str, RunningSandbox]]:
    """A stand-in Sailthru for each account, which takes that account's key only; and the settings that say so."""
    lines = []
    with ExitStack() as stack:
        found = {}
        for name in ACCOUNTS:
            options = SandboxOptions(api_key=f"key-{name}", api_secret="s3cret")
            found[name] = stack.enter_context(running_in_thread(options))
            lines += [] if name == "default" else [f"[accounts.{name}]"]
            lines += [f'api_key = "key-{name}"', 'api_secret = "s3cret"']
            lines += [f'write_keys = ["{name}-server", "{name}-browser:browser"]']
            lines += [f'webhook_secrets = "hook-{name}-server,hook-{name}-browser:browser"']
            lines += [f'{at} = "{found[name].url}"' for at in ("api_url", "pageview_url")]
        (tmp_path / "sailpipe.toml").write_text("\n".join(lines))
        yield found


def story(way: int, account: str) -> list[Event]:
    """A visitor signs in, reads and buys: the ids are the same in both accounts, all else is not."""
    who = {"userId": f"u{way}", "context": {"traits": {"email": f"u{way}@{account}.example"}}}
    item = {"product_id": "p", "name": f"Of {account}", "price": 5, "quantity": 1}
    item |= {"url": f"https://{account}.example/p"}
    events: list[Event] = [
        {
            "type": "identify",
            "userId": f"u{way}",
            "anonymousId": f"a{way}",
            "traits": {"email": f"u{way}@{account}.example", "shop": account},
        },
        {"type": "track", "anonymousId": f"a{way}", "event": f"Read {account}"},
        {
            "type": "track",
            "event": "Order Completed",
            **who,
            "properties": {"order_id": f"o{way}", "total": 5, "products": [item]},
        },
    ]
    return [event | {"messageId": f"m{way}-{number}"} for number, event in enumerate(events)]


def native_story(account: str) -> dict[str, dict[str, Any]]:
    """The same, as a client of Sailthru's tells it."""
    email = f"native@{account}.example"
    item = {"id": "p", "title": f"Of {account}", "price": 500, "qty": 1}
    item |= {"url": f"https://{account}.example/p"}
    return {
        "/user": {"id": "n", "key": "extid", "keys": {"email": email}, "vars": {"shop": account}},
        "/event": {"id": "n", "key": "extid", "event": f"Read {account}"},
        "/purchase": {"email": email, "items": [item], "purchase_keys": {"extid": "on"}},
    }


def test_the_same_ids_in_two_accounts_never_meet(
    client: redis.Redis, servers: dict[str, RunningSandbox], tmp_path: Path
) -> None:
    """By every way in, side by side, to two Sailthrus: all arrives, nothing is a repeat, no text of the other brand."""
    for number, send in enumerate(WAYS):
        for account in ACCOUNTS:
            send(client, story(number, account), account, "server")
    for account in ACCOUNTS:
        by_sailthrus_api(client, native_story(account), account)

    def delivered(account: str) -> int:
        return int(client.hget(keys.counts(account), Count.DELIVERED.value) or 0)

    ways = len(WAYS) + 1
    with running("splitter", directory=tmp_path), running("worker", directory=tmp_path) as worker:
        wait_until(
            lambda: [*map(delivered, ACCOUNTS)] == [3 * ways] * 2, "all of both is delivered"
        )
        for account in ACCOUNTS:
            by_vibetraces_api(client, account)
        wait_until(lambda: [*map(delivered, ACCOUNTS)] == [3 * ways + 1] * 2, "and one more each")
        assert "error" not in worker.output
    for account, other in zip(ACCOUNTS, reversed(ACCOUNTS), strict=True):
        state = servers[account].app.sandbox.state.as_json()
        said = json.dumps(state)
        assert other not in said
        for way in range(len(WAYS)):
            assert f"u{way}@{account}.example" in said
        assert (len(state["purchases"]), len(state["events"])) == (ways, ways + 1)
        assert {one["vars"]["shop"] for one in state["profiles"]} == {account}


@pytest.mark.parametrize("send", WAYS, ids=lambda way: way.__name__)
@pytest.mark.usefixtures("servers")
def test_a_page_s_order_is_taken_by_no_way_in(client: redis.Redis, send: Send) -> None:
    """Python says it at once; what cannot look at an event leaves it to the splitter. Either way it is no letter."""
    read, order = story(0, "shoes")[1:]
    if send in {by_python, by_python_async}:
        with pytest.raises(RefusedByRole):
            send(client, [order], "shoes", "browser")
    else:
        send(client, [order], "shoes", "browser")
    send(client, [read], "shoes", "browser")

    async def split() -> None:
        async with open_async_redis(url_of(client)) as opened:
            await Pipeline(opened, load_settings(settings_env(client)), "shoes").split()

    asyncio.run(split())
    found: Any = client.hgetall(keys.counts("shoes"))
    counts = {name.decode(): int(value) for name, value in found.items()}
    refused = counts.pop(counter(Count.IGNORED, IgnoreReason.REFUSED_BY_ROLE), 0)
    came = {name: counts.pop(name) for name in [*counts] if name.startswith(Count.CAME_IN)}
    assert counts == {counter(Count.WAITING, "event"): 1}
    assert sum(came.values()) == (1 if send in SAY_AT_ONCE | {by_segment} else 2)
    assert refused == (0 if send in SAY_AT_ONCE else 1)
    assert client.hlen(keys.counts("default")) == 0
