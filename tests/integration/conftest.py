"""Commands as they are typed, on a real Redis that a test has brought into a state."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest
import redis.asyncio
import structlog

from pipeline.cli.app import run
from pipeline.sailthru.transport import open_http
from pipeline.storage.redis_client import open_async_redis
from tests.support.commands import Command, Setup
from tests.support.letters import Pipeline


@pytest.fixture
def setup(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    """Bring the Redis that commands will find into a state."""
    monkeypatch.setenv("SAILPIPE_REDIS_URL", redis_url)
    monkeypatch.chdir(tmp_path)

    def do(work: Callable[[Pipeline], Awaitable[None]]) -> None:
        async def with_pipeline() -> None:
            async with open_async_redis(redis_url) as client:
                await work(Pipeline(client))

        asyncio.run(with_pipeline())

    return do


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A client of a real, empty Redis."""
    async with open_async_redis(redis_url) as opened:
        yield opened


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """A command that sets logging up would leave a handler that writes to this test's stderr."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def command(setup: Setup, capfd: pytest.CaptureFixture[str], logging_as_before: None) -> Command:
    """Run a command line in this process: (exit code, stdout, stderr)."""

    def do(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run(list(words))
        return code, *capfd.readouterr()

    return do


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncBaseTransport]:
    # Nothing here speaks TLS; an empty context is quick to make.
    async with open_http(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as found:
        yield found
