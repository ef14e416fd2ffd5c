"""The HTTP API over a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from redis.asyncio import Redis

from pipeline.clock import ManualClock
from pipeline.ingest.app import create_app
from pipeline.settings import load_settings
from tests.support.api import SETTINGS


@pytest.fixture
async def http(redis: Redis) -> AsyncIterator[httpx.AsyncClient]:
    url = "redis://:secret@h/0"
    app = create_app(load_settings(SETTINGS), redis, ManualClock(), redis_url=url)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client
