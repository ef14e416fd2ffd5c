"""What a worker process hands its mailboxes to, while it runs, stops and has stopped."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from unittest.mock import patch

import pytest

from pipeline.events import Lane
from pipeline.settings import load_settings
from tests.support.commands import DEADLINE_S, wait_until
from workers.app import SailpipeApp, create_app
from workers.config import DELIVER

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
    monkeypatch.setattr(app.runtimes.here(), "_room", threading.Semaphore(1))
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
    monkeypatch.setattr(app.runtimes.here(), "_room", threading.Semaphore(1))
    with pytest.raises(ValueError, match="nowhere"):
        app.tasks[DELIVER]("default", "nowhere", ["ann"])
    wake_up(app, "ann").join(DEADLINE_S)
    wait_until(lambda: deliveries.begun == ["ann"], "a known lane is delivered")
