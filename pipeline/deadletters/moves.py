"""Moves dead letters: back into their mailboxes, or out of the store for good. Each move is one script."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

import redis.asyncio

from pipeline.storage import keys
from pipeline.storage.scripts import Scripts


class LetterMoves:
    """One account's letters. `time_ms` replaces Redis' clock in tests. Connection errors propagate; a move
    whose answer was lost may be repeated."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        account: str,
        *,
        time_ms: Callable[[], int] | None = None,
    ) -> None:
        self._scripts = Scripts(client, "pipeline.deadletters")
        self._prefix = keys.account_prefix(account)
        self._time = time_ms

    def _now(self) -> str:
        return "" if self._time is None else str(self._time())

    async def replay(self, ids: Sequence[str], *, overtaken: bool = True) -> list[str]:
        """Put dead letters back into their mailboxes; returns the ids that were still there, and went.

        overtaken: also those that something newer has overtaken by now.
        """
        args = [self._now(), "" if overtaken else "1", *ids]
        done = await self._scripts.run("replay", [self._prefix], args)
        return [identity.decode() for identity in done]

    async def drop(self, ids: Sequence[str]) -> int:
        """Remove dead letters for good, counted as removed; returns how many were there."""
        return int(await self._scripts.run("drop", [self._prefix], list(ids)))

    async def trim(
        self, hour: int, cuts: Mapping[str, int], *, passed: int, page: int, most: int
    ) -> tuple[int, dict[str, int]]:
        """Look at `page` dead letters of one hour, newest first behind the `passed` newest, and remove of
        each group (see lib.lua) as many as `cuts` says, none once only `most` letters are left.

        Returns how many were looked at (0 when there is nothing more to do), and removed by group.
        """
        args = [hour, passed, page, most, json.dumps(cuts)]
        looked, *pairs = await self._scripts.run("trim", [self._prefix], args)
        groups = [group.decode() for group in pairs[::2]]
        return int(looked), dict(zip(groups, pairs[1::2], strict=True))

    async def is_first(self, key: str, within_ms: int) -> bool:
        """Whether no process asked this of `key` in the last `within_ms`. A full Redis answers, too."""
        return bool(await self._scripts.run("once", [key], [within_ms]))
