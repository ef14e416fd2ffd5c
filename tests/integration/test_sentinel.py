"""Redis behind a real Sentinel."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from pipeline.storage.redis_client import open_async_redis, open_redis
from tests.support.commands import wait_until
from tests.support.redis_server import RedisServer, free_port, redis_binary


@pytest.fixture
def sentinel_url(redis_server: RedisServer, redis_url: str, tmp_path: Path) -> Iterator[str]:
    """A sentinel that watches the session's Redis under the name `shop`."""
    port, settings = free_port(), tmp_path / "sentinel.conf"
    watched = f"sentinel monitor shop 127.0.0.1 {redis_server.port} 1"
    settings.write_text(f"bind 127.0.0.1\nport {port}\ndir {tmp_path}\n{watched}\n", "utf-8")
    process = subprocess.Popen(  # noqa: S603 - our own arguments
        [redis_binary(), str(settings), "--sentinel"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"redis+sentinel://127.0.0.1:{port}/shop/0"
    try:
        wait_until(lambda: _answers(url), "the sentinel knows the master")
        yield url
    finally:
        process.kill()
        process.wait(10)


def _answers(url: str) -> bool:
    with open_redis(url) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


async def test_commands_past_the_last_connection_wait_for_one(sentinel_url: str) -> None:
    """A pool without a sentinel does the same: a worker has hundreds of commands under way at a time."""
    async with open_async_redis(sentinel_url, max_connections=2) as client:
        await asyncio.gather(*(client.incr("calls") for _ in range(200)))
        assert await client.get("calls") == b"200"
        for watcher in client.connection_pool.sentinel_manager.sentinels:  # type: ignore[attr-defined]
            await watcher.aclose()  # redis-py leaves them open
