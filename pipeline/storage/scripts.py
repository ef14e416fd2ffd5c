"""Runs Lua scripts, each from `lua/` beside the modules of its package, behind lib.lua, and sent many in one round trip."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import deque
from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import redis.asyncio
import redis.exceptions

from pipeline.storage.prelude import lua_prelude

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
    """The text of one script: what Python tells it (prelude.py), the shared library, the script itself."""
    parts = (read_script("pipeline.storage", "lib"), read_script(*script.split("/")))
    return lua_prelude() + "".join(parts)


class _Command(NamedTuple):
    """One command and the future of its reply; `script` is what it runs, until that had to be loaded."""

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
                if isinstance(error, redis.exceptions.TimeoutError):
                    # A Redis that hangs: what queued behind these has waited as long, and would for every trip before it.
                    batch = [*batch, *self._queue]
                    self._queue.clear()
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
        self._queue.extendleft(command._replace(script=None) for command in reversed(unknown))


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

    def run(self, name: str, keys: Sequence[str | bytes], args: list[Any]) -> asyncio.Future[Any]:
        """Run one script; one of another package is PACKAGE/NAME (EVALSHA).

        Raises, when it is awaited:
            OutOfMemoryError: Redis is full.
            RedisError: anything else that went wrong.
        """
        script = name if "/" in name else f"{self._package}/{name}"
        return self.execute("EVALSHA", sha1(script), len(keys), *keys, *args, script=script)


class OwnFault(redis.exceptions.ResponseError):
    """A script that works on many things failed over this one, and did the others."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What goes into one call of a script that works on many things.

    most: of them, with arguments of `max_bytes` together. linger_s: how long a call waits for more of them to come;
    it only does while `from_in_hand` things are in hand.
    """

    most: int
    max_bytes: int
    linger_s: float
    from_in_hand: int


class _Asked(NamedTuple):
    args: tuple[Any, ...]
    size: int
    reply: asyncio.Future[tuple[Any, Any]]


class Gathering:
    """A script that works on many things, for tasks that each have one: their arguments go together in few calls.

    The script's arguments are the time (as `ms` in lib.lua reads it), what is the same for all of a call, and the things',
    one after the other. It returns what it has to say of all of them and a reply for each: `{'later'}` if there
    was no room for it, which is not said of the first, or `{'failed', why}` if that thing is at fault.
    One call at a time is under way; what is asked for meanwhile goes into the next, in order.
    """

    def __init__(
        self,
        scripts: Scripts,
        name: str,
        key: str,
        shared: Sequence[Any],
        bounds: Bounds,
        *,
        in_hand: Sized = (),
        time_ms: Callable[[], int] | None = None,
    ) -> None:
        """`in_hand`: what the process works at. `time_ms` replaces Redis' clock in tests."""
        self._scripts = scripts
        self._name = name
        self._key = key
        self._shared = shared
        self._bounds = bounds
        self._in_hand = in_hand
        self._time_ms = time_ms
        self._hurries = False
        self._asked: deque[_Asked] = deque()
        self._calling: asyncio.Task[None] | None = None

    def ask(self, *args: Any, size: int = 0) -> asyncio.Future[tuple[Any, Any]]:
        """To be awaited: what the script says of all, and its reply about the thing with these arguments, of `size` bytes.

        Raises, when it is awaited:
            OwnFault: this thing is at fault.
            RedisError: anything else that went wrong, as if it had gone alone.
        """
        reply: asyncio.Future[tuple[Any, Any]] = asyncio.get_running_loop().create_future()
        self._asked.append(_Asked(args, size, reply))
        if self._calling is None:
            self._calling = asyncio.create_task(self._call_all())
        return reply

    def hurry(self) -> None:
        """Wait for no company from now on."""
        self._hurries = True

    async def _call_all(self) -> None:
        try:
            while self._asked:
                is_busy = len(self._in_hand) >= self._bounds.from_in_hand
                if is_busy and not self._hurries and len(self._asked) < self._bounds.most:
                    await asyncio.sleep(self._bounds.linger_s)
                await self._call(self._batch())
        finally:
            self._calling = None

    def _batch(self) -> list[_Asked]:
        batch, size = [self._asked.popleft()], 0
        while self._asked and len(batch) < self._bounds.most:
            size += batch[-1].size
            if size + self._asked[0].size > self._bounds.max_bytes:
                break
            batch.append(self._asked.popleft())
        return batch

    async def _call(self, batch: list[_Asked]) -> None:
        args = ["" if self._time_ms is None else str(self._time_ms()), *self._shared]
        for one in batch:
            args += one.args
        try:
            about_all, *replies = await self._scripts.run(self._name, [self._key], args)
        except Exception as error:  # noqa: BLE001 - raised where each reply is awaited
            for one in batch:
                if not one.reply.done():
                    one.reply.set_exception(error)
            return
        late: list[_Asked] = []
        for one, reply in zip(batch, replies, strict=True):
            if reply[0] == b"later":
                late.append(one)
            elif one.reply.done():
                continue
            elif reply[0] == b"failed":
                one.reply.set_exception(OwnFault(reply[1].decode(errors="replace")))
            else:
                one.reply.set_result((about_all, reply))
        self._asked.extendleft(reversed(late))


def is_own_fault(error: Exception) -> bool:
    """Whether a script failed over what it was given, and not because Redis refuses to write."""
    if isinstance(error, _REFUSALS):
        return False
    is_of_script = isinstance(error, OwnFault) or "user_script" in str(error)
    return is_of_script and not _REFUSED.search(str(error))
