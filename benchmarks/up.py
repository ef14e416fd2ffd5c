"""A whole `sailpipe up` that delivers to a server that writes down when each call arrived."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil
import redis

from pipeline.storage import keys
from pipeline.storage.redis_client import open_redis
from tests.support.commands import wait_until
from tests.support.redis_server import free_port

READY = "Ctrl-C stops"
ENDS_WITHIN_S = 40.0
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Up:
    """A running `up`. `arrivals` is filled when it has ended: (path, Unix seconds) of each call, in order."""

    client: redis.Redis
    process: psutil.Process
    arrivals: list[tuple[str, float]] = field(default_factory=list)

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds that each of its processes has used, by what it is, `up` itself too."""
        used: dict[str, float] = {}
        for one in (self.process, *self.process.children(recursive=True)):
            times, name = one.cpu_times(), _role(one.cmdline())
            used[name] = used.get(name, 0.0) + times.user + times.system
        return used

    def add(self, events: Iterable[Mapping[str, Any]], account: str = "default") -> None:
        """Put events into the raw stream, as a producer does."""
        pipe = self.client.pipeline(transaction=False)
        for event in events:
            pipe.xadd(keys.RAW, {"event": json.dumps(event), "account": account})
        pipe.execute()

    def counted(self, name: str, account: str = "default") -> int:
        """One of an account's counters, `delivered` say."""
        return int(self.client.hget(keys.counts(account), name) or 0)


@contextmanager
def up(settings: Mapping[str, str] = NOTHING, *, accounts: int = 1) -> Iterator[Up]:
    """Start everything, and end it with the block. `settings`: SAILPIPE_ names without the prefix.

    With more than one account the others are called `a1`, `a2`, ...
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with _server(folder / "arrivals") as port:
            url = f"http://127.0.0.1:{port}"
            (folder / "sailpipe.toml").write_text(_tables(accounts, url))
            environment = {
                **os.environ,
                "SAILPIPE_API_URL": url,
                "SAILPIPE_PAGEVIEW_URL": url,
                "SAILPIPE_API_KEY": "key",
                "SAILPIPE_API_SECRET": "secret",
                **{f"SAILPIPE_{one}": value for one, value in settings.items()},
            }
            with _up(folder, environment) as running:
                yield running
        for line in (folder / "arrivals").read_text().splitlines():
            path, stamp = line.rsplit(" ", 1)
            running.arrivals.append((path, int(stamp) / 1e9))


@contextmanager
def _up(folder: Path, environment: Mapping[str, str]) -> Iterator[Up]:
    command = [sys.executable, "-m", "pipeline.cli", "up", "--port", str(free_port())]
    said = folder / "said"
    with said.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command, cwd=folder, env=environment, stdout=out, stderr=out
        )
    try:
        wait_until(lambda: READY in said.read_text() or process.poll() is not None, "up runs", 60)
        with open_redis((folder / ".sailpipe" / "redis.url").read_text().strip()) as client:
            yield Up(client, psutil.Process(process.pid))
    except BaseException:
        print(said.read_text()[-3_000:], file=sys.stderr)
        raise
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(ENDS_WITHIN_S)


@contextmanager
def _server(record: Path) -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.limits_server", str(record)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603 - our own command
    try:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        yield int(process.stdout.readline())
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(ENDS_WITHIN_S)


def _tables(accounts: int, url: str) -> str:
    row = '[accounts.a{0}]\napi_key = "key{0}"\napi_secret = "s"\napi_url = "{1}"\npageview_url = "{1}"\n'
    return "".join(row.format(number, url) for number in range(1, accounts))


def _role(command: list[str]) -> str:
    """What a process of `up` is, by its command line."""
    words = " ".join(command)
    signs = {"splitter": "-Q split ", "worker": "celery", "http": "cli serve ", "up": "cli up "}
    return next((role for role, sign in signs.items() if sign in words), "redis")


def settle_down(seconds: float = 3.0) -> None:
    """Wait until what a start costs is over."""
    time.sleep(seconds)
