"""What commands that look into Redis have in common: settings, a connection, one clear error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import redis
import redis.asyncio

from pipeline.addresses import resolve_redis_url
from pipeline.cli.options import settings_here
from pipeline.errors import SailpipeError
from pipeline.settings import Settings
from pipeline.storage.format import check_format_async
from pipeline.storage.redis_client import open_async_redis
from pipeline.storage.redis_errors import describe

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Session:
    """One command's connection to Redis."""

    settings: Settings
    redis: redis.asyncio.Redis
    redis_url: str


def in_session(account: str | None, work: Callable[[Session], Awaitable[T]]) -> T:
    """Run `work` on the Redis that commands here use, and return what it returns.

    Raises:
        ConfigError: a setting is wrong, `account` does not exist, no Redis is known, or the one that is holds
            another version's data.
        SailpipeError: Redis does not answer, or refuses; it says why and what to do.
    """
    settings = settings_here(account)
    return asyncio.run(_run(settings, resolve_redis_url(settings), work))


async def _run(settings: Settings, url: str, work: Callable[[Session], Awaitable[T]]) -> T:
    try:
        async with open_async_redis(url) as client:
            await check_format_async(client, stamp=False)
            return await work(Session(settings, client, url))
    except redis.RedisError as error:
        raise SailpipeError(describe(error, url)) from None
