"""The splitter as part of a worker: every worker stands by unless told not to."""

from __future__ import annotations

import uuid
from concurrent.futures import Future
from typing import Any

from celery import bootsteps

from pipeline.clock import SystemClock
from pipeline.events import Lane
from pipeline.splitter.loop import Splitter
from workers.waker import WakerStep


class SplitterStep(bootsteps.StartStopStep):
    """Runs the splitter on the process's loop (`--no-splitter` leaves it to others)."""

    requires = (WakerStep,)

    def __init__(self, worker: Any, splitter: bool = True, **_options: Any) -> None:
        self.enabled = splitter
        self._splitting: Future[Any] | None = None
        self._splitter: Splitter | None = None

    def include_if(self, _worker: Any) -> bool:
        return self.enabled

    def start(self, worker: Any) -> None:
        runtime, waker = worker.app.runtimes.here(), worker.sailpipe_waker

        async def wake(_account: str, _lane: Lane) -> None:
            waker.nudge()

        settings = worker.app.runtimes.settings
        self._splitter = Splitter(
            runtime.engine.redis, settings, uuid.uuid4().hex, wake, SystemClock()
        )
        self._splitting = runtime.run(self._splitter.run())

    def stop(self, worker: Any) -> None:
        if self._splitting is None or self._splitter is None:
            return
        self._splitting.cancel()
        worker.app.runtimes.here().run(self._splitter.release()).result(5.0)
        self._splitting = None

    def terminate(self, worker: Any) -> None:
        self.stop(worker)
