"""Runs programs in Node, which use the packages that `tests/node/package-lock.json` pins."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "node"


def run_node(program: Path, env: Mapping[str, str], timeout_s: float = 30.0) -> str:
    """What the program prints. It finds the packages wherever it lies, and has nothing of our environment but PATH.

    Skips the test where there is no Node, or `make test` has not installed the packages.
    Fails it where the program does, with what that said, or takes longer.
    """
    node = shutil.which("node")
    if node is None or not (FOLDER / "node_modules").is_dir():
        pytest.skip("no Node 20 with the packages of tests/node (make test installs them)")
    given = {"PATH": os.environ["PATH"], "NODE_PATH": str(FOLDER / "node_modules"), **env}
    done = subprocess.run(  # noqa: S603 - our own programs
        [node, str(program)],
        env=given,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
