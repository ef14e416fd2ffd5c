"""Alerts over real Redis and to a real HTTP receiver: once, over all processes, and when it is over."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import redis.asyncio
from structlog.testing import capture_logs

from pipeline.alerting.told import CALM_MS
from pipeline.alerting.watch import PATIENCE_S, POST_S, AlertWatch
from pipeline.clock import ManualClock
from pipeline.gates.gates import Closure, Gates
from pipeline.sailthru.transport import open_http
from pipeline.settings import Settings
from pipeline.storage import keys
from pipeline.storage.redis_client import open_async_redis
from tests.support.redis_server import free_port


class Receiver:
    """Keeps what is posted to it. `status` is what it answers; it `hangs` for so many seconds first."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.status, self.hangs = 204, 0.0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(outer.hangs)
                if outer.status < 300:
                    outer.posted.append(json.loads(body))
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook?token=secret"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def said(self) -> list[tuple[str, str]]:
        return [(one["kind"], one["state"]) for one in self.posted]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.close()


def watch(
    client: redis.asyncio.Redis, receiver: Receiver, clock: ManualClock | None = None
) -> AlertWatch:
    return AlertWatch(client, Settings(alert_url=receiver.url), open_http(), clock or ManualClock())


async def turn(client: redis.asyncio.Redis, *watches: AlertWatch) -> None:
    """The turn is free again, and each process asks for it."""
    await client.delete(keys.ALERTS_TURN)
    for one in watches:
        await one.turn()


async def age(client: redis.asyncio.Redis) -> None:
    """A minute passes for what is gone."""
    stored: Any = await client.hgetall(keys.ALERTS)
    for name, text in stored.items():
        fields = json.loads(text)
        if fields["gone_ms"] is not None:
            fields["gone_ms"] -= CALM_MS
            await client.hset(keys.ALERTS, name, json.dumps(fields))


async def test_a_gate_that_closes_and_opens_is_told_twice_by_all_processes_together(
    client: redis.asyncio.Redis, receiver: Receiver
) -> None:
    gates = Gates(client, "default")
    watches = [watch(client, receiver) for _ in range(3)]
    await gates.close(Closure("api", "circuit", 0, 1_700_000_000_000, "Sailthru does not answer"))
    for _ in range(3):
        await turn(client, *watches)
    assert receiver.said == [("circuit", "raised")]
    await gates.open("api", "circuit")
    await turn(client, *watches)
    assert len(receiver.said) == 1
    await age(client)
    for _ in range(2):
        await turn(client, *reversed(watches))
    assert receiver.said == [("circuit", "raised"), ("circuit", "resolved")]
    assert receiver.posted[0]["since"] == "2023-11-14T22:13:20.000+00:00"
    assert await client.hlen(keys.ALERTS) == 0


async def test_an_alert_that_nobody_took_is_posted_again_and_counted(
    client: redis.asyncio.Redis, receiver: Receiver
) -> None:
    """The address, which may hold a token, is not in the log; the log has one line a minute of it."""
    receiver.status = 500
    await Gates(client, "default").close(Closure("event", "brake", 0, 1, "why"))
    one = watch(client, receiver)
    with capture_logs() as lines:
        for _ in range(3):
            await turn(client, one)
    assert [line["event"] for line in lines] == ["alert_failed"]
    assert "secret" not in json.dumps(lines)
    assert await client.get(keys.ALERTS_FAILED) == b"3"
    receiver.status = 200
    await turn(client, one, watch(client, receiver))
    assert receiver.said == [("brake", "raised")]


async def test_a_receiver_that_hangs_holds_a_turn_up_for_seconds_only(
    client: redis.asyncio.Redis, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All posts of a turn go at once."""
    monkeypatch.setattr("pipeline.alerting.watch.POST_S", 0.2)
    assert POST_S > 1
    receiver.hangs = 1.0
    for scope in ("user", "event", "purchase", "page"):
        await Gates(client, "default").close(Closure(scope, "brake", 0, 1, "why"))
    started = time.monotonic()
    await turn(client, watch(client, receiver))
    assert time.monotonic() - started < 0.8
    assert await client.get(keys.ALERTS_FAILED) == b"4"


async def test_six_thousand_refusals_are_one_alert(
    client: redis.asyncio.Redis, receiver: Receiver
) -> None:
    """What was refused long ago is none."""
    await client.hset(keys.REFUSALS, "unauthorized", "1000000")
    one = watch(client, receiver)
    await turn(client, one)
    assert receiver.said == []
    for _ in range(6):
        await client.hincrby(keys.REFUSALS, "unauthorized", 1_000)
        await turn(client, one)
    assert receiver.said == [("door_refusing", "raised")]


async def test_without_an_address_the_log_has_it(client: redis.asyncio.Redis) -> None:
    await Gates(client, "default").close(Closure("event", "brake", 0, 1, "why"))
    one = AlertWatch(client, Settings(), None, ManualClock())
    with capture_logs() as lines:
        for _ in range(3):
            await turn(client, one)
    assert [(line["event"], line["kind"]) for line in lines] == [("alert_raised", "brake")]


async def test_a_redis_that_is_away_is_told_once_by_a_process_and_when_it_is_back(
    receiver: Receiver, redis_url: str
) -> None:
    """After PATIENCE_S, since a restart needs no person."""
    clock = ManualClock()
    async with open_async_redis(f"redis://127.0.0.1:{free_port()}") as away:
        one = watch(away, receiver, clock)
        await one.turn()
        assert receiver.said == []
        for _ in range(3):
            clock.advance(PATIENCE_S)
            await one.turn()
        assert receiver.said == [("redis_away", "raised")]
        async with open_async_redis(redis_url) as back:
            one._redis = back
            await one.turn()
            await one.turn()
    assert receiver.said == [("redis_away", "raised"), ("redis_away", "resolved")]


async def test_a_redis_that_is_full_is_told_as_such(
    client: redis.asyncio.Redis, receiver: Receiver
) -> None:
    clock = ManualClock()
    one = watch(client, receiver, clock)
    await client.config_set("maxmemory", "1")
    try:
        await one.turn()
        clock.advance(PATIENCE_S)
        await one.turn()
    finally:
        await client.config_set("maxmemory", "0")
    await one.turn()
    assert receiver.said == [("redis_full", "raised"), ("redis_full", "resolved")]


async def test_a_process_that_may_only_append_leaves_it_to_the_others(
    client: redis.asyncio.Redis, receiver: Receiver, redis_url: str
) -> None:
    """An HTTP server may have such a user of Redis; that is no trouble of Redis'."""
    await client.acl_setuser(
        "door", enabled=True, nopass=True, keys=["*"], commands=["+xadd", "+info"]
    )
    clock = ManualClock()
    async with open_async_redis(redis_url.replace("redis://", "redis://door:x@")) as door:
        one = watch(door, receiver, clock)
        for _ in range(2):
            await one.turn()
            clock.advance(2 * PATIENCE_S)
    await client.acl_deluser("door")
    assert receiver.said == []
