"""What a worker process hands its mailboxes to, while it runs, stops and has stopped."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from celery import Celery
from celery.signals import worker_shutting_down

from pipeline.events.models import Lane
from pipeline.settings import load_settings
from tests.support.commands import DEADLINE_S, wait_until
from workers import process as process_module
from workers import runtime as runtime_module
from workers.app import create_app
from workers.config import DELIVER
from workers.process import WorkerProcess, bootstep
from workers.runtime import Runtime
from workers.splitter import LoopThread

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
        while not self.answer.is_set():
            await asyncio.sleep(0.01)


@pytest.fixture
def deliveries() -> Deliveries:
    return Deliveries()


@pytest.fixture
def process() -> WorkerProcess:
    return WorkerProcess(load_settings({"SAILPIPE_REDIS_URL": NOWHERE}), NOWHERE)


@pytest.fixture
def app(process: WorkerProcess) -> Iterator[Celery]:
    """Celery's app of this process."""
    with create_app(process) as app:
        yield app


@pytest.fixture
def runtime(process: WorkerProcess, deliveries: Deliveries) -> Iterator[Runtime]:
    """The process's runtime, started."""
    runtime = process.runtimes.here()
    engine = runtime.engine
    with (
        patch.object(engine, "deliver", deliveries.deliver),
        patch.object(engine, "stop", deliveries.stopping.set),
    ):
        yield runtime
        deliveries.answer.set()
        runtime.stop()
    runtime.loop.close()


def wake_up(app: Celery, box: str, lane: str = "event") -> None:
    """Run the task in a thread of its own, as Celery's pool does."""
    thread = threading.Thread(target=app.tasks[DELIVER], args=("default", lane, [box]))
    thread.start()
    thread.join(DEADLINE_S)


def loops() -> int:
    return sum(thread.name == "sailpipe-loop" for thread in threading.enumerate())


def test_a_wake_up_after_the_end_starts_nothing(
    app: Celery, runtime: Runtime, deliveries: Deliveries
) -> None:
    """Celery still runs what its pool had taken; a second loop would call and never be stopped."""
    runtime.stop()
    wake_up(app, "late")
    assert loops() == 0
    assert deliveries.begun == []


def test_a_wake_up_while_the_process_stops_is_given_back(
    app: Celery, runtime: Runtime, deliveries: Deliveries
) -> None:
    """The engine, which begins no more calls, gives its mailbox back at once."""
    wake_up(app, "in flight")
    stopping = threading.Thread(target=runtime.stop)
    stopping.start()
    assert deliveries.stopping.wait(DEADLINE_S)
    wake_up(app, "taken up late")
    assert loops() == 1
    deliveries.answer.set()
    stopping.join()
    assert deliveries.begun == ["in flight", "taken up late"]
    assert loops() == 0


@pytest.mark.usefixtures("runtime")
def test_a_message_hands_all_its_mailboxes_over_at_once(
    app: Celery, deliveries: Deliveries
) -> None:
    """However many are under way: a Celery thread that waits would hold up every lane's messages."""
    boxes = [f"u{number}" for number in range(3000)]
    app.tasks[DELIVER]("default", "user", boxes)
    wait_until(lambda: len(deliveries.begun) == len(boxes), "all are handed to the engine")


def test_mailboxes_of_an_account_that_the_settings_do_not_name_are_left_to_others(
    app: Celery, runtime: Runtime, deliveries: Deliveries, capsys: pytest.CaptureFixture[str]
) -> None:
    """And it is said once, with what to do: this worker was started before the account was added."""
    handed_back: list[str] = []

    async def hand_back(account: str, _lane: Lane, boxes: list[str]) -> None:
        handed_back.extend(f"{account}/{box}" for box in boxes)

    with patch.object(runtime.engine, "hand_back", hand_back):
        for box in ("u1", "u2"):
            app.tasks[DELIVER]("shoes", "event", [box])
        wait_until(lambda: handed_back == ["shoes/u1", "shoes/u2"], "both are handed back")
    assert deliveries.begun == []
    said = capsys.readouterr()
    assert (said.out + said.err).count("account_unknown") == 1


def test_a_wake_up_for_an_unknown_lane_is_refused(app: Celery, runtime: Runtime) -> None:
    """It is no message of ours."""
    with pytest.raises(ValueError, match="nowhere"):
        app.tasks[DELIVER]("default", "nowhere", ["ann"])
    assert runtime is not None


@pytest.fixture
def started(
    process: WorkerProcess, app: Celery, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> WorkerProcess:
    """The process with its parts. It must not end the process of the tests, nor wait for a Redis."""
    assert runtime is not None
    for name in ("end_within", "wait_for_format", "collect_rarely"):
        monkeypatch.setattr(process_module, name, lambda *_: None)
    process.start(app, ["event"])
    return process


def test_the_engine_hears_of_the_stop_in_the_signals_handler(
    started: WorkerProcess, deliveries: Deliveries
) -> None:
    """Whatever Celery then waits for before it stops the steps, no call begins."""
    assert not deliveries.stopping.is_set()
    worker_shutting_down.send(sender=None, sig="SIGTERM", how="Warm", exitcode=0)
    assert deliveries.stopping.wait(DEADLINE_S)
    assert started is not None


def test_the_engine_of_a_worker_that_ends_by_itself_hears_before_any_step_is_stopped(
    started: WorkerProcess, deliveries: Deliveries
) -> None:
    """There is no signal then."""
    bootstep(started)(SimpleNamespace()).close(None)
    assert deliveries.stopping.wait(DEADLINE_S)


def test_the_time_to_stop_runs_from_when_the_process_was_told(
    app: Celery, runtime: Runtime, deliveries: Deliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What others took of it while they stopped is not added to it."""
    wake_up(app, "in flight")
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


async def _for_ever() -> None:
    await asyncio.Event().wait()


class Waits:
    """A part that runs until it is told to stop. `on_start` is called when it starts."""

    def __init__(self, on_start: Callable[[], object] = int) -> None:
        self._on_start = on_start
        self._thread = LoopThread("test", _for_ever)

    def start(self) -> None:
        self._on_start()
        self._thread.start()

    def request_stop(self) -> None:
        self._thread.request_stop()

    def stop(self) -> None:
        self._thread.stop(DEADLINE_S)


def test_a_worker_that_is_told_to_stop_while_it_starts_stops_what_it_had_not_started_yet(
    process: WorkerProcess, app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its splitter would be killed with a batch in hand, after all the time that there is to stop."""
    for name in ("end_within", "wait_for_format", "collect_rarely"):
        monkeypatch.setattr(process_module, name, lambda *_: None)

    def signal() -> None:
        worker_shutting_down.send(sender=None, sig="SIGTERM", how="Warm", exitcode=0)

    parts = [Waits(), Waits(signal), Waits()]
    monkeypatch.setattr(process, "_parts_for", lambda *_: parts)
    process.start(app, ["event"])
    began = time.monotonic()
    process.stop()
    assert time.monotonic() - began < DEADLINE_S
