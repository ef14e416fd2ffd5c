"""What a Python program pays to hand over an event: `pipeline.enqueue` and `enqueue_many` against Celery's way.

`python -m benchmarks.producers`. Celery's way is what a competent user would write instead: a task that takes the
event, sent with `apply_async` over Redis, JSON, its results ignored, one producer kept. All in this process, in
turn; the CPU is this process's and, apart, Redis'.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import celery
import redis

import pipeline
from benchmarks.door import sample_event
from tests.support.redis_server import RedisServer

_GOALS = {"enqueue": 4, "enqueue_many": 25}
_QUEUE = "sailpipe-benchmark"


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU of one event in µs, as the median over the rounds."""

    what: str
    producer_us: float
    redis_us: float


def measure(rounds: int = 7, events: int = 2_000) -> list[Cost]:
    """Celery's way and both of ours, in turn; the first round does not count."""
    found: dict[str, list[tuple[float, float]]] = {}
    with _started() as (store, deliver):
        batch = [sample_event(number) for number in range(events)]
        ways: dict[str, Callable[[], object]] = {
            "apply_async": lambda: [
                deliver.apply_async((event,), queue=_QUEUE, ignore_result=True) for event in batch
            ],
            "enqueue": lambda: [pipeline.enqueue(event) for event in batch],
            "enqueue_many": lambda: pipeline.enqueue_many(batch),
        }
        for number in range(rounds + 1):
            for what, send in ways.items():
                cost = _cost(store, send, events)
                if number:
                    found.setdefault(what, []).append(cost)
                store.flushdb()
    return [
        Cost(what, median(ours for ours, _ in costs), median(theirs for _, theirs in costs))
        for what, costs in found.items()
    ]


def _cost(store: redis.Redis, send: Callable[[], object], events: int) -> tuple[float, float]:
    before, began = _redis_cpu_s(store), time.process_time()
    send()
    spent, after = time.process_time() - began, _redis_cpu_s(store)
    return spent / events * 1e6, (after - before) / events * 1e6


def _redis_cpu_s(store: redis.Redis) -> float:
    info = store.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])


@contextmanager
def _started() -> Iterator[tuple[redis.Redis, celery.Task[..., None]]]:
    """A Redis that `pipeline` finds, and a task of a Celery app on it."""
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        server.start()
        os.environ["SAILPIPE_REDIS_URL"] = server.url
        app = celery.Celery("benchmark", broker=server.url, set_as_current=False)
        app.conf.update(task_ignore_result=True, task_serializer="json")

        @app.task(name="deliver")
        def deliver(event: dict[str, object]) -> None:
            """Never runs here."""

        try:
            with redis.Redis.from_url(server.url) as store:
                yield store, deliver
        finally:
            app.close()
            server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--events", type=int, default=2_000, help="events a round")
    given = parser.parse_args()
    costs = {one.what: one for one in measure(given.rounds, given.events)}
    theirs = costs["apply_async"]
    print(f"{'what':14} {'1 of theirs is':>15} {'CPU µs':>8} {'Redis µs':>9}  goal")
    for what, one in costs.items():
        ratio = theirs.producer_us / one.producer_us
        goal = _GOALS.get(what)
        met = "" if goal is None else f">= {goal}: {'met' if ratio >= goal else 'missed'}"
        print(f"{what:14} {ratio:14.1f}x {one.producer_us:8.1f} {one.redis_us:9.1f}  {met}")


if __name__ == "__main__":
    main()
