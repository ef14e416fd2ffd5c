"""The runtime of a worker process: an asyncio loop in a thread, an HTTP client and a Redis pool."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any

import redis.asyncio
import redis.exceptions

from pipeline.clock import SYSTEM_RANDOM, SystemClock
from pipeline.delivery.engine import Engine
from pipeline.events.models import Lane
from pipeline.observe.logs import log_event
from pipeline.ownership.accounts import enrol_accounts, removed_accounts
from pipeline.settings import Settings
from pipeline.storage.redis_client import open_async_redis
from workers.fail_fast import fail_fast

START_TIMEOUT_S = 30.0
UNKNOWN_FIX = "restart this worker with the settings of the others"
PARTS_END_WITHIN_S = 1.0
STOP_TIMEOUT_S = 8.5
"""From when a process is told to stop until what it delivers is cut off: more than the HTTP timeout."""


class Runtime:
    """One process's loop and what runs on it. `submit` may be called from any thread."""

    def __init__(self, settings: Settings, redis_url: str) -> None:
        self._settings = settings
        self._redis_url = redis_url
        self._tasks: set[asyncio.Task[None]] = set()
        self._parts: set[asyncio.Task[Any]] = set()
        self._drained = False
        self._clock = SystemClock()
        self._draining: Future[None] | None = None
        self._ends_at = 0.0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name="sailpipe-loop", daemon=True)
        self._unknown: set[str] = set()
        self._looking: asyncio.Task[None]
        self.engine: Engine
        self.loop: asyncio.AbstractEventLoop

    def start(self) -> Runtime:
        """Start the loop and wait until it runs."""
        self._thread.start()
        if not self._ready.wait(START_TIMEOUT_S):
            msg = "the worker's event loop did not start"
            raise RuntimeError(msg)
        return self

    def submit(self, account: str, lane: Lane, boxes: list[str]) -> None:
        """Deliver these mailboxes. Returns at once, since a lane that is full must hold no message of another up.

        While the process stops, its engine gives them back at once; once it has stopped, they are leased
        again when their leases run out.
        """
        self.loop.call_soon_threadsafe(self._begin, account, lane, boxes)

    def run(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Run a coroutine on the loop from another thread."""
        return asyncio.run_coroutine_threadsafe(self._run(work), self.loop)

    def request_stop(self) -> Future[None]:
        """Begin no further call, let those in flight end, and give every claim back.

        It blocks on nothing and takes no lock, so that a signal handler may call it. A second call does
        nothing.
        """
        if self._draining is None:
            self._ends_at = self._clock.monotonic() + STOP_TIMEOUT_S
            self._draining = self.run(self._drain())
        return self._draining

    def stop(self) -> None:
        """`request_stop`, and close everything once that is done, or its time is up. Nothing the second time."""
        if not self._thread.is_alive():
            return
        drained = self.request_stop()
        try:
            drained.result(max(0.0, self._ends_at - self._clock.monotonic()))
        except TimeoutError:
            log_event("stop_timed_out", logging.WARNING, mailboxes=len(self._tasks))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(1.0)

    async def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine that runs is a task's
        self._parts.add(task)
        task.add_done_callback(self._parts.discard)
        return await work

    def _main(self) -> None:
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        client = open_async_redis(self._redis_url)
        self.engine = self.loop.run_until_complete(self._open(client))
        self._ready.set()
        self.loop.run_forever()

    async def _open(self, client: redis.asyncio.Redis) -> Engine:
        engine = await Engine.open(self._settings, client, self._clock, SYSTEM_RANDOM)
        if engine.renewing is not None:
            fail_fast("leases", engine.renewing)
        self._looking = asyncio.create_task(_look_at_accounts(client, self._settings))
        return engine

    def _begin(self, account: str, lane: Lane, boxes: list[str]) -> None:
        if self._drained:
            return
        if account not in self.engine.accounts:
            self._leave(account, lane, boxes)
            return
        for box in boxes:
            task = self.loop.create_task(self._deliver(account, lane, box))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _leave(self, account: str, lane: Lane, boxes: list[str]) -> None:
        """Leave mailboxes of an account that only other processes' settings name to those processes."""
        if account not in self._unknown:
            self._unknown.add(account)
            log_event("account_unknown", logging.ERROR, account=account, fix=UNKNOWN_FIX)
        task = self.loop.create_task(self._hand_back(account, lane, boxes))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _hand_back(self, account: str, lane: Lane, boxes: list[str]) -> None:
        with contextlib.suppress(redis.exceptions.RedisError):  # then their leases run out
            await self.engine.hand_back(account, lane, boxes)

    async def _deliver(self, account: str, lane: Lane, box: str) -> None:
        try:
            await self.engine.deliver(account, lane, box)
        except redis.exceptions.RedisError as error:
            # The lease runs out and the mailbox is leased again.
            name = type(error).__name__
            log_event("delivery_unsettled", logging.WARNING, lane=lane, error=name)
        except Exception as error:  # noqa: BLE001 - counted: the claim stays unsettled, five make poison
            # The error's class only: a traceback may hold an event.
            name = type(error).__name__
            log_event("delivery_unsettled", logging.ERROR, lane=lane, error=name)

    async def _drain(self) -> None:
        self.engine.stop()
        self._looking.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        self._drained = True
        # What was cancelled may have a last word for Redis: that this process is no more.
        if ending := {part for part in self._parts if part.cancelling()}:
            await asyncio.wait(ending, timeout=PARTS_END_WITHIN_S)
        await self.engine.close()


async def _look_at_accounts(client: redis.asyncio.Redis, settings: Settings) -> None:
    """Say whose events no process looks at. Redis being away is for others to say."""
    with contextlib.suppress(redis.exceptions.RedisError):
        await enrol_accounts(client, settings.accounts)
        for one in await removed_accounts(client, settings.accounts):
            names = {"waiting": one.waiting, "letters": one.letters, "fix": one.fix}
            log_event("account_removed", logging.WARNING, account=one.account, **names)


class Runtimes:
    """Each process's Runtime, made on first use: a forked child must not share its parent's.

    A process has one in all its life. When it stops, Celery's pool still runs the wake-ups that it had
    taken, and a second Runtime would claim their mailboxes and be cut off in the middle of its calls.
    """

    def __init__(self, settings: Settings, redis_url: str) -> None:
        self.settings = settings
        self.redis_url = redis_url
        self._lock = threading.Lock()
        self._made: dict[int, Runtime] = {}

    def here(self) -> Runtime:
        """This process's Runtime, started, even when it has been stopped since."""
        with self._lock:
            pid = os.getpid()
            if pid not in self._made:
                self._made = {pid: Runtime(self.settings, self.redis_url).start()}
            return self._made[pid]

    def stop_here(self) -> None:
        """Stop this process's Runtime, if there is one."""
        with self._lock:
            runtime = self._made.get(os.getpid())
        if runtime is not None:
            runtime.stop()
