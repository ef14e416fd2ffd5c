"""How full Redis is: what is said to producers about it, and how much the splitter may move meanwhile.

An event in a mailbox takes up to four times what it took in the raw stream. So a Redis that is nearly full holds
what waits in the raw stream back, but for what delivery can use: delivery makes room.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import redis.asyncio

from pipeline.clock import Clock
from pipeline.events.models import Lane
from pipeline.lanes import BUCKETS
from pipeline.ratelimit.slots import Bucket, default_limit
from pipeline.ratelimit.store_redis import RedisSlotStore
from pipeline.settings import Settings
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts
from pipeline.storage.verdict import Verdict

LOOK_S = 0.25
"""Between two looks: some thousand events at most, and far less than what is moved ahead of delivery lasts."""
AHEAD_S = 5.0
"""What may wait in mailboxes of a Redis that is nearly full: what its open lanes deliver in so many seconds."""
VERDICT_MS = 10_000
"""A verdict ends by itself when its splitter is gone for longer than another takes to take over."""
FREE = 1 << 30
"""More entries than are split between two looks."""


class LaneLoad(NamedTuple):
    """What waits in one lane of an account, and how much of that can go now unless the lane's gates are closed.

    What cannot waits for an email, for a retry or the like.
    """

    account: str
    lane: Lane
    waiting: int
    ready: int
    is_open: bool


class Load(NamedTuple):
    """What load.lua found. `most`: bytes there are, 0 when that is not known."""

    used: int
    most: int
    lanes: tuple[LaneLoad, ...]

    @property
    def share(self) -> float:
        return self.used / self.most if self.most else 0.0


def verdict_on(load: Load, settings: Settings) -> Verdict:
    """What is said to producers."""
    lanes: dict[str, dict[str, int]] = {}
    for one in load.lanes:
        if one.waiting >= settings.account(one.account).lane_bound:
            lanes.setdefault(one.account, {})[one.lane] = one.waiting
    return Verdict(int(load.share * 100) if load.share >= settings.memory_high else None, lanes)


def allowance(load: Load, rates: Mapping[tuple[str, Lane], float]) -> int:
    """How many events may be moved while Redis is nearly full: as many as keep delivery busy. rates: calls/s of each lane.

    What waits in closed lanes does not count at first, or one that is paused would stop the others. It does once there
    is no memory left, or an outage would move all that was accepted.
    """
    usable = sum(rates[one.account, one.lane] for one in load.lanes if one.is_open) * AHEAD_S
    ready = sum(one.ready for one in load.lanes if one.is_open or load.share >= 1)
    return int(usable) - ready


class Pressure:
    """The one owner of the verdict, for the splitter that holds the lease."""

    def __init__(
        self, client: redis.asyncio.Redis, settings: Settings, token: str, clock: Clock
    ) -> None:
        self._scripts = Scripts(client, "pipeline.splitter")
        self._slots = RedisSlotStore(client)
        self._settings = settings
        self._token = token
        self._clock = clock
        self._next_look = 0.0
        self._left = FREE
        self._is_told = True  # the last splitter may have left one

    async def left(self) -> int:
        """How many entries may be moved now; looks when the last look is old. To be asked with the lease.

        Raises redis.exceptions.RedisError.
        """
        now = self._clock.monotonic()
        if now >= self._next_look:
            load = await self._look()
            await self._tell(verdict_on(load, self._settings))
            is_high = load.share >= self._settings.memory_high
            self._left = allowance(load, await self._rates()) if is_high else FREE
            self._next_look = now + LOOK_S
        return self._left

    def moved(self, entries: int) -> None:
        """So many have been moved since."""
        self._left -= entries

    async def _look(self) -> Load:
        names = list(self._settings.accounts)
        prefixes = map(keys.account_prefix, names)
        used, most, *rows = await self._scripts.run("load", [], ["", len(Lane), *Lane, *prefixes])
        lanes = ((name, lane) for name in names for lane in Lane)
        loads = (
            LaneLoad(name, lane, int(waiting), int(ready), is_open == b"1")
            for (name, lane), (waiting, ready, is_open) in zip(lanes, rows, strict=True)
        )
        return Load(int(used), int(most), tuple(loads))

    async def _tell(self, verdict: Verdict) -> None:
        if verdict or self._is_told:
            args: list[Any] = [self._token, verdict.encode() if verdict else "", VERDICT_MS]
            await self._scripts.run("verdict", [keys.VERDICT, keys.SPLITTER], args)
        self._is_told = bool(verdict)

    async def _rates(self) -> dict[tuple[str, Lane], float]:
        lanes = [(name, lane) for name in self._settings.accounts for lane in Lane]
        usage = await self._slots.usage([self._bucket(name, BUCKETS[lane]) for name, lane in lanes])
        return {lane: one.limit for lane, one in zip(lanes, usage, strict=True)}

    def _bucket(self, account: str, name: str) -> Bucket:
        setting = self._settings.account(account).limits.get(name)
        return Bucket(account, name, setting=setting, default=default_limit(name))
