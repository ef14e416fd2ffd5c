"""Leases due mailboxes and publishes wake-ups for them: soon after a reason, and four times a second."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING

import redis.exceptions
from kombu.exceptions import OperationalError

from pipeline.clock import SystemClock
from pipeline.delivery.capacity import MESSAGE_BOXES, MIN_PAUSE_S, QUEUE_MESSAGES, wake_pause
from pipeline.events.models import Lane
from pipeline.mailbox.due_lanes import DueLanes
from pipeline.observe.logs import log_event
from pipeline.storage import keys
from pipeline.storage.redis_watch import RedisWatch
from pipeline.storage.scripts import is_own_fault
from pipeline.targets import Owner, Target, ways_on
from workers.config import DELIVER
from workers.schedule import AccountLane, WakeSchedule

if TYPE_CHECKING:
    from celery import Celery

    from pipeline.mailbox.claim import WakeResult
    from pipeline.observe.names import LogEvent
    from workers.runtime import Runtime

TICK_S = 0.25
"""How late a retry may start; also how soon an expired lease is noticed."""
SETTLED_PAUSE_S = 0.05
"""A settled mailbox makes room for another at most, and no nudge says whether one waits: several are waited for."""
REST_CLOSED_S = 1.0
"""How often a lane is woken that may deliver nothing now: so late may it notice that it may again."""
KEEP_TICKS_A_LEASE = 3
"""Wakings in one lease of a lane in which nothing is due, but something waits: its tick tells other processes that the
account is served. So is one behind a closed gate, whose clock stands still."""
LOG_INTERVAL_S = 60.0


class Waker:
    """Wakes the lanes of every account. All state that matters is in Redis.

    A lane is woken when something is due in it, which one call asks for all lanes: when a nudge names the lane, when a
    mailbox of it was settled, and four times a second in any case. How soon after the last time: see `wake_pause`.
    One that is empty, behind an open gate, is left alone.
    """

    def __init__(self, app: Celery, runtime: Runtime, served: Collection[str]) -> None:
        """`served`: the lanes whose Celery queues this process consumes."""
        self._app = app
        self._runtime = runtime
        self._served = served
        self._logged_at: dict[tuple[str, ...], float] = {}
        self._engine = runtime.engine
        self._due = DueLanes(runtime.engine.redis)
        accounts = list(runtime.engine.stores)
        self._lines = {lane: list(accounts) for lane in Lane}
        self._lanes = {keys.due(name, lane): (name, lane) for lane in Lane for name in accounts}
        self._all = tuple(self._lanes.values())
        self._kept = deque(accounts)
        self._open: set[AccountLane] = set()
        self._ticks: dict[
            AccountLane, tuple[int, float]
        ] = {}  # by Redis' clock, and by ours when it was asked for
        self._schedule = WakeSchedule()
        self._reason = asyncio.Event()
        self._looks_at = -math.inf
        self._clock = SystemClock()
        self._watch = RedisWatch("waker", self._clock)

    def nudged(self, due_sets: Collection[str]) -> None:
        """Wake these lanes soon (`keys.due`; those of other accounts are not ours). On the loop."""
        self._look([self._lanes[name] for name in due_sets if name in self._lanes], -math.inf)

    def settled(self, account: str, lane: Lane) -> None:
        """Look whether a lane has more for the capacity that is free now, or the mailbox again. On the loop."""
        self._look([(account, lane)], self._clock.monotonic() + SETTLED_PAUSE_S)

    def _look(self, lanes: Collection[AccountLane], at: float) -> None:
        if self._schedule.add(lanes, at) < self._looks_at:
            self._reason.set()

    async def run(self) -> None:
        """Wake until cancelled. Redis going away is waited out."""
        tick = self._clock.monotonic()
        wake: Callable[[], Awaitable[None]] = self.wake_all
        while True:
            try:
                await wake()
                self._watch.back()
            except (redis.exceptions.RedisError, OperationalError, OSError) as error:
                self._watch.away(error)
                await asyncio.sleep(TICK_S * 4)
                wake = self.wake_all
                continue
            wake = self.wake_due
            await self._until_next(tick + TICK_S)
            if self._clock.monotonic() >= tick + TICK_S:
                tick, wake = self._clock.monotonic(), self._tick

    async def _until_next(self, tick: float) -> None:
        """Return at the next tick, or when a scheduled lane has rested."""
        while (now := self._clock.monotonic()) < (at := min(tick, self._schedule.next_at())):
            self._looks_at = at
            self._reason.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._reason.wait(), at - now)
        self._looks_at = -math.inf

    async def _tick(self) -> None:
        """Look at all lanes, and wake those of a few accounts that are to be kept: each once in a part of a lease."""
        self._schedule.add(await self._due.among(self._all))
        await self.wake_due()
        keep_s = self._engine.leases.min_lease_s / KEEP_TICKS_A_LEASE
        turn = tuple(self._kept)[: math.ceil(len(self._kept) * TICK_S / keep_s)]
        self._kept.rotate(-len(turn))
        lanes = [(name, lane) for name in turn for lane in Lane]
        kept = {*lanes} - self._open
        kept.update(await self._due.holding(lanes))
        await asyncio.gather(*(self._wake_if_well(*one) for one in lanes if one in kept))

    async def wake_all(self) -> None:
        """Wake every lane of every account once."""
        await self._wake(self._all)

    async def wake_due(self) -> None:
        """Wake those marked lanes, which have rested, in which something is due."""
        now = self._clock.monotonic()
        if ready := self._schedule.take(now):
            self._schedule.rest(ready, now + MIN_PAUSE_S)
            await self._wake(await self._due.among(ready))

    async def _wake(self, lanes: Collection[AccountLane]) -> None:
        """Wake these lanes.

        In each lane the account comes first that was leased nothing for the longest: all accounts share
        the lane's Celery queue, and a backlog that fills it would fill it again, pass after pass.
        """
        wanted = frozenset(lanes)
        for lane, line in self._lines.items():
            for account in [one for one in line if (one, lane) in wanted]:
                if await self._wake_if_well(account, lane):
                    line.remove(account)
                    line.append(account)

    async def _wake_if_well(self, account: str, lane: Lane) -> bool:
        """`wake`, but a lane that fails by itself keeps no other from being woken."""
        try:
            return await self.wake(account, lane)
        except redis.exceptions.ResponseError as error:
            if not is_own_fault(error):
                raise
            name = type(error).__name__
            self._log_throttled(
                "wake_failed", logging.ERROR, account=account, lane=lane, error=name
            )
            return False

    async def wake(self, account: str, lane: Lane) -> bool:
        """Lease what is due in one lane and publish it; returns whether that was anything."""
        bound, bulk_bound = self._engine.bounds(account, lane)
        asked = self._clock.monotonic()
        own_tick, since = self._ticks.get((account, lane), (0, asked))
        leased = await self._engine.stores[account].wake(
            lane,
            bound=bound,
            bulk_bound=bulk_bound,
            max_queue_length=QUEUE_MESSAGES,
            own_tick=own_tick,
            reckoned=own_tick and own_tick + int((asked - since) * 1000),
            serves=lane in self._served,
        )
        self._ticks[account, lane] = leased.now, asked
        (self._open.add if leased.gate == "open" else self._open.discard)((account, lane))
        self._engine.observe_gate(account, lane, leased.gate)
        rested = self._clock.monotonic() + self._pause(account, lane, leased)
        self._schedule.rest([(account, lane)], rested)
        if leased.owner:
            self._log_foreign(account, Owner.read(leased.owner))
        if leased.boxes:
            await asyncio.to_thread(self.dispatch, account, lane, leased)
        return bool(leased.boxes)

    def _pause(self, account: str, lane: Lane, leased: WakeResult) -> float:
        if leased.gate in {"closed", "foreign"}:
            return REST_CLOSED_S
        return wake_pause(leased.leased, self._engine.rate(account, lane))

    def _log_foreign(self, account: str, owner: Owner) -> None:
        own = Target(self._engine.stores[account].target)
        names = {"owner": str(owner.target), "target": str(own), "fix": ways_on(account, owner)}
        self._log_throttled("foreign_target", logging.ERROR, account=account, **names)

    def dispatch(self, account: str, lane: Lane, leased: WakeResult) -> None:
        """Publish what was leased, or deliver it in this process if no message can be published. Publishing blocks.

        A full Redis takes none, and only what is delivered frees memory in it.
        """
        if leased.in_process == "shared":
            self._runtime.submit(account, lane, list(leased.boxes))
            return
        try:
            if not leased.in_process:
                self._publish(account, lane, leased.boxes)
                return
        except OperationalError as error:
            # It has become full since. What this process does not serve is leased again after a lease.
            full = isinstance(error.__cause__, redis.exceptions.OutOfMemoryError)
            if not full or lane not in self._served:
                raise
        self._log_throttled("redis_full", logging.WARNING)
        self._runtime.submit(account, lane, list(leased.boxes))

    def _log_throttled(self, event: LogEvent, level: int, **fields: str) -> None:
        """Log this event at most once in LOG_INTERVAL_S: a fault of one pass is one of the next, many times a
        second."""
        what, now = (event, *fields.values()), self._clock.monotonic()
        if now - self._logged_at.get(what, -math.inf) >= LOG_INTERVAL_S:
            self._logged_at[what] = now
            log_event(event, level, **fields)

    def _publish(self, account: str, lane: Lane, boxes: tuple[str, ...]) -> None:
        with self._app.producer_pool.acquire(block=True) as producer:
            for start in range(0, len(boxes), MESSAGE_BOXES):
                self._app.send_task(
                    DELIVER,
                    args=[account, lane, list(boxes[start : start + MESSAGE_BOXES])],
                    queue=str(lane),
                    producer=producer,
                    argsrepr="",
                    kwargsrepr="",
                )
