"""The splitter of a worker process: on a loop of its own, or in a child process beside delivery."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from kombu.exceptions import OperationalError

from pipeline.alerting.watch import watch_alerts
from pipeline.clock import SystemClock
from pipeline.deadletters.runner import JobRunner
from pipeline.observe.logs import log_event
from pipeline.processes.heartbeat import Heartbeat
from pipeline.processes.records import ProcessRole, this_process
from pipeline.splitter.lease import LEASE_MS
from pipeline.splitter.loop import Splitter
from pipeline.storage.nudges import Nudges
from pipeline.storage.redis_client import open_async_redis
from pipeline.supervisor import Service, Stage, Supervisor
from pipeline.supervisor.celery_command import SPLIT_QUEUE, splitter_command
from workers.config import NUDGE
from workers.fail_fast import fail_fast
from workers.watchdog import Watchdog

if TYPE_CHECKING:
    from celery import Celery

    from pipeline.settings import Settings

RELEASED_WITHIN_S = 1.5
"""More than the release of a lease takes at most; whatever else it waits for ends with the process."""
CHILD_STOPS_WITHIN_S = 5.0
"""A batch is split and the lease given up; a child that hangs over Redis has nothing that could be lost."""


class LoopThread:
    """A thread with an asyncio loop that runs one thing until it is cancelled.

    The thread lives as long as what it runs: the kernel ties a child process to the thread that started it.
    """

    def __init__(self, name: str, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._name = name
        self._work_of = main
        self._loop = asyncio.new_event_loop()
        self._work: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._thread = threading.Thread(target=self._main, name=f"sailpipe-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def call_soon(self, call: Callable[[], object]) -> None:
        """Make a call on the loop; none once it has ended."""
        if self._thread.is_alive() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    def request_stop(self) -> None:
        """Cancel what runs, once: it may take time to end. Blocks on nothing, since a signal handler runs it.

        Before the start it does nothing.
        """
        if self._thread.is_alive() and not self._is_stopping:
            self._is_stopping = True
            self.call_soon(lambda: self._work and self._work.cancel())

    def stop(self, seconds: float) -> None:
        """`request_stop`, and wait for the end, for so long at most."""
        self.request_stop()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._work = self._loop.create_task(self._work_of())
        fail_fast(self._name, self._work)
        self._loop.run_until_complete(asyncio.wait([self._work]))
        self._loop.close()


class OwnSplitter:
    """Splits in this process, which consumes SPLIT_QUEUE alone."""

    def __init__(self, app: Celery, settings: Settings, redis_url: str) -> None:
        self._app = app
        self._settings = settings
        self._redis_url = redis_url
        self._splitter: Splitter | None = None
        self._thread = LoopThread("splitter", self._split)

    def start(self) -> None:
        self._thread.start()

    def nudge(self) -> None:
        """Let it ask for the lease at once, if it stands by."""
        if self._splitter is not None:
            self._thread.call_soon(self._splitter.nudge)

    def request_stop(self) -> None:
        """It gives its lease up while the rest of the process stops."""
        self._thread.request_stop()

    def stop(self) -> None:
        """Celery's consumer has stopped by now, so that the nudge is another process's."""
        self._thread.stop(RELEASED_WITHIN_S)
        if self._splitter is not None and self._splitter.released:
            self._nudge_others()

    def _nudge_others(self) -> None:
        """Who stands by takes over now, not with its next look a second later."""
        try:
            self._app.send_task(NUDGE, queue=SPLIT_QUEUE)
        except (OperationalError, OSError) as error:
            log_event("nudge_failed", logging.WARNING, error=type(error).__name__)

    async def _split(self) -> None:
        watchdog = asyncio.create_task(Watchdog("splitter", LEASE_MS / 1000, backstop=True).run())
        fail_fast("splitter_watchdog", watchdog)
        async with open_async_redis(self._redis_url) as client, Nudges(client) as nudges:
            clock = SystemClock()
            process = this_process(ProcessRole.SPLITTER, clock)
            heartbeat = asyncio.create_task(
                Heartbeat(client, process, self._settings.accounts, clock).run()
            )
            fail_fast("heartbeat", heartbeat)
            self._splitter = Splitter(client, self._settings, process.id, nudges.send, clock)
            runner = JobRunner(client, self._settings.accounts, process.id, clock)
            jobs = asyncio.create_task(runner.run())
            fail_fast("jobs", jobs)
            alerts = asyncio.create_task(watch_alerts(client, self._settings, clock))
            try:
                await self._splitter.run()
            finally:
                jobs.cancel()
                watchdog.cancel()
                alerts.cancel()
                heartbeat.cancel()
                await asyncio.wait([heartbeat])


class ChildSplitter:
    """Splits in a child process, which dies with this one and is started again when it dies itself."""

    def __init__(self, redis_url: str, module: str) -> None:
        """`module`: from which `celery -A` gets the child's app."""
        self._service = Service(
            "splitter",
            tuple(splitter_command(module=module)),
            Stage.WORKERS,
            {"SAILPIPE_REDIS_URL": redis_url},
            stop_within_s=CHILD_STOPS_WITHIN_S,
            shares_output=True,
        )
        self._thread = LoopThread("splitter", self._supervise)

    def start(self) -> None:
        self._thread.start()

    def request_stop(self) -> None:
        """The child is told to stop, and killed when it does not."""
        self._thread.request_stop()

    def stop(self) -> None:
        self._thread.stop(CHILD_STOPS_WITHIN_S + RELEASED_WITHIN_S)

    async def _supervise(self) -> None:
        supervisor = Supervisor(report=_report)
        await supervisor.start(self._service)
        try:
            await asyncio.Event().wait()
        finally:
            await supervisor.stop()


def _report(name: str, what: str) -> None:
    log_event("child_ended", logging.ERROR, part=name, detail=what)
