"""Samples of each account's counters in the last hour, in Redis: every process measures the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from pipeline.events.models import Lane
from pipeline.lanes import SPECS
from pipeline.storage import keys
from pipeline.storage.numbers import DAY_MS
from pipeline.storage.scripts import Scripts

EVERY_MS = 15_000
KEPT = 240
"""Samples of each account: an hour of them."""
CHUNK = 20
"""Accounts that are sampled in one script, some 0.3 ms of Redis' time."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An account's counters at one moment (ms, by Redis' clock).

    delivered: events so far. folded_today: of the day (UTC) of the sample, those that needed no call of their own. waiting: events by lane. calls: slots given so far in the bucket of each lane, which
    two lanes may share, and with it what calls other lanes make there.
    """

    at_ms: int
    delivered: int
    waiting: Mapping[str, int]
    calls: Mapping[str, int]
    folded_today: int = 0

    def is_of_day(self, now_ms: int) -> bool:
        """Whether it was taken on the day (UTC) of this moment."""
        return self.at_ms // DAY_MS == now_ms // DAY_MS


async def take_samples(client: redis.asyncio.Redis, accounts: Sequence[str]) -> None:
    """Write one sample of each account. Raises redis.exceptions.RedisError."""
    scripts = Scripts(client, "pipeline.processes")
    for start in range(0, len(accounts), CHUNK):
        names = [key for name in accounts[start : start + CHUNK] for key in _keys(name)]
        await scripts.run("sample", names, [KEPT, *map(str, Lane)])


async def read_samples(client: redis.asyncio.Redis, account: str, most: int) -> list[Sample]:
    """The newest samples of an account, oldest first."""
    found: Any = await client.xrevrange(keys.history(account), count=most)
    return [_sample(entry, row) for entry, row in reversed(found)]


def _keys(account: str) -> list[str]:
    slots = [keys.slots(account, SPECS[lane].bucket) for lane in Lane]
    return [keys.history(account), keys.counts(account), *slots]


def _sample(entry: bytes, row: Mapping[bytes, bytes]) -> Sample:
    numbers = {name.decode(): int(value) for name, value in row.items()}
    return Sample(
        int(entry.partition(b"-")[0]),
        numbers.get("delivered", 0),
        {lane: numbers.get(f"waiting:{lane}", 0) for lane in Lane},
        {lane: numbers.get(f"calls:{lane}", 0) for lane in Lane},
        numbers.get("folded_today", 0),
    )
