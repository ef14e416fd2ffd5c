"""The part of a worker process that delivers: its Runtime, and what runs on its loop beside deliveries."""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from pipeline.alerting.watch import watch_alerts
from pipeline.clock import SystemClock
from pipeline.events.models import Lane
from pipeline.processes.heartbeat import Heartbeat
from pipeline.processes.records import HeadersSeen, ProcessRole, this_process
from pipeline.storage import nudges
from workers.fail_fast import fail_fast
from workers.pruner import prune_forever
from workers.waker import Waker
from workers.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Collection

    from celery import Celery

    from pipeline.ratelimit.limiter import Limiter
    from workers.runtime import Runtime, Runtimes


class DeliveryPart:
    """Delivers, wakes what is due, prunes dead letters, and watches the loop that does so."""

    def __init__(self, app: Celery, runtimes: Runtimes, lanes: Collection[Lane]) -> None:
        """`lanes`: those whose Celery queues this process consumes."""
        self._app = app
        self._runtimes = runtimes
        self._lanes = lanes
        self._running: list[Future[Any]] = []
        self._runtime: Runtime | None = None

    def start(self) -> None:
        runtime = self._runtime = self._runtimes.here()
        engine = runtime.engine
        waker = Waker(self._app, runtime, self._lanes)
        engine.on_settled = waker.settled
        clock = SystemClock()
        served = [lane for lane in Lane if lane in self._lanes]
        process = this_process(ProcessRole.WORKER, clock, lanes=served)
        parts = {
            "waker": waker.run(),
            "nudges": nudges.listen(engine.redis, waker.nudged),
            "watchdog": Watchdog("delivery", engine.leases.min_lease_s, backstop=True).run(),
            "pruner": prune_forever(engine.redis, self._runtimes.settings, clock),
            "alerts": watch_alerts(engine.redis, self._runtimes.settings, clock),
            "heartbeat": Heartbeat(
                engine.redis,
                process,
                engine.accounts,
                clock,
                partial(_headers_seen, engine.limiter),
            ).run(),
        }
        for name, part in parts.items():
            running = runtime.run(part)
            fail_fast(name, running)
            self._running.append(running)

    def request_stop(self) -> None:
        for part in self._running:
            part.cancel()
        if self._runtime is not None:
            self._runtime.request_stop()

    def stop(self) -> None:
        self._runtimes.stop_here()


def _headers_seen(limiter: Limiter) -> list[HeadersSeen]:
    """What this process saw in Sailthru's headers this minute."""
    return [
        HeadersSeen(account, bucket, left.limit, left.remaining, left.ends, left.others)
        for (account, bucket), left in limiter.left().items()
    ]
