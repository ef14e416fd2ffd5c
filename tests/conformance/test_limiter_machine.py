"""Any history of reservations, closures, limits and restarts, against a model of a few lines."""

from __future__ import annotations

import asyncio

import fakeredis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from pipeline.clock import ManualClock
from pipeline.ratelimit.slots import (
    MAX_AHEAD,
    MICROS,
    RESTART_PAUSE,
    Ask,
    Bucket,
    Grant,
    SlotStore,
    pace,
    reservation_size,
)
from pipeline.ratelimit.store_memory import MemorySlotStore
from pipeline.ratelimit.store_redis import RedisSlotStore
from pipeline.storage import keys
from tests.support.windows import worst_second

BUCKET = Bucket("default", "POST /event")
ROUNDED = 3e-6
"""Seconds. Times and intervals are rounded to the microsecond."""


class SlotMachine(RuleBasedStateMachine):
    """Seconds throughout. The model knows until when the last slot lasts, until when the bucket is
    closed, when the store began, and the limit; the first of the next slots follows."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = ManualClock(1_000_000_020.0)
        self.store = self.make_store()
        self.given: list[float] = []
        self.free_at = self.closed = self.interval = 0.0
        self.limit = self.highest = 40.0

    def make_store(self) -> SlotStore:
        """In memory: it has been there for ever."""
        self.began: float | None = 0.0
        return MemorySlotStore(self.clock)

    def teardown(self) -> None:
        self.runner.close()

    @rule(count=st.integers(1, 8), cap=st.none() | st.sampled_from([1.0, 20.0, 1e9]))
    def reserve(self, count: int, cap: float | None) -> None:
        """Slots start at the first moment nothing speaks against, or there are none."""
        now = self.clock.now()
        self.began = now if self.began is None else self.began
        rate = min(pace(self.limit), cap or 1e9)
        first = max(now, self.free_at, self.closed, self.began + RESTART_PAUSE + 1 / rate)
        count = min(count, reservation_size(rate))
        grant = self.runner.run(self.store.reserve(BUCKET, Ask(count, cap)))
        assert abs(grant.first / MICROS - first) < ROUNDED
        assert abs(grant.interval / MICROS - 1 / rate) < ROUNDED
        assert grant.count == (count if grant.first - grant.now <= MAX_AHEAD * MICROS else 0)
        if grant.count:
            self._keep(grant)

    def _keep(self, grant: Grant) -> None:
        first, interval = grant.first / MICROS, grant.interval / MICROS
        if self.given:
            assert first - self.given[-1] >= min(interval, self.interval) - ROUNDED
        self.given += [slot / MICROS for slot in grant.slots]
        self.interval = interval
        self.free_at = first + grant.count * interval

    @rule(seconds=st.sampled_from([0.001, 0.02, 0.1, 0.3, 1.0, 5.0, 100.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(seconds=st.sampled_from([-1.0, 0.1, 1.0, 30.0]))
    def close(self, seconds: float) -> None:
        until = self.clock.now() + seconds
        self.runner.run(self.store.close("default", "POST /event", until))
        self.closed = max(self.closed, until)

    @rule(limit=st.sampled_from([1.0, 10.0, 40.0, 80.0, 300.0]))
    def operator_sets(self, limit: float) -> None:
        self.runner.run(self.store.set_limit("default", "POST /event", limit))
        self.limit, self.highest = limit, max(self.highest, limit)

    @invariant()
    def no_second_has_more_than_the_limit(self) -> None:
        assert worst_second(self.given[-400:]) <= self.highest


class RedisSlotMachine(SlotMachine):
    """The same over the script, with a Redis that restarts and has forgotten the last moments."""

    def make_store(self) -> SlotStore:
        self.redis = fakeredis.FakeAsyncRedis()
        self.key = keys.slots("default", "POST /event")
        self.saved: bytes | None = None
        self.began = None
        return RedisSlotStore(self.redis, self.clock)

    @rule()
    def save(self) -> None:
        """What reaches the disk."""
        self.saved = self.runner.run(self._dump())

    async def _dump(self) -> bytes | None:
        return await self.redis.dump(self.key)

    @precondition(lambda self: bool(self.given))
    @rule()
    def restart(self) -> None:
        """The state is old or gone and so are the scripts; slots given before are still in use."""
        self.free_at, self.closed = self.runner.run(self._restart())
        self.began = None

    async def _restart(self) -> tuple[float, float]:
        await self.redis.script_flush()
        await self.redis.delete(self.key)
        if self.saved is not None:
            await self.redis.restore(self.key, 0, self.saved)
        kept = [await self.redis.hget(self.key, name) for name in ("free_at", "closed")]
        return float(kept[0] or 0) / MICROS, float(kept[1] or 0) / MICROS


TestMemorySlots = SlotMachine.TestCase
TestMemorySlots.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestRedisSlots = RedisSlotMachine.TestCase
TestRedisSlots.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
