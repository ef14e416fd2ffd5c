"""The Lua scripts, read from their files once a connection."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from typing import Any

import redis.asyncio
import redis.exceptions

from pipeline.lanes import lua_prelude
from pipeline.mailbox.batcher import Batcher
from pipeline.redis_client import read_script

_REFUSED = re.compile(r"\b(OOM|READONLY|MISCONF|NOREPLICAS|MASTERDOWN)\b")


@cache
def sha1(name: str) -> str:
    """What Redis knows a script by."""
    return hashlib.sha1(source(name).encode(), usedforsecurity=False).hexdigest()


@cache
def source(name: str) -> str:
    """The text of one script: what it knows of lanes, the shared library, the script itself."""
    return (
        lua_prelude()
        + read_script("pipeline.mailbox", "lib")
        + read_script("pipeline.mailbox", name)
    )


class Scripts:
    """Callable scripts on one connection pool: `await scripts.run("wake", keys, args)`."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._redis = client
        self._batcher = Batcher(client)

    async def run(self, name: str, keys: list[str], args: list[Any]) -> Any:
        """Run one script (EVALSHA, loaded when the server does not know it).

        Raises:
            OutOfMemoryError: also where Redis 6.2 hides it in the text of a script's error.
            RedisError: anything else that went wrong.
        """
        command = ("EVALSHA", sha1(name), len(keys), *keys, *args)
        try:
            return await self._known(name, command)
        except redis.exceptions.ResponseError as error:
            if "-OOM " in str(error):
                raise redis.exceptions.OutOfMemoryError(str(error)) from None
            raise

    async def _known(self, name: str, command: tuple[Any, ...]) -> Any:
        try:
            return await self._batcher.execute(*command)
        except redis.exceptions.NoScriptError:
            await self._redis.script_load(source(name))
            return await self._batcher.execute(*command)


def is_own_fault(error: Exception) -> bool:
    """Whether a script failed over what it was given, and not because Redis refuses to write."""
    if isinstance(error, redis.exceptions.OutOfMemoryError):
        return False
    return "user_script" in str(error) and not _REFUSED.search(str(error))
