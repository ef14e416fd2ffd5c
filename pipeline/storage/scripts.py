"""Runs Lua scripts, each from `lua/` beside the modules of its package, behind lib.lua, and sent many in one round trip."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import deque
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import redis.asyncio
import redis.exceptions

from pipeline.lanes import lua_prelude
from pipeline.storage.keys import SHARDS

MAX_COMMANDS = 100
"""Commands in one round trip."""
_REFUSED = re.compile(r"\b(OOM|READONLY|MISCONF|NOREPLICAS|MASTERDOWN)\b")
"""How a script's error begins, or what Redis 6.2 hides in its text, when Redis refuses to write."""
_REFUSALS = (
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.MasterDownError,
)
"""The same from Redis 7 on: redis-py makes classes of these codes and takes them out of the text."""


@cache
def read_script(package: str, name: str) -> str:
    """The text of `lua/NAME.lua` beside the modules of a package."""
    return (files(package) / "lua" / f"{name}.lua").read_text("utf-8")


@cache
def sha1(script: str) -> str:
    """What Redis knows a script by; `script` is PACKAGE/NAME."""
    return hashlib.sha1(source(script).encode(), usedforsecurity=False).hexdigest()


@cache
def source(script: str) -> str:
    """The text of one script: what Python says of lanes and numbers, the shared library, the script itself."""
    shards = f"local SHARDS = {SHARDS} -- mailboxes of a user in an unordered lane\n"
    parts = (read_script("pipeline.storage", "lib"), read_script(*script.split("/")))
    return lua_prelude() + shards + "".join(parts)


@dataclass(frozen=True, slots=True, eq=False)
class _Command:
    """One command and who waits for its reply; `script` is what it runs, until that had to be loaded."""

    parts: tuple[Any, ...]
    reply: asyncio.Future[Any]
    script: str | None = None


class Batcher:
    """Commands that are given while a round trip is under way go together in the next.

    A worker claims and settles hundreds of mailboxes a second; alone, each command costs several
    times what Redis needs for it in connection handling on our side.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._redis = client
        self._queue: deque[_Command] = deque()
        self._sending: asyncio.Task[None] | None = None

    def execute(self, *parts: Any, script: str | None = None) -> asyncio.Future[Any]:
        """The command's reply, to be awaited. Raises redis.exceptions.RedisError as if it had gone alone.

        `script`: the name of the one that the command runs; it is loaded when the server does not know it.
        """
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.append(_Command(parts, reply, script))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        return reply

    async def _send_all(self) -> None:
        try:
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(MAX_COMMANDS, len(self._queue)))]
                await self._send(batch)
        finally:
            self._sending = None

    async def _send(self, batch: list[_Command]) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            for command in batch:
                pipe.execute_command(*command.parts)
            replies: list[Any]
            try:
                replies = await pipe.execute(raise_on_error=False)
            except Exception as error:  # noqa: BLE001 - raised where each reply is awaited
                replies = [error] * len(batch)
        unknown: list[_Command] = []
        for command, reply in zip(batch, replies, strict=True):
            if command.reply.done():
                continue
            if not isinstance(reply, Exception):
                command.reply.set_result(reply)
            elif isinstance(reply, redis.exceptions.NoScriptError) and command.script is not None:
                unknown.append(command)
            else:
                command.reply.set_exception(_as_out_of_memory(reply))
        if unknown:
            await self._load(unknown)

    async def _load(self, unknown: list[_Command]) -> None:
        """Load the scripts that the server does not know, and let their commands go next, in order."""
        try:
            for name in {command.script for command in unknown if command.script is not None}:
                await self._redis.script_load(source(name))
        except Exception as error:  # noqa: BLE001 - raised where each reply is awaited
            for command in unknown:
                if not command.reply.done():
                    command.reply.set_exception(error)
            return
        self._queue.extendleft(replace(command, script=None) for command in reversed(unknown))


def _as_out_of_memory(error: Exception) -> Exception:
    """Redis 6.2 hides a full memory in the text of a script's error."""
    if isinstance(error, redis.exceptions.ResponseError) and "-OOM " in str(error):
        return redis.exceptions.OutOfMemoryError(str(error))
    return error


class Scripts(Batcher):
    """The scripts of one package on one connection pool: `await scripts.run("wake", keys, args)`."""

    def __init__(self, client: redis.asyncio.Redis, package: str) -> None:
        super().__init__(client)
        self._package = package

    def run(self, name: str, keys: list[str], args: list[Any]) -> asyncio.Future[Any]:
        """Run one script; one of another package is PACKAGE/NAME (EVALSHA).

        Raises, when it is awaited:
            OutOfMemoryError: Redis is full.
            RedisError: anything else that went wrong.
        """
        script = name if "/" in name else f"{self._package}/{name}"
        return self.execute("EVALSHA", sha1(script), len(keys), *keys, *args, script=script)


class OwnFault(redis.exceptions.ResponseError):
    """A script that works on many things failed over this one, and did the others."""


def is_own_fault(error: Exception) -> bool:
    """Whether a script failed over what it was given, and not because Redis refuses to write."""
    if isinstance(error, _REFUSALS):
        return False
    is_of_script = isinstance(error, OwnFault) or "user_script" in str(error)
    return is_of_script and not _REFUSED.search(str(error))
