"""`make test-pythons`: the README's first minutes on every Python of this machine, without a Redis.

On each Python from 3.11 on, in a virtual environment of its own: set up, run tests, set up again
without a registry, and run once: take an event, deliver it, end at Ctrl-C. The Python that this module
runs on has been set up and is tested by `make test`, so it only sets up again and runs once. A server
on the PATH is hidden from all of it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from pipeline.embedded.binary import SERVERS
from tests.support.commands import Running, wait_until
from tests.support.redis_server import free_port

ROOT = Path(__file__).parents[1]
MIN_VERSION = (3, 11)
READY_WITHIN_S = 60.0
ENDED_WITHIN_S = 30.0
EVENT = b'{"type": "identify", "userId": "u-1", "traits": {"email": "ann@example.com"}}\n'

PROCESSES = (
    "tests/conformance",
    "tests/integration/test_shop_day_end_to_end.py",
    "tests/integration/test_ingest.py",
    "tests/integration/test_transport.py",
    "tests/integration/test_splitter_process.py",
)
"""Redis' scripts, and each kind of process once."""
TESTS = (
    *("tests/unit/cli", "tests/unit/ingest", "tests/unit/mapping", "tests/unit/sailthru"),
    *PROCESSES,
)
"""What the newest Python may make fail beside them: what leans most on the standard library and on pydantic. A Python between
this one and the newest runs PROCESSES."""

Version = tuple[int, int]


def find_pythons(folders: Iterable[Path]) -> dict[Version, Path]:
    """The first program of each version, from 3.11 on, that runs and can make a venv."""
    found: dict[Version, Path] = {}
    for folder in folders:
        for program in sorted(folder.glob("python3.*[0-9]")):
            version = version_of(program)
            if version >= MIN_VERSION:
                found.setdefault(version, program)
    return dict(sorted(found.items()))


def version_of(program: Path) -> Version:
    """(0, 0) when it does not run (a version manager's stand-in, say) or cannot make a venv."""
    code = "import ensurepip, sys, venv; print(*sys.version_info[:2])"
    try:
        said = subprocess.run(  # noqa: S603 - a Python of this machine
            [program, "-c", code], capture_output=True, text=True, timeout=30, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return (0, 0)
    major, minor = said.split()
    return int(major), int(minor)


def python_folders() -> list[Path]:
    """PATH, then what pyenv keeps: of its versions only the chosen ones run by their names on PATH."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    on_path = [Path(folder) for folder in os.get_exec_path()]
    return on_path + sorted(pyenv.glob("versions/*/bin"))


def hide_servers(path: str, into: Path) -> str:
    """PATH without redis-server and valkey-server.

    A folder that has one is replaced by links, in `into`, to all else that it has.
    """
    folders = []
    for number, folder in enumerate(map(Path, path.split(os.pathsep))):
        if not any((folder / server).exists() for server in SERVERS):
            folders.append(str(folder))
            continue
        links = into / str(number)
        links.mkdir(parents=True)
        for program in folder.iterdir():
            if program.name not in SERVERS:
                (links / program.name).symlink_to(program)
        folders.append(str(links))
    return os.pathsep.join(folders)


class Checkout:
    """This checkout with one Python, one virtual environment, and a folder for what is left behind."""

    def __init__(
        self, python: Path, venv: Path, folder: Path, environment: Mapping[str, str]
    ) -> None:
        folder.mkdir()
        (folder / "sailpipe.toml").touch()
        self._words = (f"PYTHON={python}", f"VENV={venv}")
        self._sailpipe = ROOT / venv / "bin" / "sailpipe"
        # No setting of the developer's, above all no API key, and none of their data.
        self._environment = {k: v for k, v in environment.items() if not k.startswith("SAILPIPE_")}
        self._settings = {
            "SAILPIPE_DATA_DIR": str(folder / "data"),
            "SAILPIPE_CONFIG": str(folder / "sailpipe.toml"),
        }

    def test(self, tests: Iterable[str]) -> None:
        """`make test` of these, set-up included; what it says is seen."""
        self._run(self._make("test", f"TESTS={' '.join(tests)}"))

    def set_up_again(self) -> None:
        """`make setup` of what is set up: it must do nothing, and need no registry for it."""
        said = self._run(self._make("setup"), stdout=subprocess.PIPE, PIP_NO_INDEX="1")
        assert b"1 of 4" not in said, said

    def run_once(self) -> None:
        """`make run` until it has delivered one event; then Ctrl-C, which must leave nothing behind."""
        port = free_port()
        ready = f"http://127.0.0.1:{port}/readyz"
        with self._running(f"ARGS=--port {port}") as made:
            wait_until(lambda: made.ended or answers(ready), "ready for events", READY_WITHIN_S)
            assert not made.ended, made.output
            assert self._ask("enqueue", "-", stdin=EVENT) == b"Enqueued: 1.\n"
            wait_until(lambda: self._delivered() == 1, "the event is delivered")
            # To sailpipe alone: make would die of the signal, and hide with which code sailpipe ended.
            [sailpipe] = psutil.Process(made.process.pid).children()
            parts = [sailpipe, *sailpipe.children(recursive=True)]
            assert {part.name() for part in parts} & set(SERVERS), parts
            sailpipe.send_signal(signal.SIGINT)
            assert made.process.wait(ENDED_WITHIN_S) == 0, made.output
        _, alive = psutil.wait_procs(parts, timeout=ENDED_WITHIN_S)
        assert alive == []

    @contextmanager
    def _running(self, *words: str) -> Iterator[Running]:
        process = subprocess.Popen(  # noqa: S603 - our own arguments
            self._make("run", *words),
            cwd=ROOT,
            env=self._environment | self._settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield Running(process)
        finally:
            if process.poll() is None:
                for part in psutil.Process(process.pid).children(recursive=True):
                    with suppress(psutil.NoSuchProcess):  # it ended with its parent
                        part.kill()
                process.kill()
            process.wait()

    def _delivered(self) -> int:
        state = json.loads(self._ask("status", "--json"))
        delivered: int = state["accounts"]["default"]["counts"]["delivered"]
        return delivered

    def _ask(self, *words: str, stdin: bytes = b"") -> bytes:
        command = [str(self._sailpipe), *words]
        return self._run(command, stdin=stdin, stdout=subprocess.PIPE, **self._settings)

    def _run(
        self, command: list[str], *, stdin: bytes = b"", stdout: int | None = None, **more: str
    ) -> bytes:
        done = subprocess.run(  # noqa: S603 - our own arguments
            command,
            cwd=ROOT,
            env={**self._environment, **more},
            input=stdin,
            stdout=stdout,
            check=True,
        )
        return done.stdout or b""

    def _make(self, *words: str) -> list[str]:
        return ["make", "--no-print-directory", *words, *self._words]


def answers(url: str) -> bool:
    """Whether it answers 200."""
    try:
        return httpx.get(url, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def main() -> None:
    """Raises AssertionError or CalledProcessError at the first thing that is wrong."""
    this = sys.version_info[:2]
    others = {v: p for v, p in find_pythons(python_folders()).items() if v != this}
    # What make tells the makes below it is meant for this one's targets.
    told = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS")
    inherited = {name: value for name, value in os.environ.items() if name not in told}
    with tempfile.TemporaryDirectory() as folder:
        environment = inherited | {"PATH": hide_servers(inherited["PATH"], Path(folder, "path"))}
        for version, python in {this: Path(sys.executable), **others}.items():
            name = ".".join(map(str, version))
            venv = Path(sys.prefix) if version == this else Path(f".venv-{name}")
            checkout = Checkout(python, venv, Path(folder, name), environment)
            began = time.monotonic()
            if version != this:
                say(f"== Python {name}: {python}")
                checkout.test(TESTS if version == max(others) else PROCESSES)
            checkout.set_up_again()
            checkout.run_once()
            taken_s = time.monotonic() - began
            say(f"== Python {name}: set up, ran, delivered and ended, {taken_s:.0f} s")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
