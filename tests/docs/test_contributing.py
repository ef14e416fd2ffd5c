"""CONTRIBUTING.md sends a newcomer to files and commands that are there."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()


def test_every_file_it_names_exists() -> None:
    """Paths with a folder, and files at the top."""
    named = re.findall(r"`([\w.-]+/[\w./-]*|[\w-]+\.(?:yml|md))`", PAGE)
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_command_it_names_exists() -> None:
    """Targets of make, and modules that write a page anew."""
    targets = set(re.findall(r"`make ([\w-]+)", PAGE))
    makefile = (ROOT / "Makefile").read_text()
    assert [name for name in targets if f"\n{name}:" not in makefile] == []
    modules = re.findall(r"`python -m ([\w.]+)`", PAGE)
    assert modules
    assert [name for name in modules if find_spec(name) is None] == []
