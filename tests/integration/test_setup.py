"""`make setup` with a Python that only notes what it is asked: nothing is installed, every step can fail."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
NEEDED = (
    "Makefile",
    "hatch_build.py",
    "pyproject.toml",
    "requirements.lock",
    "requirements-htmx.lock",
    "requirements-server.lock",
)
PYTHON = """#!/bin/sh
echo "$*" >> "$ASKED"
case "$*" in
    -V) sed -n 's/^# //p' "$0" ;;
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    *"$SLOW"*) sleep "$TAKES" ;;
    *"$FAILS"*) echo "what fails says why" >&2; exit 1 ;;
esac
# Python 3.12.1
"""


class Clone:
    """A fresh clone, as far as set-up looks at it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.venv = folder / ".venv"
        for name in NEEDED:
            shutil.copy(ROOT / name, folder)
        self.python("python3", "Python 3.12.1")

    def python(self, name: str, version: str) -> None:
        (self._folder / name).write_text(PYTHON.replace("Python 3.12.1", version))
        (self._folder / name).chmod(0o755)

    def set_up(
        self, *words: str, fails: str = "nothing", slow: str = "nothing"
    ) -> subprocess.CompletedProcess[str]:
        """`make setup`, in which what contains `fails` fails, and what contains `slow` takes half a second."""
        of_make = ("MAKE", "MFLAGS", "PYTHON", "VENV")  # what a make that runs the tests was told
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(of_make)}
        return subprocess.run(  # noqa: S603 - our own arguments
            ["make", "setup", *words],  # noqa: S607 - whichever make is on PATH
            cwd=self._folder,
            env={
                **inherited,
                "PATH": f"{self._folder}{os.pathsep}{os.environ['PATH']}",
                "ASKED": str(self._folder / "asked"),
                "FAILS": fails,
                "SLOW": slow,
                "TAKES": "0.5",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def asked(self) -> list[str]:
        """What a Python was asked since this was last called."""
        try:
            return (self._folder / "asked").read_text().splitlines()
        finally:
            (self._folder / "asked").write_text("")


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def test_what_is_set_up_is_not_set_up_again(clone: Clone) -> None:
    """It takes no network, and starts no Python."""
    assert clone.set_up().returncode == 0
    assert "-m pipeline.embedded.install requirements-server.lock" in clone.asked()
    assert clone.set_up().returncode == 0
    assert clone.asked() == []


@pytest.mark.parametrize(
    "step",
    [
        "-r requirements.lock",
        "-r requirements-htmx.lock",
        "-e .",
        "pipeline.embedded.install",
        "pip --version",
    ],
)
def test_a_set_up_that_was_cut_off_is_done_again(clone: Clone, step: str) -> None:
    """A lost network, a Ctrl-C: a venv that lacks something must not count as installed."""
    cut_off = clone.set_up(fails=step)
    assert cut_off.returncode == 2
    assert "what fails says why" in cut_off.stderr
    clone.asked()
    assert clone.set_up().returncode == 0
    assert "-m pipeline.embedded.install requirements-server.lock" in clone.asked()


def test_set_up_names_its_steps_and_says_that_a_slow_one_goes_on(clone: Clone) -> None:
    """A minute without a word looks like a command that hangs."""
    said = clone.set_up("TICK=0.1", slow="-r requirements.lock").stdout.splitlines()
    packages = len(re.findall("^[a-z].*==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert said[0] == "Setting up .venv, this once: a minute or two."
    steps = [line for line in said if " of 4: " in line]
    assert steps[0] == f"  1 of 4: {packages} packages that requirements.lock pins ..."
    assert [line.split(" of ")[0] for line in steps] == ["  1", "  2", "  3", "  4"]
    assert re.fullmatch(r"    \d s \.\.\.", said[2])
    assert sum("done in" in line for line in said) == len(steps)


def test_a_venv_without_pip_is_made_again(clone: Clone) -> None:
    """What a Ctrl-C right at the beginning leaves: a venv with a Python and no pip yet."""
    clone.set_up(fails="pip --version")
    clone.asked()
    told = clone.set_up(fails="pip --version")
    assert "-m venv .venv" in clone.asked()
    assert ".venv cannot be mended: delete it (make clean)" in told.stderr


def test_a_venv_whose_python_is_gone_is_set_up_again(clone: Clone) -> None:
    """A distribution's upgrade, or a version manager's clean-up, removes what the venv links to."""
    clone.set_up()
    (clone.venv / "bin" / "python").unlink()
    (clone.venv / "bin" / "python").symlink_to("/nowhere/python3.12")
    clone.asked()
    told = clone.set_up()
    assert "-m venv .venv" in clone.asked()
    assert (told.returncode, "delete it (make clean)" in told.stderr) == (2, True)


def test_a_venv_of_another_python_is_not_taken_for_the_one_that_was_asked_for(clone: Clone) -> None:
    """Tests would pass on 3.12 and be believed of 3.13."""
    clone.python("python3.13", "Python 3.13.0")
    clone.set_up()
    told = clone.set_up("PYTHON=python3.13")
    assert told.returncode == 2
    assert ".venv has Python 3.12.1, not Python 3.13.0" in told.stderr
    assert clone.set_up("PYTHON=python3.13", "VENV=.venv-3.13").returncode == 0
    assert clone.set_up("PYTHON=python3").returncode == 0
