"""One worker process: what its app, its tasks and its parts share, and how they start and stop."""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
from collections.abc import Collection
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

from celery import bootsteps, signals
from celery.platforms import EX_FAILURE

from pipeline.events.models import Lane
from pipeline.observe.logs import log_event
from pipeline.settings import Settings
from pipeline.storage.redis_client import without_password
from pipeline.supervisor.celery_command import APP_MODULE, SPLIT_QUEUE
from workers.delivering import DeliveryPart
from workers.format import wait_for_format
from workers.runtime import Runtimes
from workers.splitter import ChildSplitter, OwnSplitter

if TYPE_CHECKING:
    from celery import Celery

EXIT_WITHIN_S = 9.0
"""From when a process is told to stop until it ends, whatever it waits for: `up` kills after ten."""

GC_THRESHOLD = 2_000
"""Allocations, less deallocations, after which the youngest objects are looked through. Looking through 50,000 takes
tens of milliseconds on a busy machine: every call that was due meanwhile misses its slot (the row `burst` of `make bench`)."""


class Part(Protocol):
    """Something that runs beside Celery's consumer for as long as the process does."""

    def start(self) -> None: ...

    def request_stop(self) -> None:
        """Begin to stop, if it was started. Blocks on nothing, since it runs in a signal handler; may be called again."""

    def stop(self) -> None:
        """Return when it has stopped, or its time is up."""


class WorkerProcess:
    """Made with the app, before anything starts; everything of this process is reached through it.

    The queues that the process consumes say what it does: it delivers the lanes among them, and splits if
    SPLIT_QUEUE is one. Splitting takes whole milliseconds at a time, in which no call would meet its slot,
    so it never shares an interpreter with delivery: beside a lane it runs in a child process.
    """

    def __init__(self, settings: Settings, redis_url: str, *, module: str = APP_MODULE) -> None:
        """`module`: from which `celery -A` gets the app that a child process is to run."""
        self.settings = settings
        self.redis_url = redis_url
        self.runtimes = Runtimes(settings, redis_url)
        self._module = module
        self._splitter: OwnSplitter | None = None
        self._parts: list[Part] = []
        self._ending = False
        self._outlives_terminal = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # nohup

    def start(self, app: Celery, queues: Collection[str]) -> None:
        """Start what these queues ask for, once Redis is known to hold data that can be read.

        Raises:
            SystemExit: Redis holds another version's data.
        """
        self._handle_hang_up()
        wait_for_format(self.redis_url)
        signals.worker_shutting_down.connect(self._on_shutdown)
        self._parts = self._parts_for(app, queues)
        log_event(
            "process_started",
            role="splitter" if tuple(queues) == (SPLIT_QUEUE,) else "worker",
            version=version("sailpipe"),
            queues=",".join(queues),
            target=self.settings.target,
            redis=without_password(self.redis_url),
        )
        for part in self._parts:
            part.start()
        collect_rarely()
        if self._ending:  # a signal came in between: what had not started yet did not hear of it
            for part in self._parts:
                part.request_stop()

    def nudge_splitter(self) -> None:
        """Let a splitter that stands by in this process ask for the lease at once."""
        if self._splitter is not None:
            self._splitter.nudge()

    def request_stop(self) -> None:
        """Begin to stop, at most once, and end within EXIT_WITHIN_S.

        It runs in the signal's handler, because Celery itself may block on a hung Redis before it stops
        anything.
        """
        if self._ending:
            return
        self._ending = True
        for part in self._parts:
            part.request_stop()
        end_within(EXIT_WITHIN_S)

    def stop(self) -> None:
        """Return when all parts have stopped, or their time is up."""
        for part in reversed(self._parts):
            part.stop()

    def _parts_for(self, app: Celery, queues: Collection[str]) -> list[Part]:
        lanes = frozenset(Lane) & frozenset(queues)
        parts: list[Part] = []
        if lanes:
            parts.append(DeliveryPart(app, self.runtimes, lanes))
        if SPLIT_QUEUE in queues and lanes:
            app.amqp.queues.deselect([SPLIT_QUEUE])  # the child's nudges are not for this process
            parts.append(ChildSplitter(self.redis_url, self._module))
        elif SPLIT_QUEUE in queues:
            self._splitter = OwnSplitter(app, self.settings, self.redis_url)
            parts.append(self._splitter)
        return parts

    def _on_shutdown(self, **_signal: Any) -> None:
        self.request_stop()

    def _handle_hang_up(self) -> None:
        """SIGHUP stops as SIGTERM does. Celery would run its command line anew, which cannot be imported so."""
        handler = signal.SIG_IGN if self._outlives_terminal else signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGHUP, handler)


def bootstep(process: WorkerProcess) -> type[bootsteps.StartStopStep]:
    """Celery's handle on `process`: started after the pool and before the consumer, stopped in between."""

    class ProcessStep(bootsteps.StartStopStep):
        requires = ("celery.worker.components:Pool",)

        def __init__(self, _worker: Any, **_options: Any) -> None:
            """Nothing is kept here."""

        def start(self, worker: Any) -> None:
            process.start(worker.app, tuple(worker.app.amqp.queues.consume_from))

        def close(self, _worker: Any) -> None:
            """Before any step is stopped; a worker that ends by itself gets no signal."""
            process.request_stop()

        def stop(self, _worker: Any) -> None:
            process.stop()

        def terminate(self, _worker: Any) -> None:
            process.stop()

    return ProcessStep


def collect_rarely() -> None:
    """Keep the garbage collector off what is there for good, and let it look for cycles less often.

    A delivered event leaves hardly a cycle behind, but allocates enough for a collection of the young every
    few events, and for full ones over all that Celery and we have imported.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


def end_within(seconds: float) -> None:
    """End this process by then, should it still be there."""
    timer = threading.Timer(seconds, _end)
    timer.daemon = True
    timer.start()


def _end() -> None:
    log_event("exit_forced", logging.WARNING)
    os._exit(EX_FAILURE)
