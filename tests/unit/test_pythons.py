"""What `make test-pythons` runs on: Pythons that really run, and a PATH without any server."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.pythons import find_pythons, hide_servers


def program(at: Path, does: str) -> Path:
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_text(f"#!/bin/sh\n{does}\n")
    at.chmod(0o755)
    return at


def test_the_first_python_of_each_version_that_runs_is_taken(tmp_path: Path) -> None:
    """A version manager's stand-in is on PATH and ends with 127; the real one lies elsewhere."""
    stand_ins, real, more = (tmp_path / name for name in ("shims", "3.12.1", "other"))
    program(stand_ins / "python3.12", "exit 127")
    expected = {
        (3, 11): program(stand_ins / "python3.11", "echo 3 11"),
        (3, 12): program(real / "python3.12", "echo 3 12"),
        (3, 14): program(more / "python3.14", "echo 3 14"),
    }
    program(more / "python3.12", "echo 3 12")
    program(more / "python3.10", "echo 3 10")
    program(more / "python3.12-config", "echo 3 13")
    (more / "python3.15").write_text("cannot be executed")
    assert find_pythons([stand_ins, tmp_path / "missing", real, more]) == expected


def test_a_python_that_cannot_make_a_venv_is_passed_over(tmp_path: Path) -> None:
    """Distributions leave ensurepip to a package of its own."""
    program(tmp_path / "python3.12", "echo \"No module named 'ensurepip'\" >&2; exit 1")
    assert find_pythons([tmp_path]) == {}


def test_a_path_loses_its_servers_and_nothing_else(tmp_path: Path) -> None:
    """Folders without one stay what they are."""
    shared, plain = tmp_path / "usr", tmp_path / "local"
    for name in ("redis-server", "valkey-server", "redis-cli"):
        program(shared / name, "echo here")
    program(plain / "make", "echo here")
    path = hide_servers(os.pathsep.join([str(plain), str(shared)]), tmp_path / "links")
    assert path.split(os.pathsep)[0] == str(plain)
    assert shutil.which("redis-server", path=path) is None
    assert shutil.which("valkey-server", path=path) is None
    kept = shutil.which("redis-cli", path=path)
    assert kept is not None
    assert subprocess.check_output([kept]) == b"here\n"  # noqa: S603 - written above
