"""One process's queue for one bucket: reserves slots for those who wait, and hands them out in time."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections import deque
from itertools import count
from typing import NamedTuple

from pipeline.clock import Clock
from pipeline.ratelimit.feedback import Headroom
from pipeline.ratelimit.slots import (
    MAX_AHEAD,
    MICROS,
    Ask,
    Bucket,
    Grant,
    SlotStore,
    first_pacing,
    pacing,
)

MIN_RATE = 1.0
"""Calls/s that a bucket is paced at, at least, whatever Sailthru's headers say."""
_SMOOTHING = 0.2
_STALLED_S = 1.0
"""A store that takes longer to answer has stalled: what passed meanwhile says nothing of how far apart slots are."""
_ROUNDING_S = 0.001
_DRIFT = 1e-4
"""Two machines' clocks run apart by less than this (100 ppm)."""


class SlotTooFar(Exception):
    """The next slot is further away than the caller wants to wait. `wait_s` is the best guess."""

    def __init__(self, wait_s: float = 0.0) -> None:
        super().__init__(wait_s)
        self.wait_s = wait_s


class ServerClock:
    """Converts the store's microseconds into this process's monotonic seconds.

    An answer that says "it is now T", asked for at a and received at b, bounds the difference of the
    clocks from both sides. Intersecting the bounds of many answers leaves what the fastest one leaves,
    so that a slow answer (a busy loop, a stalled network) does not move the slots it brings.
    """

    def __init__(self) -> None:
        self._low = 0.0
        self._high = 0.0
        self._seen: float | None = None

    def observe(self, now_us: int, asked: float, received: float) -> None:
        """The store's clock said `now_us` between `asked` and `received`, monotonic seconds."""
        low, high = now_us / 1e6 - received, now_us / 1e6 - asked
        if self._seen is not None:
            slip = (received - self._seen) * _DRIFT
            low, high = max(low, self._low - slip), min(high, self._high + slip)
        if low > high:  # the store's clock has been set
            low, high = now_us / 1e6 - received, now_us / 1e6 - asked
        self._low, self._high, self._seen = low, high, received

    @property
    def is_known(self) -> bool:
        """Whether the store has ever answered."""
        return self._seen is not None

    def local(self, at_us: int) -> float:
        """Monotonic seconds of a time of the store."""
        return at_us / 1e6 - (self._low + self._high) / 2

    def remote(self, at: float) -> int:
        """Microseconds of the store at a monotonic time."""
        return int((at + (self._low + self._high) / 2) * 1e6)


class _Waiter(NamedTuple):
    """Sorts by its rank, which no other has."""

    rank: tuple[bool, int]
    deadline: float
    slot: asyncio.Future[float]


class Pacer:
    """Waiters get slots in order of arrival, urgent ones first.

    Two short-lived tasks work while anyone waits: one reserves some slots before the last is used
    up, one sleeps until the next slot and gives it away. Idle, there is no task and no traffic.
    """

    def __init__(self, bucket: Bucket, store: SlotStore, clock: Clock, headroom: Headroom) -> None:
        """`headroom` says how many calls/s the server's headers allow at any moment."""
        self.total = 0
        self.late = 0
        self._bucket = bucket
        self._store = store
        self._clock = clock
        self._headroom = headroom
        self._server = ServerClock()
        self._tickets = count()
        self._queue: list[_Waiter] = []
        self._live = 0
        self._slots: deque[float] = deque()
        self._owed: deque[float] = deque()
        self._closed_until = 0.0
        self._pacing = first_pacing(bucket)
        self._gap = 1.0 / self._pacing.rate
        self._last_given: float | None = None
        self._refilling: asyncio.Task[None] | None = None
        self._dispatching: asyncio.Task[None] | None = None
        self._expiring: asyncio.TimerHandle | None = None
        self._expires_at = math.inf

    @property
    def now(self) -> float:
        """Unix seconds by the store's clock, which all processes share; by this machine's until it has answered."""
        if not self._server.is_known:
            return self._clock.now()
        return self._server.remote(self._clock.monotonic()) / MICROS

    @property
    def rate(self) -> float:
        """Calls/s aimed at by all processes together; 0 while the bucket is closed."""
        return 0.0 if self.closed_for > 0 else self._pacing.rate

    @property
    def limit(self) -> float:
        """Calls/s that are allowed, before Sailthru's headers say less."""
        return self._pacing.limit

    @property
    def closed_for(self) -> float:
        """Seconds until the bucket opens; 0 when it is open, as far as this process knows."""
        return max(0.0, self._closed_until - self._clock.monotonic())

    async def acquire(self, *, urgent: bool, max_wait: float) -> None:
        """Return when a slot of this bucket is now. Raises SlotTooFar, or what the store raises."""
        deadline = self._clock.monotonic() + max_wait
        rank = (not urgent, next(self._tickets))
        while True:
            expected = self._expected_wait(urgent)
            if self._clock.monotonic() + expected > deadline:
                raise SlotTooFar(expected)
            slot = await self._wait(_Waiter(rank, deadline, asyncio.Future()))
            if self._clock.monotonic() - slot <= self._pacing.lateness:
                self._watch(slot)
                return
            self.late += 1  # sent now, it would arrive in a burst with the next

    def close(self, seconds: float) -> None:
        """The bucket is closed for `seconds`: drop what is reserved, turn away who cannot wait."""
        self._closed_until = max(self._closed_until, self._clock.monotonic() + seconds)
        self._slots.clear()
        self._forget_gap()
        self._turn_away(self.closed_for)
        self._refill()

    async def aclose(self) -> None:
        """Cancel all waiters, both tasks and the timer."""
        if self._expiring is not None:
            self._expiring.cancel()
        for waiter in self._queue:
            waiter.slot.cancel()
        tasks = [task for task in (self._refilling, self._dispatching) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _watch(self, slot: float, turns: int = 2) -> None:
        """The caller sends in one of the loop's next two turns. If the process hung meanwhile, its call
        shares a second with one more than planned; so it gives up a slot within that second."""
        if turns:
            asyncio.get_running_loop().call_soon(self._watch, slot, turns - 1)
        elif self._clock.monotonic() - slot > self._pacing.hung:
            self._owed.append(self._clock.monotonic() + 1.0)

    def _expected_wait(self, urgent: bool) -> float:
        ahead = sum(waiter.rank[0] is False for waiter in self._queue) if urgent else self._live
        return max(self.closed_for, ahead * self._gap)

    async def _wait(self, waiter: _Waiter) -> float:
        heapq.heappush(self._queue, waiter)
        self._live += 1
        self._expire_at(waiter.deadline)
        self._refill()
        try:
            return await waiter.slot
        except asyncio.CancelledError:
            self._withdraw(waiter)
            raise

    def _expire_at(self, deadline: float) -> None:
        """One timer, for the first deadline of all: most waiters have their slot long before their own."""
        if deadline >= self._expires_at:
            return
        if self._expiring is not None:
            self._expiring.cancel()
        self._expires_at = deadline
        wait = max(0.0, deadline - self._clock.monotonic())
        self._expiring = asyncio.get_running_loop().call_later(wait, self._expire, deadline)

    def _expire(self, deadline: float) -> None:
        """Turn away who could wait until `deadline`, and set the timer for who is left."""
        self._expires_at = math.inf
        self._turn_away(max(self._gap, self.closed_for), until=deadline)
        if self._queue:
            self._expire_at(min(waiter.deadline for waiter in self._queue))

    def _withdraw(self, waiter: _Waiter) -> None:
        if waiter.slot.cancelled():
            self._live -= 1
        elif waiter.slot.exception() is None:
            self._give(waiter.slot.result())

    def _give(self, slot: float) -> None:
        """Give the slot to the first caller that still waits. One that is late or owed, or has no taker, is lost."""
        is_owed = self._owed and self._owed.popleft() > slot
        if is_owed or self._clock.monotonic() - slot > self._pacing.lateness:
            self.late += 1
            return
        while self._queue:
            waiter = heapq.heappop(self._queue)
            if not waiter.slot.done():
                self._live -= 1
                self._measure_gap(slot)
                waiter.slot.set_result(slot)
                return

    def _measure_gap(self, slot: float) -> None:
        if self._last_given is not None:
            self._gap += _SMOOTHING * (slot - self._last_given - self._gap)
        if self._live:
            self._last_given = slot
        else:
            self._forget_gap()

    def _forget_gap(self) -> None:
        self._last_given = None
        self._gap = 1.0 / self._pacing.rate

    def _wanted(self) -> int:
        size = self._pacing.reservation
        missing = self._live - len(self._slots)
        return 0 if len(self._slots) > size // 2 else max(0, min(missing, size))

    def _refill(self) -> None:
        if self._wanted() and (self._refilling is None or self._refilling.done()):
            self._refilling = asyncio.create_task(self._reserve_while_wanted())

    async def _reserve_while_wanted(self) -> None:
        while wanted := self._wanted():
            try:
                grant = await self._reserve(wanted)
            except Exception as error:  # noqa: BLE001 - not swallowed: every waiter gets it
                self._fail(error)
                return
            if grant.count:
                self._take(grant)
            else:
                await self._hold_off(grant)

    async def _reserve(self, wanted: int) -> Grant:
        asked = self._clock.monotonic()
        not_before = self._server.remote(self._closed_until) if self.closed_for else 0
        grant = await self._store.reserve(self._bucket, Ask(wanted, self._cap(), not_before))
        answered = self._clock.monotonic()
        self._server.observe(grant.now, asked, answered)
        if answered - asked > _STALLED_S:
            self._forget_gap()
        rate = MICROS / grant.interval
        if (grant.limit, rate) != (self._pacing.limit, self._pacing.rate):
            self._pacing = pacing(grant.limit, rate)
        self.total = grant.total
        return grant

    def _cap(self) -> float | None:
        """The calls/s the server's headers allow now; None when they say nothing."""
        if not self._headroom.heard:
            return None
        cap = self._headroom.cap(now=self.now)
        return None if cap is None else max(cap, MIN_RATE)

    def _take(self, grant: Grant) -> None:
        if self._server.local(grant.first) < self._closed_until - _ROUNDING_S:
            return  # closed while the answer was under way
        self._slots.extend(
            self._server.local(grant.first + n * grant.interval) for n in range(grant.count)
        )
        if self._dispatching is None or self._dispatching.done():
            self._dispatching = asyncio.create_task(self._dispatch())

    async def _hold_off(self, grant: Grant) -> None:
        wait = (grant.first - grant.now) / MICROS
        if grant.closed_until > grant.now:
            self.close(wait)
        else:
            self._turn_away(wait)
        await self._clock.sleep(wait - MAX_AHEAD)

    async def _dispatch(self) -> None:
        while self._slots:
            slot = self._slots[0]
            if (wait := slot - self._clock.monotonic()) >= 0:
                await self._clock.sleep(wait)
            if self._slots and self._slots[0] == slot:
                self._slots.popleft()
                self._give(slot)
                self._refill()

    def _turn_away(self, wait: float, until: float | None = None) -> None:
        """Raise SlotTooFar in waiters who cannot wait so long, or with `until` in those who waited until then."""
        last = self._clock.monotonic() + wait if until is None else until
        for waiter in self._queue:
            if waiter.deadline <= last and not waiter.slot.done():
                self._live -= 1
                waiter.slot.set_exception(SlotTooFar(wait))
        self._queue = sorted(waiter for waiter in self._queue if not waiter.slot.done())

    def _fail(self, error: Exception) -> None:
        self._forget_gap()
        for waiter in self._queue:
            if not waiter.slot.done():
                self._live -= 1
                waiter.slot.set_exception(error)
        self._queue.clear()
