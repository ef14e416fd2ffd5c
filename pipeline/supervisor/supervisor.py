"""The supervisor: one asyncio task per child keeps it running until it is stopped.

A Celery worker can exit by itself when Redis goes away (reference: celery-redis 1.4), so every
process is restarted, after 0.2 s at first and at most 5 s later when it keeps exiting.
Must run in a thread that lives as long as the process: the kernel ties a child's life to the thread that
started it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from pipeline.clock import Clock, SystemClock
from pipeline.supervisor.services import Service, Stage

RESTART_FIRST_S = 0.2
RESTART_MAX_S = 5.0
SETTLED_AFTER_S = 10.0
"""A child that ran this long starts over at RESTART_FIRST_S."""
MAX_LINE_BYTES = 1 << 20
LAST_WORDS_S = 1.0
"""For the rest of a dead child's output; a process it left behind may hold the pipe open."""
_DIE_WITH_PARENT = Path(__file__).with_name("die_with_parent.py")


class _Child:
    """One service and its present process."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.process: asyncio.subprocess.Process | None = None
        self.task: asyncio.Task[None] | None = None
        self.stopping = asyncio.Event()
        self.restarts = 0

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    def send(self, signal_number: signal.Signals) -> None:
        if self.process is not None and self.running:
            self.process.send_signal(signal_number)


class Supervisor:
    """Starts services and keeps them running; output goes to `out`, each line with its name.

    `report` is told of each end, with the service's name; by default that is a line of `out`, too.
    """

    def __init__(
        self,
        out: TextIO | None = None,
        clock: Clock | None = None,
        *,
        report: Callable[[str, str], None] | None = None,
    ) -> None:
        self._out = out or sys.stderr
        self._clock = clock or SystemClock()
        self._report = report or self._write_line
        self._children: dict[str, _Child] = {}
        self._hurry = asyncio.Event()

    async def start(self, service: Service) -> None:
        """Start it; returns when the process exists. Names must be unique."""
        child = self._children[service.name] = _Child(service)
        await self._spawn(child)
        child.task = asyncio.create_task(self._run(child), name=service.name)

    def running(self, name: str) -> bool:
        """Whether this service's process is alive at the moment."""
        return self._children[name].running

    def restarts(self, name: str) -> int:
        """How often it exited and was started again."""
        return self._children[name].restarts

    def hurry(self) -> None:
        """Cut the grace of `stop` short (a second Ctrl-C); Redis still writes what it must."""
        self._hurry.set()

    async def stop(self) -> None:
        """Stop all, stage by stage; within a stage side by side."""
        for stage in Stage:
            children = [c for c in self._children.values() if c.service.stage is stage]
            await asyncio.gather(*(self._stop(child) for child in children))

    async def _run(self, child: _Child) -> None:
        pause = RESTART_FIRST_S
        while True:
            if child.stopping.is_set():  # asked to stop while it was being started again
                child.send(signal.SIGTERM)
            started = self._clock.monotonic()
            code = await self._follow(child)
            if child.stopping.is_set():
                return
            if self._clock.monotonic() - started > SETTLED_AFTER_S:
                pause = RESTART_FIRST_S
            self._report(child.service.name, f"exited ({_ending(code)}); again in {pause:g} s")
            await self._pause(child, pause)
            if child.stopping.is_set():
                return
            pause = min(pause * 2, RESTART_MAX_S)
            child.restarts += 1
            try:
                await self._spawn(child)
            except OSError as error:  # no more processes or memory: the next round tries again
                self._report(child.service.name, f"cannot be started ({error.strerror})")

    async def _spawn(self, child: _Child) -> None:
        service = child.service
        dies_by = signal.SIGTERM if service.stage is Stage.REDIS else signal.SIGKILL
        wrapper = (
            sys.executable,
            "-I",
            "-S",
            str(_DIE_WITH_PARENT),
            str(os.getpid()),
            str(int(dies_by)),
        )
        child.process = await asyncio.create_subprocess_exec(
            *wrapper,
            *service.command,
            env={**os.environ, **service.environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=None if service.shares_output else asyncio.subprocess.PIPE,
            stderr=None if service.shares_output else asyncio.subprocess.STDOUT,
            limit=MAX_LINE_BYTES,
            start_new_session=True,  # Ctrl-C must reach us alone, or Redis would go first
        )

    async def _follow(self, child: _Child) -> int:
        process = child.process
        if process is None:
            raise RuntimeError("follow before spawn")
        if process.stdout is None:
            return await process.wait()
        forward = asyncio.create_task(self._forward(child.service.name, process.stdout))
        code = await process.wait()
        await asyncio.wait({forward}, timeout=LAST_WORDS_S)
        forward.cancel()
        return code

    async def _forward(self, name: str, stream: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # a line beyond MAX_LINE_BYTES; the stream dropped it
                continue
            if not line:
                return
            self._write_line(name, line.decode(errors="replace").rstrip())

    async def _stop(self, child: _Child) -> None:
        child.stopping.set()
        child.send(signal.SIGTERM)
        if child.task is None:
            return
        hurried = asyncio.create_task(self._hurry.wait())
        waits: set[asyncio.Task[None] | asyncio.Task[bool]] = {child.task}
        if child.service.stage is not Stage.REDIS:
            waits.add(hurried)
        await asyncio.wait(
            waits, timeout=child.service.stop_within_s, return_when=asyncio.FIRST_COMPLETED
        )
        hurried.cancel()
        child.send(signal.SIGKILL)
        await child.task

    async def _pause(self, child: _Child, seconds: float) -> None:
        sleep = asyncio.create_task(self._clock.sleep(seconds))
        stop = asyncio.create_task(child.stopping.wait())
        await asyncio.wait({sleep, stop}, return_when=asyncio.FIRST_COMPLETED)
        sleep.cancel()
        stop.cancel()

    def _write_line(self, name: str, text: str) -> None:
        self._out.write(f"{name:<9}| {text}\n")
        self._out.flush()


def _ending(code: int) -> str:
    return f"status {code}" if code >= 0 else signal.Signals(-code).name
