"""Celery's own commands see our processes as anybody's who uses Celery: `celery -A workers inspect`, `status`, `control`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from pipeline.events.models import Lane
from pipeline.settings import load_settings
from pipeline.supervisor.celery_command import celery_command
from tests.support.commands import DEADLINE_S, wait_until
from tests.support.redis_server import RedisServer
from workers.app import create_app
from workers.config import DELIVER, NUDGE
from workers.process import WorkerProcess

USER = "ann@example.org"
SECRETS = {"SAILPIPE_API_KEY": "k", "SAILPIPE_API_SECRET": "s"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What commands find a Redis and a worker of two lanes by."""
    server = RedisServer(tmp_path_factory.mktemp("celery"))
    server.start()
    environment = {**os.environ, "SAILPIPE_REDIS_URL": server.url, **SECRETS}
    lanes = (Lane.USER, Lane.EVENT)
    worker = subprocess.Popen(celery_command(lanes, 2), env=environment)  # noqa: S603 - our own
    try:
        with redis.Redis.from_url(server.url) as client:
            wait_until(
                lambda: client.pubsub_numpat() or client.pubsub_channels("*pidbox*"),
                "the worker listens for commands",
            )
        yield environment
    finally:
        worker.terminate()
        worker.wait(DEADLINE_S)
        server.kill()


def celery(*words: str, environment: dict[str, str]) -> str:
    """What `celery -A workers WORDS` answers; it succeeds."""
    command = [sys.executable, "-m", "celery", "-A", "workers", *words]
    done = subprocess.run(  # noqa: S603 - our own arguments
        command, env=environment, capture_output=True, text=True, check=False, timeout=DEADLINE_S
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


def inspect(what: str, environment: dict[str, str]) -> Any:
    """The one worker's answer to `celery -A workers inspect WHAT`."""
    answers = json.loads(celery("inspect", what, "--json", environment=environment))
    ((name, answer),) = answers.items()
    assert name.startswith("sailpipe-")
    return answer


def test_inspect_finds_the_worker_and_its_lanes(environment: dict[str, str]) -> None:
    """Each lane is a queue of its name, with an exchange and a routing key of its own."""
    assert inspect("ping", environment) == {"ok": "pong"}
    found = {
        one["name"]: (one["exchange"]["name"], one["routing_key"])
        for one in inspect("active_queues", environment)
    }
    assert found == {"user": ("user", "user"), "event": ("event", "event")}


def test_inspect_says_what_the_worker_runs(environment: dict[str, str]) -> None:
    url = environment["SAILPIPE_REDIS_URL"]
    asked = create_app(WorkerProcess(load_settings(environment), url)).control.inspect(limit=1)
    (registered,) = (asked.registered() or {}).values()
    assert {DELIVER, NUDGE} <= set(registered)
    (stats,) = (asked.stats() or {}).values()
    assert stats["pool"]["max-concurrency"] == 2
    assert not stats["broker"].get("password")


def test_status_names_each_node(environment: dict[str, str]) -> None:
    said = celery("status", environment=environment)
    assert "1 node online" in said


def test_events_name_no_user_once_they_are_asked_for(
    environment: dict[str, str],
) -> None:
    """`celery control enable_events` is `-E` for a worker that runs: Flower then shows tasks, and a message's
    arguments are mailboxes, named for people."""
    said = celery("control", "enable_events", environment=environment)
    assert "task events enabled" in said
    url = environment["SAILPIPE_REDIS_URL"]
    app = create_app(WorkerProcess(load_settings(environment), url))
    seen: list[dict[str, Any]] = []
    done = threading.Event()

    def take(event: dict[str, Any]) -> None:
        seen.append(event)
        if event["type"] == "task-succeeded":
            receiver.should_stop = True

    def send() -> None:
        while not done.wait(0.2):  # what is said before the receiver listens is lost
            app.send_task(
                DELIVER, args=["default", "user", [USER]], queue="user", argsrepr="", kwargsrepr=""
            )

    sender = threading.Thread(target=send)
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": take})
        sender.start()
        try:
            receiver.capture(timeout=DEADLINE_S, wakeup=False)
        finally:
            done.set()
            sender.join()
    kinds = {one["type"] for one in seen if one["type"].startswith("task-")}
    assert kinds >= {"task-received", "task-succeeded"}
    assert USER not in json.dumps(seen)
