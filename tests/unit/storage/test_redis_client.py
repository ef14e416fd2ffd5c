"""Connections to Redis: a command is tried once, and passwords are not shown."""

from __future__ import annotations

import socket
import threading

import pytest
import redis

from pipeline.errors import ConfigError
from pipeline.storage.redis_client import open_async_redis, open_redis, without_password


class Hangup:
    """A server that closes every connection at the first byte, and counts them."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self.connections = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                connection.recv(1)


def test_a_command_whose_answer_is_lost_is_not_sent_again() -> None:
    """redis-py repeats ten times by itself: an XADD that was taken would be taken twice."""
    server = Hangup()
    with open_redis(server.url) as client, pytest.raises(redis.ConnectionError):
        client.xadd("stream", {"a": "1"})
    server.close()
    assert server.connections == 1


async def test_an_async_command_whose_answer_is_lost_is_not_sent_again() -> None:
    """The asyncio client has a retry setting of its own."""
    server = Hangup()
    async with open_async_redis(server.url) as client:
        with pytest.raises(redis.ConnectionError):
            await client.xadd("stream", {"a": "1"})
    server.close()
    assert server.connections == 1


def test_replies_are_bytes(redis_url: str) -> None:
    """Raw events are kept byte for byte, valid UTF-8 or not."""
    with open_redis(redis_url) as client:
        client.set("a", b"\xff")
        assert client.get("a") == b"\xff"


def test_a_sentinel_address_names_watchers_and_master() -> None:
    """redis+sentinel://[:PASSWORD@]HOST:PORT,HOST/MASTER[/DB]; the port is 26379 by default."""
    client = open_redis("redis+sentinel://:p%40ss@one:1,two/shop/2")
    pool = client.connection_pool
    assert isinstance(pool, redis.sentinel.SentinelConnectionPool)
    watchers = [s.connection_pool.connection_kwargs for s in pool.sentinel_manager.sentinels]
    assert [(w["host"], w["port"]) for w in watchers] == [("one", 1), ("two", 26379)]
    assert (pool.service_name, pool.connection_kwargs["db"]) == ("shop", 2)
    assert pool.connection_kwargs["password"] == "p@ss"


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://one",
        "redis+sentinel://host:port/shop",
        "redis+sentinel://one:1/shop/host:port",
        "redis://host:port/0",
    ],
)
def test_an_address_that_is_none_is_named_without_being_quoted(url: str) -> None:
    """What cannot be parsed may hold a password anywhere."""
    with pytest.raises(ConfigError) as caught:
        open_redis(url)
    assert "SAILPIPE_REDIS_URL" in str(caught.value)
    assert "host:port" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:hunter2@h:6379/1", "redis://h:6379/1"),
        ("rediss://h/0?password=hunter2", "rediss://h/0"),
        ("unix:///run/redis.sock?password=hunter2", "unix:///run/redis.sock"),
        ("redis+sentinel://:hunter2@a:1,b:2/m", "redis+sentinel://a:1,b:2/m"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    """It stands in errors, logs and `status`."""
    assert without_password(url) == shown
