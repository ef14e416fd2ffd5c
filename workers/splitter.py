"""The splitter as part of a worker: every worker stands by unless told not to."""

from __future__ import annotations

import asyncio
import threading
import uuid
from typing import Any

from celery import bootsteps

from pipeline.clock import SystemClock
from pipeline.splitter.lease import LEASE_MS
from pipeline.splitter.loop import Splitter
from pipeline.storage.redis_client import open_async_redis
from workers.fail_fast import fail_fast
from workers.waker import Waker, WakerStep
from workers.watchdog import Watchdog

STOP_TIMEOUT_S = 1.5
"""More than the release of a lease takes at most; whatever else it waits for ends with the process."""


class SplitterStep(bootsteps.StartStopStep):
    """Runs the splitter in a thread and loop of its own (`--no-splitter` leaves it to others).

    A batch takes tens of milliseconds to read; on the delivery loop it would make every call that
    is due meanwhile miss its slot.
    """

    requires = (WakerStep,)

    def __init__(self, worker: Any, splitter: bool = True, **_options: Any) -> None:
        self.enabled = splitter
        self._loop = asyncio.new_event_loop()
        self._thread: threading.Thread | None = None
        self._work: asyncio.Task[None] | None = None

    def include_if(self, _worker: Any) -> bool:
        return self.enabled

    def start(self, worker: Any) -> None:
        self._thread = threading.Thread(
            target=self._main, args=(worker,), name="sailpipe-splitter", daemon=True
        )
        self._thread.start()

    def close(self, _worker: Any) -> None:
        """Before any step is stopped: it gives its lease up while the others stop."""
        if self._work is not None and not self._work.done():
            self._loop.call_soon_threadsafe(self._work.cancel)

    def stop(self, worker: Any) -> None:
        if self._thread is not None:
            self._thread.join(STOP_TIMEOUT_S)
            self._thread = None

    def terminate(self, worker: Any) -> None:
        self.stop(worker)

    def _main(self, worker: Any) -> None:
        asyncio.set_event_loop(self._loop)
        runtimes, waker = worker.app.runtimes, worker.sailpipe_waker
        self._work = self._loop.create_task(_split(runtimes, waker))
        watchdog = self._loop.create_task(Watchdog("splitter", LEASE_MS / 1000).run())
        fail_fast("splitter", self._work)
        fail_fast("splitter_watchdog", watchdog)
        self._loop.run_until_complete(asyncio.wait([self._work]))
        watchdog.cancel()
        self._loop.run_until_complete(asyncio.wait([watchdog]))
        self._loop.close()


async def _split(runtimes: Any, waker: Waker) -> None:
    settings, token = runtimes.settings, uuid.uuid4().hex
    async with open_async_redis(runtimes.redis_url) as client:
        await Splitter(client, settings, token, waker.wake_soon_from_thread, SystemClock()).run()
