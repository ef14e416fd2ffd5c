"""The Lua scripts that only read."""

from __future__ import annotations

import redis.asyncio
from redis.commands.core import AsyncScript

from pipeline.redis_client import read_script


def script(client: redis.asyncio.Redis, name: str) -> AsyncScript:
    """One script, ready to be called with `keys` and `args`."""
    return client.register_script(read_script("pipeline.status", name))
