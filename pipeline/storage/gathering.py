"""Gathers what many tasks ask for one by one, so that it is done in one script call."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Later:
    """In the place of a result: there was no room for it in the call, and nothing was done."""


LATER = Later()


@dataclass(frozen=True, slots=True)
class Bounds:
    """What goes into one call: `most` things, of `max_bytes` together. It waits `linger_s` for more of them to come."""

    most: int
    max_bytes: int
    linger_s: float


@dataclass(frozen=True, slots=True, eq=False)
class _Asked(Generic[T, R]):
    what: T
    size: int
    result: asyncio.Future[R]


class Gathering(Generic[T, R]):
    """One call at a time is under way; what is asked for meanwhile goes into the next, in order."""

    def __init__(
        self,
        send: Callable[[Sequence[T]], Awaitable[Sequence[R | Later | Exception]]],
        bounds: Bounds,
        lingers: Callable[[], bool],
    ) -> None:
        """`send` does these things and says what became of each, in order; of the first never LATER.

        `lingers`: whether enough is under way that waiting for more is worth it.
        """
        self._send = send
        self._bounds = bounds
        self._lingers = lingers
        self._asked: deque[_Asked[T, R]] = deque()
        self._sending: asyncio.Task[None] | None = None

    def ask(self, what: T, size: int = 0) -> asyncio.Future[R]:
        """To be awaited: what became of it, or the exception. `size` in bytes."""
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._asked.append(_Asked(what, size, result))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        return result

    async def _send_all(self) -> None:
        try:
            while self._asked:
                if len(self._asked) < self._bounds.most and self._lingers():
                    await asyncio.sleep(self._bounds.linger_s)
                await self._call(self._batch())
        finally:
            self._sending = None

    def _batch(self) -> list[_Asked[T, R]]:
        batch, size = [self._asked.popleft()], 0
        while self._asked and len(batch) < self._bounds.most:
            size += batch[-1].size
            if size + self._asked[0].size > self._bounds.max_bytes:
                break
            batch.append(self._asked.popleft())
        return batch

    async def _call(self, batch: list[_Asked[T, R]]) -> None:
        results: Sequence[R | Later | Exception]
        try:
            results = await self._send([one.what for one in batch])
        except Exception as error:  # noqa: BLE001 - raised where each result is awaited
            results = [error] * len(batch)
        late: list[_Asked[T, R]] = []
        for one, result in zip(batch, results, strict=True):
            if isinstance(result, Later):
                late.append(one)
            elif one.result.done():
                continue
            elif isinstance(result, Exception):
                one.result.set_exception(result)
            else:
                one.result.set_result(result)
        self._asked.extendleft(reversed(late))
