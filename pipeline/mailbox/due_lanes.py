"""Asks for many lanes at once whether a wake-up would find something there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import redis.asyncio

from pipeline.events.models import Lane
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts

LANES_A_CALL = 500
"""One call stays well below the 20 ms that a script may take."""


class DueLanes:
    """For all accounts of a process. `time_ms` replaces Redis' clock in tests."""

    def __init__(
        self, client: redis.asyncio.Redis, *, time_ms: Callable[[], int] | None = None
    ) -> None:
        self._scripts = Scripts(client, "pipeline.mailbox")
        self._time = time_ms

    async def among(self, lanes: Sequence[tuple[str, Lane]]) -> list[tuple[str, Lane]]:
        """Those of these lanes, (account, lane), in which a mailbox is due or a lease has run out."""
        return await self._ask(lanes, "" if self._time is None else str(self._time()))

    async def holding(self, lanes: Sequence[tuple[str, Lane]]) -> list[tuple[str, Lane]]:
        """Those in which anything waits or is leased, whenever it is due."""
        return await self._ask(lanes, "+inf")

    async def _ask(self, lanes: Sequence[tuple[str, Lane]], until: str) -> list[tuple[str, Lane]]:
        found: list[tuple[str, Lane]] = []
        for start in range(0, len(lanes), LANES_A_CALL):
            asked = lanes[start : start + LANES_A_CALL]
            names = [name for one in asked for name in _sets(*one)]
            reply: list[int] = await self._scripts.run("due_lanes", names, [until])
            found += [asked[position - 1] for position in reply]
        return found


@cache
def _sets(account: str, lane: Lane) -> tuple[bytes, ...]:
    """Where the mailboxes of a lane stand. They are named four times a second for every lane there is."""
    return tuple(name(account, lane).encode() for name in (keys.due, keys.due_bulk, keys.leased))
