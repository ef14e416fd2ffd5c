"""The Lua scripts, read from their files once a connection."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import redis.asyncio
from redis.commands.core import AsyncScript

NAMES = ("wake", "claim", "renew", "intent", "settle", "replay", "drop", "split")


@cache
def source(name: str) -> str:
    """The text of one script: the shared library, then the script itself."""
    folder = files("pipeline.mailbox") / "lua"
    return (folder / "lib.lua").read_text("utf-8") + (folder / f"{name}.lua").read_text("utf-8")


class Scripts:
    """Callable scripts on one connection pool: `await scripts.run("wake", keys, args)`."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._scripts: dict[str, AsyncScript] = {
            name: client.register_script(source(name)) for name in NAMES
        }

    async def run(self, name: str, keys: list[str], args: list[Any]) -> Any:
        """Run one script (EVALSHA, loaded when the server does not know it)."""
        return await self._scripts[name](keys=keys, args=args)
