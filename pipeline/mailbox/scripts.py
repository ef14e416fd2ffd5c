"""The Lua scripts, read from their files once a connection."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Any

import redis.asyncio
import redis.exceptions
from redis.commands.core import AsyncScript

NAMES = ("wake", "claim", "renew", "intent", "settle", "replay", "drop", "split", "lease")

_REFUSED = re.compile(r"\b(OOM|READONLY|MISCONF|NOREPLICAS|MASTERDOWN)\b")


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
        """Run one script (EVALSHA, loaded when the server does not know it).

        Raises:
            OutOfMemoryError: also where Redis 6.2 hides it in the text of a script's error.
            RedisError: anything else that went wrong.
        """
        try:
            return await self._scripts[name](keys=keys, args=args)
        except redis.exceptions.ResponseError as error:
            if "-OOM " in str(error):
                raise redis.exceptions.OutOfMemoryError(str(error)) from None
            raise


def is_own_fault(error: Exception) -> bool:
    """Whether a script failed over what it was given, and not because Redis refuses to write."""
    if isinstance(error, redis.exceptions.OutOfMemoryError):
        return False
    return "user_script" in str(error) and not _REFUSED.search(str(error))
