"""The real parts a benchmark runs against: Redis, a sandbox and workers as processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from pipeline.events.models import Lane
from pipeline.supervisor.celery_command import SPLIT_QUEUE, celery_command
from tests.support.commands import wait_until
from tests.support.redis_server import RedisServer, free_port

_LANES = [str(lane) for lane in Lane]
_OTHER_ACCOUNT = """
[accounts.other]
api_key = "other"
api_secret = "other"
customer_id = "other"
api_url = "{url}"
pageview_url = "{url}"
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """Everything that runs. `workers` are the Celery worker processes."""

    redis_url: str
    sandbox_urls: dict[str, str]
    workers: list[psutil.Process]

    def sandbox(
        self, path: str, body: dict[str, Any] | None = None, account: str = "default"
    ) -> Any:
        """GET, or POST `body` to, the control API of an account's sandbox."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.sandbox_urls[account]}/_sandbox/{path}", data=data)  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
            return json.load(answer)

    def worker_cpu_s(self) -> float:
        """CPU seconds all workers have used."""
        times = [worker.cpu_times() for worker in self.workers]
        return float(sum(one.user + one.system for one in times))


@contextmanager
def machine(workers: int = 1, **settings: str) -> Iterator[Machine]:
    """Start everything, and end it with the block. `settings`: SAILPIPE_ names without the prefix.

    There are two accounts, `default` and `other`, each with a sandbox of its own.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = RedisServer(folder)
        server.start()
        stack.callback(server.stop)
        ports = {"default": free_port(), "other": free_port()}
        urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        url = urls["default"]
        (folder / "sailpipe.toml").write_text(_OTHER_ACCOUNT.format(url=urls["other"]))
        environment = {
            **os.environ,
            "SAILPIPE_REDIS_URL": server.url,
            "SAILPIPE_API_KEY": "sandbox",
            "SAILPIPE_API_SECRET": "sandbox",
            "SAILPIPE_CUSTOMER_ID": "sandbox",
            "SAILPIPE_API_URL": url,
            "SAILPIPE_PAGEVIEW_URL": url,
            **{f"SAILPIPE_{name}": value for name, value in settings.items()},
        }
        for port in ports.values():
            sandbox = [sys.executable, "-m", "pipeline.cli", "sandbox", "--port", str(port)]
            _start(stack, sandbox, folder, environment)
        command = celery_command([SPLIT_QUEUE, *_LANES], 8)
        processes = [_start(stack, command, folder, environment) for _ in range(workers)]
        found = Machine(server.url, urls, processes)
        try:
            wait_until(lambda: _answers(found), "the sandboxes answer")
            keys = {"api_key": "other", "api_secret": "other", "customer_id": "other"}
            found.sandbox("options", keys, account="other")
            yield found
        except AssertionError:
            print((folder / "log").read_text()[-2_000:], file=sys.stderr)
            raise


def _start(
    stack: ExitStack, command: list[str], folder: Path, environment: dict[str, str]
) -> psutil.Process:
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command, cwd=folder, env=environment, stdout=log, stderr=log
        )

    def end() -> None:
        process.terminate()
        process.wait(15)

    stack.callback(end)
    return psutil.Process(process.pid)


def _answers(found: Machine) -> bool:
    try:
        for account in found.sandbox_urls:
            found.sandbox("options", account=account)
    except OSError:
        return False
    return True
