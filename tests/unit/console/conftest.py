"""The console over a real Redis, and what fills it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from redis.asyncio import Redis

from pipeline.storage.redis_client import open_async_redis
from tests.support.console import browser
from tests.support.letters import Pipeline


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with open_async_redis(redis_url) as client:
        yield client


@pytest.fixture
async def http(redis: Redis) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(redis) as client:
        yield client


@pytest.fixture
def pipeline(redis: Redis) -> Pipeline:
    return Pipeline(redis)
