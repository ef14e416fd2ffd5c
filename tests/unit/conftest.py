"""Fixtures that unit tests of several packages use."""

from __future__ import annotations

from collections.abc import AsyncIterator

import fakeredis
import pytest
import redis.asyncio

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
    async with redis.asyncio.Redis.from_url(request.getfixturevalue("redis_url")) as client:
        yield Mailboxes(client)
