"""Fixtures that unit tests of several packages use."""

from __future__ import annotations

import io
import logging
from collections.abc import AsyncIterator, Iterator

import fakeredis
import pytest
import structlog
from redis.asyncio import Redis

from pipeline.observe.logs import set_up_logging
from pipeline.storage.redis_client import open_async_redis
from tests.support.letters import Pipeline
from tests.support.mailboxes import Mailboxes


@pytest.fixture
def boxes() -> Mailboxes:
    """One account's mailboxes in a fake Redis."""
    return Mailboxes(fakeredis.FakeAsyncRedis())


@pytest.fixture(params=["fakeredis", "redis"])
async def boxes_in_both(request: pytest.FixtureRequest) -> AsyncIterator[Mailboxes]:
    """The same in a fake and in a real Redis, one after the other."""
    if request.param == "fakeredis":
        yield Mailboxes(fakeredis.FakeAsyncRedis())
        return
    async with Redis.from_url(request.getfixturevalue("redis_url")) as client:
        yield Mailboxes(client)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of a real Redis, as the processes open theirs."""
    async with open_async_redis(redis_url) as client:
        yield client


@pytest.fixture
def pipeline(redis: Redis) -> Pipeline:
    """What puts events and letters there."""
    return Pipeline(redis)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What is logged, as a process would write it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    set_up_logging(stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
