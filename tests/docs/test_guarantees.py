"""docs/guarantees.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "guarantees.md").read_text()


def test_every_test_and_file_that_shows_a_promise_exists() -> None:
    """By its whole path, by its file's name, or by the test's own name."""
    files = sorted((ROOT / "tests").rglob("*.py"))
    tests = set(re.findall(r"def (test_\w+)", "".join(file.read_text() for file in files)))
    known = tests | {file.name for file in files}
    paths = set(re.findall(r"`(tests/[\w/.]+|workers/[\w/.]+)`", TEXT))
    named = set(re.findall(r"`(test_\w+(?:\.py)?)`", TEXT))

    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert named - known == set()
    assert len(named) > 30
