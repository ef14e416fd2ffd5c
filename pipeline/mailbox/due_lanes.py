"""Asks for many lanes at once whether a wake-up would find something there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
        found: list[tuple[str, Lane]] = []
        for start in range(0, len(lanes), LANES_A_CALL):
            asked = lanes[start : start + LANES_A_CALL]
            names = [key(*one) for one in asked for key in (keys.due, keys.due_bulk, keys.leased)]
            now = "" if self._time is None else str(self._time())
            reply: list[int] = await self._scripts.run("due_lanes", names, [now])
            found += [asked[position - 1] for position in reply]
        return found
