"""docker-compose.yml, run by hand: nothing here can run containers, so each service's own command is
started with its own environment, and its health check is asked. The containers themselves were
never run by a test."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import yaml

from pipeline.cli.healthcheck import check_answers
from pipeline.cli.launcher import WORKERS_STOP_WITHIN_S
from pipeline.errors import SailpipeError
from pipeline.lanes import Lane
from pipeline.storage.keys import RAW, SPLITTER, counts
from tests.support.commands import Running, running, wait_until
from tests.support.redis_server import free_port, redis_binary

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
WORKERS = ("splitter", *(f"worker-{lane}" for lane in Lane))

SEVEN_START_S = 90.0
"""For what waits until seven processes that start at once are up, on a busy machine, too."""


class Stack:
    """The services of the file, with this machine's names and ports in place of the containers'."""

    def __init__(self, folder: Path, started: ExitStack) -> None:
        text = (ROOT / "docker-compose.yml").read_text()
        self.services: dict[str, Any] = yaml.safe_load(text)["services"]
        self.ports = {"redis:6379": free_port(), "sandbox:8100": free_port(), ":8000": free_port()}
        self.ports["127.0.0.1:8100"] = self.ports["sandbox:8100"]
        self._folder = folder
        self._started = started

    def here(self, text: str) -> str:
        """A text of the file as it must read on this machine."""
        for name, port in self.ports.items():
            text = text.replace(name, f"127.0.0.1:{port}" if name[0] != ":" else f":{port}")
        return text

    def environment(self, name: str, **chosen: str) -> dict[str, str]:
        """What compose would hand to a container: the files of `env_file`, and `environment` over them."""
        service, found = self.services[name], dict[str, str]()
        for one in service["env_file"]:
            path = ROOT / filled_in(one["path"], chosen)
            assert path.exists() or one["required"] is False, path
            lines = path.read_text().splitlines() if path.exists() else []
            found |= dict(line.split("=", 1) for line in lines if line and line[0] != "#")
        found |= service["environment"]
        return {key: self.here(text) for key, text in found.items()}

    def start(self, name: str, **chosen: str) -> Running:
        """Run a service's command; ports in it are replaced."""
        words: list[str] = self.services[name]["command"]
        ports = {"8000": self.ports[":8000"], "8100": self.ports["sandbox:8100"]}
        command = [str(ports.get(word, word)) for word in words]
        environment = self.environment(name, **chosen)
        return self._started.enter_context(running(*command, directory=self._folder, **environment))

    def start_redis(self) -> redis.Redis:
        """Run the Redis service's command with the redis-server of this machine."""
        program, *options = shlex.split(filled_in(self.services["redis"]["command"], {}))
        assert program == "redis-server"
        port = self.ports["redis:6379"]
        command = [redis_binary(), *options, "--port", str(port), "--dir", str(self._folder)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - the file's
        self._started.callback(process.wait)
        self._started.callback(process.kill)
        client: redis.Redis = self._started.enter_context(redis.Redis(port=port))
        wait_until(lambda: _answers(client), "Redis answers")
        return client


def filled_in(text: str, chosen: Mapping[str, str]) -> str:
    """`${NAME:-default}` as compose fills it in, from what the person chose."""
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: chosen.get(found[1], found[2]), text)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with ExitStack() as started:
        yield Stack(tmp_path, started)


@pytest.mark.timeout(240)
def test_every_service_does_its_part(stack: Stack) -> None:
    """An event given to `serve` is split and delivered to the sandbox by the lanes' own workers."""
    client = stack.start_redis()
    assert client.config_get("appendonly") == {"appendonly": "yes"}
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert client.config_get("maxmemory") == {"maxmemory": str(1024**3)}
    for name in ("sandbox", "serve", *WORKERS):
        stack.start(name, ENV_FILE="deploy/sandbox.env")
    wait_until(lambda: _healthy(stack, "serve"), "serve is healthy", SEVEN_START_S)
    assert _healthy(stack, "sandbox")
    wait_until(lambda: client.exists(SPLITTER), "a splitter is at work", SEVEN_START_S)
    event = {"type": "identify", "userId": "u1", "traits": {"email": "ann@example.com"}}
    url = stack.here("http://127.0.0.1:8000/v1/identify")
    assert httpx.post(url, json=event, auth=("sandbox", ""), trust_env=False).status_code == 200
    wait_until(
        lambda: client.hget(counts("default"), "delivered") == b"1", "delivery", SEVEN_START_S
    )
    assert client.xlen(RAW) == 0


def _healthy(stack: Stack, name: str) -> bool:
    """Asked as the health check asks, without a process for each time."""
    *command, url = stack.services[name]["healthcheck"]["test"]
    assert command == ["CMD", "sailpipe", "healthcheck", "--url"]
    try:
        check_answers(stack.here(url))
    except SailpipeError:
        return False
    return True


def test_every_container_is_started_again_and_has_bounds(stack: Stack) -> None:
    """A Celery worker can exit by itself when Redis goes away, and what grows without end takes the machine with it."""
    for name, service in stack.services.items():
        assert service["restart"] == "unless-stopped", name
        assert filled_in(service["mem_limit"], {}).endswith(("m", "g")), name
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}, name


@pytest.mark.parametrize("name", ["serve", "sandbox", *WORKERS])
def test_our_containers_wait_for_redis_write_nothing_and_have_time_to_stop(
    stack: Stack, name: str
) -> None:
    """They finish their calls within ten seconds of SIGTERM."""
    service = stack.services[name]
    assert service["depends_on"] == {"redis": {"condition": "service_healthy"}}
    assert (service["read_only"], service["tmpfs"]) == (True, ["/tmp"])  # noqa: S108
    assert service["cap_drop"] == ["ALL"]
    assert int(service["stop_grace_period"].removesuffix("s")) > WORKERS_STOP_WITHIN_S


def test_every_lane_has_a_worker_and_one_service_splits(stack: Stack) -> None:
    """A lane without a worker would wait for ever."""
    commands = [stack.services[name]["command"] for name in WORKERS]
    lanes = {tuple(command[1:]) for command in commands if command[0] == "worker"}
    assert lanes == {("--lanes", lane) for lane in Lane}
    assert [command for command in commands if command[0] != "worker"] == [["splitter"]]
