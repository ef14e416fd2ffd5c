"""A whole installation on this machine, as its operator has it: `sailpipe up` in a folder, and commands beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import redis

from tests.support.commands import DEADLINE_S, running, wait_until
from tests.support.redis_server import free_port

UP = "Ctrl-C stops"
START_S = 120.0
SECONDS = 25.0
"""Within which each command of docs/operating.md must have answered. The page promises one or two on a machine that has nothing
else to do; a machine that runs tests has."""


@dataclass
class Installation:
    """An `up` that can be stopped and started: its folder, its port, and the settings it is started with."""

    folder: Path
    port: int
    environment: Mapping[str, str]
    _running: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        """Return when it is up."""
        words = ("up", "--port", str(self.port))
        up = self._running.enter_context(running(*words, directory=self.folder, **self.environment))
        wait_until(lambda: UP in up.output or up.ended, "up starts", START_S)
        assert UP in up.output, up.output
        self._running.callback(up.stop)

    def stop(self) -> None:
        """As Ctrl-C does."""
        self._running.close()

    def restart(self) -> None:
        """With the settings that its folder has by now."""
        self.stop()
        self.start()

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in the folder to its end, within SECONDS."""
        began = time.monotonic()
        done = command_in(self.folder, *words, stdin=stdin, **self.environment)
        passed = time.monotonic() - began
        assert passed < SECONDS, f"sailpipe {' '.join(words)} took {passed:.1f} s"
        return done

    def says(self, *words: str) -> str:
        """What a command prints."""
        done = self.run(*words)
        return done.stdout + done.stderr

    def wait_for(self, text: str, *words: str, deadline_s: float = 60.0) -> str:
        """Return what a command says once there is `text` in it."""
        said = ""

        def is_said() -> bool:
            nonlocal said
            said = self.says(*words)
            return text in said

        try:
            wait_until(is_said, f"{text!r} in what {' '.join(words)} says", deadline_s)
        except AssertionError as error:
            msg = f"{error}\n{said}"
            raise AssertionError(msg) from None
        return said

    def enqueue(self, *events: Mapping[str, Any]) -> None:
        """Hand these events in."""
        done = self.run("enqueue", "-", stdin="\n".join(map(json.dumps, events)))
        assert done.returncode == 0, done.stderr

    def status(self) -> dict[str, Any]:
        """As programs read it."""
        found: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return found

    def counts(self, account: str = "default") -> dict[str, int]:
        """The counts of an account."""
        found: dict[str, int] = self.status()["accounts"][account]["counts"]
        return found

    def sandbox(self, method: str, action: str, body: object = None) -> None:
        """Ask the sandbox' control API."""
        address = (self.folder / ".sailpipe" / "sandbox.url").read_text().strip()
        httpx.request(
            method, f"{address}/_sandbox/{action}", json=body, trust_env=False
        ).raise_for_status()

    def redis(self) -> redis.Redis:
        """A client of its Redis."""
        return redis.Redis.from_url((self.folder / ".sailpipe" / "redis.url").read_text().strip())


def command_in(
    folder: Path, *words: str, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder to its end."""
    return subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-m", "pipeline.cli", *words],
        cwd=folder,
        input=stdin,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )


@contextmanager
def installed(folder: Path, **environment: str) -> Iterator[Installation]:
    """An installation for as long as the block lasts."""
    found = Installation(folder, free_port(), environment)
    try:
        found.start()
        yield found
    finally:
        found.stop()
