"""docker-compose.yml, run by hand: nothing here can run containers, so each service's own command is
started with its own environment, and its health check is asked. The containers themselves were
never run by a test."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from pipeline.lanes import Lane
from pipeline.storage.keys import RAW, SPLITTER, counts
from tests.support.commands import Running, running, wait_until
from tests.support.redis_server import free_port, redis_binary

ROOT = Path(__file__).parents[2]
WORKERS = ("splitter", *(f"worker-{lane}" for lane in Lane))


class Stack:
    """The services of the file, with this machine's names and ports in place of the containers'."""

    def __init__(self, folder: Path, started: ExitStack) -> None:
        # PyYAML has no types of its own, and nothing but this test reads YAML.
        self.services: dict[str, Any] = importlib.import_module("yaml").safe_load(
            (ROOT / "docker-compose.yml").read_text()
        )["services"]
        self.ports = {"redis:6379": free_port(), "sandbox:8100": free_port(), ":8000": free_port()}
        self._folder = folder
        self._started = started

    def here(self, text: str) -> str:
        """A text of the file as it must read on this machine."""
        for name, port in self.ports.items():
            text = text.replace(name, f"127.0.0.1:{port}" if name[0] != ":" else f":{port}")
        return text

    def environment(self, name: str, **chosen: str) -> dict[str, str]:
        """`${NAME:-default}` filled in as compose does, from what the person chose."""

        def fill(found: re.Match[str]) -> str:
            return chosen.get(found[1], found[2])

        environment: dict[str, str] = self.services[name]["environment"]
        pattern = re.compile(r"\$\{(\w+):-([^}]*)\}")
        return {key: self.here(pattern.sub(fill, text)) for key, text in environment.items()}

    def start(self, name: str, **chosen: str) -> Running:
        """Run a service's command; ports in it are replaced."""
        words: list[str] = self.services[name]["command"]
        ports = {"8000": self.ports[":8000"], "8100": self.ports["sandbox:8100"]}
        command = [str(ports.get(word, word)) for word in words]
        environment = self.environment(name, **chosen)
        return self._started.enter_context(running(*command, directory=self._folder, **environment))

    def start_redis(self) -> redis.Redis:
        """Run the Redis service's command with the redis-server of this machine."""
        program, *options = shlex.split(self.services["redis"]["command"])
        assert program == "redis-server"
        port = self.ports["redis:6379"]
        command = [redis_binary(), *options, "--port", str(port), "--dir", str(self._folder)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - the file's
        self._started.callback(process.wait)
        self._started.callback(process.kill)
        client: redis.Redis = self._started.enter_context(redis.Redis(port=port))
        wait_until(lambda: _answers(client), "Redis answers")
        return client


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with ExitStack() as started:
        yield Stack(tmp_path, started)


def test_every_service_does_its_part(stack: Stack) -> None:
    """An event given to `serve` is split and delivered to the sandbox by the lanes' own workers."""
    client = stack.start_redis()
    assert client.config_get("appendonly") == {"appendonly": "yes"}
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    sandbox = stack.here("http://sandbox:8100")
    chosen = {"SAILPIPE_API_URL": sandbox, "SAILPIPE_PAGEVIEW_URL": sandbox}
    for name in ("sandbox", "serve", *WORKERS):
        stack.start(name, **chosen)
    wait_until(lambda: _healthy(stack, "serve"), "serve is healthy")
    wait_until(lambda: client.exists(SPLITTER), "a splitter is at work")
    event = {"type": "identify", "userId": "u1", "traits": {"email": "ann@example.com"}}
    url = stack.here("http://127.0.0.1:8000/v1/identify")
    assert httpx.post(url, json=event, auth=("sandbox", ""), trust_env=False).status_code == 200
    wait_until(lambda: client.hget(counts("default"), "delivered") == b"1", "delivery")
    assert client.xlen(RAW) == 0


def _healthy(stack: Stack, name: str) -> bool:
    kind, program, *words = stack.services[name]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "python")
    command = [sys.executable, *(stack.here(word) for word in words)]
    asked = subprocess.run(command, capture_output=True, check=False, timeout=10)  # noqa: S603
    return asked.returncode == 0


def test_every_container_is_started_again_and_waits_for_redis(stack: Stack) -> None:
    """A Celery worker can exit by itself when Redis goes away (reference: celery-redis 1.4)."""
    for name, service in stack.services.items():
        assert service["restart"] == "unless-stopped", name
        if name != "redis":
            assert service["depends_on"] == {"redis": {"condition": "service_healthy"}}, name


def test_every_lane_has_a_worker_and_one_service_splits(stack: Stack) -> None:
    """A lane without a worker would wait for ever."""
    commands = [stack.services[name]["command"] for name in WORKERS]
    lanes = {tuple(command[1:]) for command in commands if command[0] == "worker"}
    assert lanes == {("--lanes", lane) for lane in Lane}
    assert [command for command in commands if command[0] != "worker"] == [["splitter"]]


def test_the_image_is_built_from_files_that_exist() -> None:
    """A COPY of something that was renamed breaks the build, which no test can run."""
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    assert len(names) >= 4
    assert [name for name in names if not (ROOT / name).exists()] == []
