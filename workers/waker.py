"""Leases due mailboxes and publishes wake-ups for them: four times a second, and soon after `wake_soon`."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import threading
from collections.abc import Collection
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import redis.exceptions
from celery import bootsteps, signals
from celery.platforms import EX_FAILURE
from kombu.exceptions import OperationalError

from pipeline.clock import SystemClock
from pipeline.delivery.capacity import MESSAGE_BOXES, QUEUE_MESSAGES
from pipeline.events.models import Lane
from pipeline.observe.logs import log_event
from pipeline.storage.redis_watch import RedisWatch
from pipeline.storage.scripts import is_own_fault
from pipeline.targets import Owner, Target, ways_on
from workers.config import DELIVER
from workers.fail_fast import fail_fast
from workers.format import FormatStep
from workers.pruner import prune_forever
from workers.watchdog import Watchdog

if TYPE_CHECKING:
    from celery import Celery

    from pipeline.mailbox.claim import WakeResult
    from pipeline.observe.names import LogEvent
    from workers.runtime import Runtime

TICK_S = 0.25
"""How late a retry may start; also how soon an expired lease is noticed."""
DEBOUNCE_S = 0.02
"""Reasons to wake that come closer together than this count as one."""
LOG_INTERVAL_S = 60.0
EXIT_WITHIN_S = 9.0
"""From when a process is told to stop until it ends, whatever it waits for: `up` kills after ten."""


class Waker:
    """Wakes every lane of every account. All state that matters is in Redis."""

    def __init__(self, app: Celery, runtime: Runtime, served: Collection[str]) -> None:
        """`served`: the lanes whose Celery queues this process consumes."""
        self._app = app
        self._runtime = runtime
        self._served = served
        self._logged_at: dict[tuple[str, ...], float] = {}
        self._engine = runtime.engine
        self._loop = runtime.loop
        self._lines = {lane: list(runtime.engine.stores) for lane in Lane}
        self._ticks: dict[tuple[str, Lane], int] = {}
        self._reason = asyncio.Event()
        self._clock = SystemClock()
        self._watch = RedisWatch("waker", self._clock)

    def wake_soon(self) -> None:
        """Wake all lanes soon, within DEBOUNCE_S. To be called on the loop."""
        self._reason.set()

    def wake_soon_from_thread(self) -> None:
        """`wake_soon`, from any thread."""
        self._loop.call_soon_threadsafe(self._reason.set)

    async def run(self) -> None:
        """Wake until cancelled. Redis going away is waited out."""
        while True:
            try:
                await self.wake_all()
                self._watch.back()
            except (redis.exceptions.RedisError, OperationalError, OSError) as error:
                self._watch.away(error)
                await asyncio.sleep(TICK_S * 4)
            await asyncio.sleep(DEBOUNCE_S)
            try:
                await asyncio.wait_for(self._reason.wait(), TICK_S)
            except TimeoutError:
                continue
            finally:
                self._reason.clear()

    async def wake_all(self) -> None:
        """Wake every lane of every account once.

        In each lane the account comes first that was leased nothing for the longest: all accounts share
        the lane's Celery queue, and a backlog that fills it would fill it again, pass after pass.
        """
        for lane, line in self._lines.items():
            for account in tuple(line):
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
        leased = await self._engine.stores[account].wake(
            lane,
            bound=self._engine.bound(account, lane),
            max_queue_length=QUEUE_MESSAGES,
            own_tick=self._ticks.get((account, lane), 0),
            serves=lane in self._served,
        )
        self._ticks[account, lane] = leased.now
        self._engine.observe_gate(account, lane, leased.gate)
        if leased.owner:
            self._log_foreign(account, Owner.read(leased.owner))
        if leased.boxes:
            await asyncio.to_thread(self.dispatch, account, lane, leased)
        return bool(leased.boxes)

    def _log_foreign(self, account: str, owner: Owner) -> None:
        own = Target(self._engine.stores[account].target)
        names = {"owner": str(owner.target), "target": str(own), "fix": ways_on(account, owner)}
        self._log_throttled("foreign_target", logging.ERROR, account=account, **names)

    def dispatch(self, account: str, lane: Lane, leased: WakeResult) -> None:
        """Publish what was leased, or deliver it in this process while Redis is full.

        A full Redis takes no message, and only what is delivered frees memory in it. Blocks while this
        process is full.
        """
        try:
            if not leased.full:
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


def end_within(seconds: float) -> None:
    """End this process by then, should it still be there."""
    timer = threading.Timer(seconds, _end)
    timer.daemon = True
    timer.start()


def _end() -> None:
    log_event("exit_forced", logging.WARNING)
    os._exit(EX_FAILURE)


class WakerStep(bootsteps.StartStopStep):
    """Runs the waker and owns the process's Runtime: started after the pool, stopped before it."""

    requires = ("celery.worker.components:Pool", FormatStep)

    def __init__(self, worker: Any, **_options: Any) -> None:
        self._parts: list[Future[Any]] = []
        self._runtime: Runtime | None = None
        self._ending = False
        worker.sailpipe_waker = None

    def start(self, worker: Any) -> None:
        runtime = worker.app.runtimes.here()
        waker = Waker(worker.app, runtime, frozenset(worker.app.amqp.queues.consume_from))
        worker.sailpipe_waker = waker
        self._runtime = runtime
        signals.worker_shutting_down.connect(self._on_shutdown)
        runtime.engine.on_settled = waker.wake_soon
        parts = {
            "waker": waker.run(),
            "watchdog": Watchdog(
                "delivery", runtime.engine.leases.min_lease_s, backstop=True
            ).run(),
            "pruner": prune_forever(
                runtime.engine.redis,
                worker.app.runtimes.settings,
                runtime.engine.alerts.send,
                SystemClock(),
            ),
        }
        for name, part in parts.items():
            running = runtime.run(part)
            fail_fast(name, running)
            self._parts.append(running)

    def close(self, _worker: Any) -> None:
        """Before any step is stopped; a worker that ends by itself gets no signal."""
        self._on_shutdown()

    def _on_shutdown(self, **_signal: Any) -> None:
        """Begin to stop, at most once.

        It runs in the signal's handler, because Celery itself may block on a hung Redis before it stops
        anything.
        """
        if self._runtime is not None and not self._ending:
            self._ending = True
            for part in self._parts:
                part.cancel()
            self._runtime.request_stop()
            end_within(EXIT_WITHIN_S)

    def stop(self, worker: Any) -> None:
        worker.app.runtimes.stop_here()

    def terminate(self, worker: Any) -> None:
        self.stop(worker)
