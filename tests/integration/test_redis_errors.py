"""What is wrong with Redis is said by every part that meets it: the word of the log, and a sentence with its fix."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from pipeline.cli.app import run
from pipeline.clock import SystemClock
from pipeline.ingest.app import create_app
from pipeline.settings import load_settings
from pipeline.storage.redis_client import open_async_redis, open_redis
from pipeline.storage.redis_errors import describe, explain
from pipeline.storage.redis_watch import RedisWatch
from tests.support.redis_server import RedisServer
from tests.support.redis_states import (
    full,
    read_only,
    with_password,
    without_disk,
    without_replicas,
)

EVENT = '{"type": "track", "event": "Viewed", "userId": "u", "messageId": "m"}\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


State = Callable[[redis.Redis], Any]
STATES: list[tuple[str, State, str, str]] = [
    ("full", full, "", "raise its maxmemory"),
    ("read_only", read_only, "", "at the master"),
    ("no_replicas", without_replicas, "", "min-replicas-to-write"),
    ("disk", without_disk, "", "make room on its disk"),
    ("wrong_login", with_password, "", "user and password into SAILPIPE_REDIS_URL"),
    ("wrong_login", with_password, ":wr0ng@", "user and password into SAILPIPE_REDIS_URL"),
]


@pytest.mark.parametrize(("code", "state", "login", "fix"), STATES)
def test_a_redis_that_takes_no_writes_is_described(
    code: str, state: State, login: str, fix: str, server: RedisServer
) -> None:
    """From a real server's error, without the password that was tried."""
    url = server.url.replace("//", f"//{login}")
    with (
        redis.Redis.from_url(server.url) as admin,
        open_redis(url) as client,
        state(admin),
        pytest.raises(redis.RedisError) as raised,
    ):
        client.xadd("stream", {"event": "secret@example.com"})
    assert explain(raised.value).code == code
    said = describe(raised.value, url)
    assert fix in said
    assert not re.search("secret|wr0ng|right", said.replace("right user", ""))


@pytest.mark.parametrize(("code", "state", "login", "fix"), STATES)
def test_enqueue_says_why_redis_took_nothing(
    code: str,
    state: State,
    login: str,
    fix: str,
    server: RedisServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "a.jsonl").write_text(EVENT)
    monkeypatch.setenv("SAILPIPE_REDIS_URL", server.url.replace("//", f"//{login}"))
    with redis.Redis.from_url(server.url) as admin, state(admin):
        assert run(["enqueue", str(tmp_path / "a.jsonl")]) == 1
    assert fix in capsys.readouterr().err or code == "full"


@pytest.mark.parametrize(("code", "state", "login", "fix"), STATES)
async def test_a_door_is_ready_only_if_an_event_could_be_taken_now(
    code: str, state: State, login: str, fix: str, server: RedisServer
) -> None:
    url = server.url.replace("//", f"//{login}")
    async with open_async_redis(url) as client:
        transport = httpx.ASGITransport(create_app(load_settings({}), client))
        async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as http:
            with redis.Redis.from_url(server.url) as admin, state(admin):
                assert (await http.get("/readyz")).status_code == 503
            if not login:
                assert (await http.get("/readyz")).status_code == 200


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("redis://127.0.0.1:1", "refused"),
        ("redis://nowhere.invalid:6379", "unknown_host"),
        ("unix:///nowhere.sock", "refused"),
    ],
)
def test_a_redis_that_cannot_be_reached_is_described(url: str, code: str) -> None:
    with open_redis(url) as client, pytest.raises(redis.RedisError) as raised:
        client.ping()
    assert explain(raised.value).code == code


def test_a_redis_without_tls_is_described(server: RedisServer) -> None:
    url = server.url.replace("redis:", "rediss:")
    with open_redis(url) as client, pytest.raises(redis.RedisError) as raised:
        client.ping()
    assert explain(raised.value).code == "tls"


def test_a_log_line_names_the_trouble(
    server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        redis.Redis.from_url(server.url) as admin,
        read_only(admin),
        pytest.raises(redis.RedisError) as raised,
    ):
        admin.set("a", 1)
    RedisWatch("worker", SystemClock()).away(raised.value)
    assert "trouble=read_only" in capsys.readouterr().out
