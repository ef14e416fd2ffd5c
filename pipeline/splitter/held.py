"""Events of accounts that the splitter's settings do not name: they are held, and given back to the raw stream.

Who adds an account restarts processes in some order, and producers may know the account before the splitter does. Its
events wait for a splitter that knows it, for HELD_FOR_MS and as many as HELD_MOST; then they are dead letters.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection

import redis.asyncio

from pipeline.clock import Clock
from pipeline.observe.logs import log_event
from pipeline.splitter.triage import GIVEN_UP
from pipeline.storage import keys
from pipeline.storage.numbers import DAY_MS
from pipeline.storage.scripts import Scripts

HELD_FOR_MS = DAY_MS
LOOK_S = 60.0
ENTRIES_A_CALL = 200
"""Entries that one script looks at, if they are not large."""
NAMES_SAID = 20
"""Accounts that a process names in its log: the names are the producers' to choose."""
FIX = "name it in the splitter's settings, and restart the splitter"


class HeldEntries:
    """What is held, as the splitter with the lease sees it. `time_ms` replaces Redis' clock in tests."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        accounts: Collection[str],
        clock: Clock,
        time_ms: Callable[[], int] | None = None,
    ) -> None:
        """`accounts`: those that the settings name."""
        self._scripts = Scripts(client, "pipeline.splitter")
        self._accounts = accounts
        self._clock = clock
        self._time = time_ms
        self._next_look = -math.inf
        self._said: set[str] = set()

    async def give_back(self) -> None:
        """Once a minute, and at once at first: what the settings name by now comes to the end of the raw stream, and
        what has been held for too long. Raises redis.exceptions.RedisError."""
        if self._clock.monotonic() < self._next_look:
            return
        now = "" if self._time is None else str(self._time())
        rest = [ENTRIES_A_CALL, HELD_FOR_MS, GIVEN_UP, *self._accounts]
        begin = "-"
        while last := await self._scripts.run(
            "release", [keys.HELD, keys.RAW], [now, begin, *rest]
        ):
            begin = f"({last.decode()}"
        self._next_look = self._clock.monotonic() + LOOK_S

    def look_soon(self) -> None:
        """Another splitter, with other settings, may have held events since."""
        self._next_look = -math.inf

    def say(self, accounts: set[str]) -> None:
        """Name those whose events are held, each once."""
        for account in sorted(accounts - self._said)[: NAMES_SAID - len(self._said)]:
            self._said.add(account)
            log_event("account_unknown", logging.ERROR, account=account, fix=FIX)
