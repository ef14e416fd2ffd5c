"""What tests of an erasure share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from pipeline.forget import forgetting as module
from tests.support.forgetting import (
    TEN_YEARS_MS,
)
from tests.support.pipe import Pipe, open_pipe


@pytest.fixture
async def pipe(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pipe]:
    """A pipeline on a real Redis, whose time is another than the pipeline's."""
    monkeypatch.setattr(module, "TOMBSTONE_MS", TEN_YEARS_MS)
    async with redis.asyncio.Redis.from_url(redis_url) as client, open_pipe(client=client) as pipe:
        yield pipe
