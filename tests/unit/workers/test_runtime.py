"""What a worker process hands its mailboxes to, while it runs, stops and has stopped."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from celery.signals import worker_shutting_down

from pipeline.events.models import Lane
from pipeline.settings import load_settings
from tests.support.commands import DEADLINE_S, wait_until
from workers import runtime as runtime_module
from workers import waker
from workers.app import SailpipeApp, create_app
from workers.config import DELIVER
from workers.waker import WakerStep

NOWHERE = "redis://127.0.0.1:1/0"
"""Nothing here asks Redis for anything."""


class Deliveries:
    """Takes the place of an engine's delivery: each mailbox stays in flight until `answer`."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.answer = threading.Event()
        self.stopping = threading.Event()

    async def deliver(self, _account: str, _lane: Lane, box: str) -> None:
        self.begun.append(box)
        await asyncio.to_thread(self.answer.wait)


@pytest.fixture
def deliveries() -> Deliveries:
    return Deliveries()


@pytest.fixture
def app(deliveries: Deliveries) -> Iterator[SailpipeApp]:
    """A worker's app with its runtime started."""
    with create_app(load_settings({"SAILPIPE_REDIS_URL": NOWHERE}), NOWHERE) as app:
        runtime = app.runtimes.here()
        engine = runtime.engine
        with (
            patch.object(engine, "deliver", deliveries.deliver),
            patch.object(engine, "stop", deliveries.stopping.set),
        ):
            yield app
            deliveries.answer.set()
            app.runtimes.stop_here()
        runtime.loop.close()


def wake_up(app: SailpipeApp, box: str, lane: str = "event") -> threading.Thread:
    """Run the task in a thread of its own, as Celery's pool does."""
    args = ("default", lane, [box])
    thread = threading.Thread(target=app.tasks[DELIVER], args=args, daemon=True)
    thread.start()
    return thread


def loops() -> int:
    return sum(thread.name == "sailpipe-loop" for thread in threading.enumerate())


def test_a_wake_up_after_the_end_starts_nothing(app: SailpipeApp, deliveries: Deliveries) -> None:
    """Celery still runs what its pool had taken; a second loop would call and never be stopped."""
    app.runtimes.stop_here()
    wake_up(app, "late").join()
    assert loops() == 0
    assert deliveries.begun == []


def test_a_wake_up_while_the_process_stops_is_given_back(
    app: SailpipeApp, deliveries: Deliveries
) -> None:
    """The engine, which begins no more calls, gives its mailbox back at once."""
    wake_up(app, "in flight").join()
    stopping = threading.Thread(target=app.runtimes.stop_here)
    stopping.start()
    assert deliveries.stopping.wait(DEADLINE_S)
    wake_up(app, "taken up late").join()
    assert loops() == 1
    deliveries.answer.set()
    stopping.join()
    assert deliveries.begun == ["in flight", "taken up late"]
    assert loops() == 0


def test_a_full_process_that_stops_gives_back_what_waited_for_room(
    app: SailpipeApp, deliveries: Deliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls under way may take seconds; mailboxes that are only given back need no room."""
    monkeypatch.setattr(app.runtimes.here(), "_capacity", threading.Semaphore(1))
    wake_up(app, "in flight").join()
    waiting = wake_up(app, "waiting")
    stopping = threading.Thread(target=app.runtimes.stop_here)
    stopping.start()
    waiting.join(DEADLINE_S)
    wake_up(app, "taken up late").join(DEADLINE_S)
    wait_until(lambda: len(deliveries.begun) == 3, "all are handed to the engine")
    deliveries.answer.set()
    stopping.join()


def test_wake_ups_for_unknown_lanes_use_up_no_room(
    app: SailpipeApp, deliveries: Deliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there were, the process takes what it knows."""
    monkeypatch.setattr(app.runtimes.here(), "_capacity", threading.Semaphore(1))
    with pytest.raises(ValueError, match="nowhere"):
        app.tasks[DELIVER]("default", "nowhere", ["ann"])
    wake_up(app, "ann").join(DEADLINE_S)
    wait_until(lambda: deliveries.begun == ["ann"], "a known lane is delivered")


@pytest.fixture
def step(app: SailpipeApp, monkeypatch: pytest.MonkeyPatch) -> WakerStep:
    """A worker's step, started. It must not end the process of the tests."""
    monkeypatch.setattr(waker, "end_within", lambda _seconds: None)
    worker = SimpleNamespace(app=app)
    step = WakerStep(worker)
    step.start(worker)
    return step


def test_the_engine_hears_of_the_stop_in_the_signals_handler(
    step: WakerStep, deliveries: Deliveries
) -> None:
    """Whatever Celery then waits for before it stops the steps, no call begins."""
    assert not deliveries.stopping.is_set()
    worker_shutting_down.send(sender=None, sig="SIGTERM", how="Warm", exitcode=0)
    assert deliveries.stopping.wait(DEADLINE_S)
    assert step is not None


def test_the_engine_of_a_worker_that_ends_by_itself_hears_before_any_step_is_stopped(
    step: WakerStep, deliveries: Deliveries
) -> None:
    """There is no signal then."""
    step.close(None)
    assert deliveries.stopping.wait(DEADLINE_S)


def test_the_time_to_stop_runs_from_when_the_process_was_told(
    app: SailpipeApp, deliveries: Deliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What others took of it while they stopped is not added to it."""
    wake_up(app, "in flight").join()
    runtime = app.runtimes.here()
    monkeypatch.setattr(runtime_module, "STOP_TIMEOUT_S", 0.0)
    runtime.request_stop()
    assert deliveries.stopping.wait(DEADLINE_S)
    monkeypatch.setattr(runtime_module, "STOP_TIMEOUT_S", 10 * DEADLINE_S)
    stopping = threading.Thread(target=runtime.stop, daemon=True)
    stopping.start()
    stopping.join(DEADLINE_S)
    assert not stopping.is_alive()
    assert deliveries.begun == ["in flight"]
    deliveries.answer.set()
    left = asyncio.all_tasks(runtime.loop)
    runtime.loop.run_until_complete(asyncio.wait(left, timeout=DEADLINE_S))
