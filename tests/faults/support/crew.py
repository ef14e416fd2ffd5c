"""Worker processes that are started again when they die, as `sailpipe up` does it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from pipeline.lanes import Lane
from pipeline.supervisor import die_with_parent
from pipeline.supervisor.celery_command import (
    APP_MODULE,
    SPLIT_QUEUE,
    celery_command,
    splitter_command,
)
from tests.support.commands import wait_until

ROOT = Path(__file__).parents[2]
LOOK_EVERY_S = 0.02
CONCURRENCY = 8
STILL = (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


class Worker:
    """One place in the crew and the process that fills it now."""

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.command = command
        self.starts = 0
        self.kept = True
        self.process: subprocess.Popen[bytes]
        self._environment = dict(environment)
        self._sailthru = urlsplit(environment["SAILPIPE_API_URL"]).port
        self._log = log

    def start(self) -> None:
        """Start the process; it dies with ours."""
        tether = [sys.executable, "-I", "-S", str(die_with_parent.__file__), str(os.getpid())]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own arguments
                [*tether, str(int(signal.SIGKILL)), *self.command],
                env=self._environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.starts += 1

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8", "replace")

    def send(self, signal_number: signal.Signals) -> None:
        self.process.send_signal(signal_number)

    def freeze(self) -> None:
        """SIGSTOP; returns when the process has stopped, or is gone."""
        self.send(signal.SIGSTOP)
        wait_until(lambda: self._status() in STILL, "the worker is frozen")

    def _status(self) -> str:
        try:
            return str(psutil.Process(self.process.pid).status())
        except psutil.NoSuchProcess:
            return str(psutil.STATUS_DEAD)

    def stop(self, deadline_s: float = 30.0) -> float:
        """SIGTERM, for good; returns how many seconds it took to exit."""
        self.kept = False
        began = time.monotonic()
        self.send(signal.SIGTERM)
        self.process.wait(deadline_s)
        return time.monotonic() - began

    def calls_in_flight(self, busy_ports: set[int]) -> bool:
        """Whether this process waits for an answer on one of these local ports."""
        return not self.ports().isdisjoint(busy_ports)

    def ports(self) -> set[int]:
        """The local ports of its connections to Sailthru; none when the process is gone."""
        try:
            sockets = psutil.Process(self.process.pid).net_connections("tcp")
        except psutil.Error:
            return set()
        # A connection to elsewhere may have the local port of another process's connection to Sailthru.
        return {one.laddr.port for one in sockets if one.raddr and one.raddr.port == self._sailthru}


class Crew:
    """Workers, kept running by a thread until `close`."""

    def __init__(self, environment: Mapping[str, str], directory: Path) -> None:
        self._environment = {**os.environ, **environment}
        self._directory = directory
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self.workers: list[Worker] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def hire(
        self,
        *,
        app: str = APP_MODULE,
        lanes: tuple[str, ...] = tuple(Lane),
        splitter: bool = True,
        **environment: str,
    ) -> Worker:
        """One more worker, which splits in a child process if it is to; returns when its process exists."""
        queues = (SPLIT_QUEUE, *lanes) if splitter else lanes
        return self._hire(celery_command(queues, CONCURRENCY, module=app), environment)

    def hire_splitter(self, *, app: str = APP_MODULE, **environment: str) -> Worker:
        """One more process that only splits, as `sailpipe splitter` is; returns when it exists."""
        return self._hire(splitter_command(module=app), environment)

    def hire_server(self, url: str) -> Worker:
        """One more process that takes events over HTTP at this address; returns when it exists."""
        port = str(urlsplit(url).port)
        return self._hire([sys.executable, "-m", "pipeline.cli", "serve", "--port", port], {})

    def _hire(self, command: list[str], environment: Mapping[str, str]) -> Worker:
        log = self._directory / f"worker-{len(self.workers)}.log"
        worker = Worker(command, {**self._environment, **environment}, log)
        with self._lock:
            self.workers.append(worker)
        wait_until(lambda: worker.starts > 0, "the worker is started")
        return worker

    def freeze_in_a_call(self, busy_ports: Callable[[], set[int]]) -> Worker | None:
        """Stop a worker, of the ones with the fewest lives, that has a call to Sailthru under way."""
        for worker in sorted(self.workers, key=lambda one: one.starts):
            worker.freeze()
            if worker.calls_in_flight(busy_ports()):
                return worker
            worker.send(signal.SIGCONT)
        return None

    def close(self) -> None:
        """Kill them all."""
        self._closing.set()
        self._thread.join()
        for worker in self.workers:
            if worker.alive:
                worker.process.kill()
            worker.process.wait(10)

    def show_logs(self) -> None:
        """Print what the workers said last, for a failed test."""
        for worker in self.workers:
            sys.stdout.write(worker.log[-3000:])

    def _run(self) -> None:
        # Processes are started here only: the kernel ties a child's life to the starting thread.
        while not self._closing.wait(LOOK_EVERY_S):
            with self._lock:
                workers = list(self.workers)
            for worker in workers:
                if worker.starts == 0 or (worker.kept and not worker.alive):
                    worker.start()
