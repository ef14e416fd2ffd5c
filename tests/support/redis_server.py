"""A real redis-server for tests, on a free loopback port in a directory of its own."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import redis

from pipeline.embedded.binary import find_redis_server

START_DEADLINE_S = 10.0
BELOW_EPHEMERAL = range(15_000, 32_000)
"""Ports the kernel gives to no outgoing connection, so that a server that was killed finds its own free."""


@cache
def redis_binary() -> str:
    """The server that `sailpipe up` would take here, looked for once."""
    return find_redis_server()


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    while True:
        port = random.SystemRandom().choice(BELOW_EPHEMERAL)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


class RedisServer:
    """A redis-server that can be stopped, killed and started again on the same port and data."""

    def __init__(
        self,
        directory: Path,
        *,
        append_only: bool = False,
        fsync: str = "everysec",
        environment: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._append_only = append_only
        self._fsync = fsync
        self._environment = {**os.environ, **(environment or {})}
        self._more = options or {}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it answers; TimeoutError when it does not."""
        self._process = subprocess.Popen(  # noqa: S603 - our own arguments
            [redis_binary(), *self._options()],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_DEADLINE_S
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.kill()
                msg = f"redis-server did not start in {self.directory}"
                raise TimeoutError(msg)
            time.sleep(0.01)

    def stop(self) -> None:
        """SIGTERM: Redis writes what it must and ends."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    def kill(self) -> None:
        """SIGKILL: what a power cut leaves behind."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def send(self, signal_number: signal.Signals) -> None:
        """SIGSTOP freezes it, SIGCONT lets it go on."""
        if self._process is not None:
            self._process.send_signal(signal_number)

    @property
    def append_only_file(self) -> Path:
        """What Redis appends to: one file, from Redis 7 on the newest of a folder."""
        files = [one for one in self.directory.rglob("appendonly.aof*") if one.is_file()]
        return max(files, key=lambda one: (".incr." in one.name, one.stat().st_mtime_ns))

    def _options(self) -> list[str]:
        values = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.directory),
            "save": "",
            "appendonly": "yes" if self._append_only else "no",
            "appendfsync": self._fsync,
            "maxmemory-policy": "noeviction",
            "logfile": str(self.directory / "redis.log"),
            **self._more,
        }
        words = []
        for name, value in values.items():
            # Redis 6.2 takes addresses as words, not as a line.
            words += [f"--{name}", *(value.split() if name == "bind" else [value])]
        return words

    def _answers(self) -> bool:
        with redis.Redis(port=self.port, socket_timeout=1) as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False
