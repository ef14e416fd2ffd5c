"""Flower, as it comes from PyPI, beside a real worker. It breaks nothing; it is here since it takes seconds to start."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.faults.support.world import World
from tests.support.commands import DEADLINE_S, wait_until
from tests.support.redis_server import free_port
from workers.config import DELIVER

LANES = ("user", "event")


@contextmanager
def flower(world: World) -> Iterator[httpx.Client]:
    """Started as docs/operating.md says. Its API asks for no login here."""
    port = free_port()
    command = [sys.executable, "-m", "celery", "-A", "workers", "flower"]
    process = subprocess.Popen(  # noqa: S603 - our own arguments
        [*command, "--address=127.0.0.1", f"--port={port}"],
        env={**os.environ, **world.environment, "FLOWER_UNAUTHENTICATED_API": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            wait_until(lambda: answers(client), "Flower listens")
            yield client
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthcheck").is_success
    except httpx.TransportError:
        return False


def workers(client: httpx.Client) -> dict[str, Any]:
    """Those that have answered Flower by now, by name."""
    found: dict[str, Any] = client.get("/api/workers", params={"refresh": 1}).json()
    return {name: one for name, one in found.items() if one.get("active_queues")}


@pytest.mark.timeout(120)
def test_flower_shows_the_worker_and_its_queues(world: World) -> None:
    """By its API and on the worker's page: the lanes that it consumes, and the task that wakes mailboxes."""
    world.crew.hire(lanes=LANES, splitter=False)
    with flower(world) as client:
        wait_until(lambda: workers(client), "the worker has answered Flower")
        ((name, worker),) = workers(client).items()
        assert name.startswith("sailpipe-")
        assert {one["name"] for one in worker["active_queues"]} == set(LANES)
        assert DELIVER in worker["registered"]
        page = client.get(f"/worker/{name}").text
        assert [word for word in (name, *LANES, DELIVER) if word not in page] == []
        queues = client.get("/api/queues/length").json()["active_queues"]
        assert {one["name"] for one in queues} >= set(LANES)
