"""The `sailpipe` command as a real process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from tests.support.letters import Pipeline

Setup: TypeAlias = Callable[[Callable[[Pipeline], Awaitable[None]]], None]
"""Brings the Redis that commands will find into a state."""
Command: TypeAlias = Callable[..., tuple[int, str, str]]
"""Runs a command line in this process: (exit code, stdout, stderr)."""
DEADLINE_S = 30.0
"""For whatever a test waits for: generous, since it is only reached when the test fails."""


def python(
    *words: str, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Run this interpreter to its end."""
    return subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, *words],
        input=stdin,
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
        timeout=DEADLINE_S,
    )


def sailpipe(
    *words: str, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end."""
    return python("-m", "pipeline.cli", *words, stdin=stdin, **environment)


def wait_until(what: Callable[[], object], why: str, deadline_s: float = DEADLINE_S) -> None:
    """Return when `what` is true; AssertionError that says `why` at the deadline."""
    deadline = time.monotonic() + deadline_s
    while not what():
        assert time.monotonic() < deadline, f"waited {deadline_s:g} s in vain: {why}"
        time.sleep(0.02)


class Running:
    """A command that runs, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, text: str) -> None:
        """Return when a line with `text` was said."""
        wait_until(lambda: text in self.output or self.ended, f"{text!r} was never said")
        assert text in self.output, self.output

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None and not self._reader.is_alive()

    def stop(self, signal_number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(signal_number)
        code = self.process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self.lines.append(line.rstrip("\n"))


@contextmanager
def running(*words: str, directory: Path, **environment: str) -> Iterator[Running]:
    """`sailpipe WORDS…` in `directory`, for as long as the block lasts; stdout and stderr as one."""
    process = subprocess.Popen(  # noqa: S603 - our own arguments
        [sys.executable, "-m", "pipeline.cli", *words],
        cwd=directory,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    command = Running(process)
    try:
        yield command
    finally:
        if process.poll() is None:
            command.stop(signal.SIGKILL)
