"""The Lua scripts that only read."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import redis.asyncio
from redis.commands.core import AsyncScript


@cache
def _source(name: str) -> str:
    return (files("pipeline.status") / "lua" / f"{name}.lua").read_text("utf-8")


def script(client: redis.asyncio.Redis, name: str) -> AsyncScript:
    """One script, ready to be called with `keys` and `args`."""
    return client.register_script(_source(name))
