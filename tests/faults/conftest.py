"""The world each test breaks, and the report at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.support.faults_verdict import Verdict
from tests.support.faults_world import World, broken_world

REPORT = pytest.StashKey[list[Verdict]]()
COLUMNS = "events delivered dead ignored dupl. lost 2x-orders disorder repeated recovery"

Open = Callable[..., AbstractContextManager[World]]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[REPORT] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.faults)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    lines = config.stash[REPORT]
    if lines:
        terminalreporter.section("what the faults did")
        terminalreporter.write_line(f"{'':<44}" + "".join(f"{c:>10}" for c in COLUMNS.split()))
    for line in lines:
        terminalreporter.write_line(_row(line))


def _row(line: Verdict) -> str:
    counts = line.counts
    numbers = [line.events, counts.delivered, counts.dead, counts.ignored, counts.duplicates]
    numbers += [line.lost, line.doubled_orders, line.out_of_order, line.repeated]
    recovery = "-" if line.recovery_s is None else f"{line.recovery_s:.1f} s"
    return f"{line.fault:<44}" + "".join(f"{n:>10}" for n in numbers) + f"{recovery:>10}"


@pytest.fixture
def open_world(tmp_path: Path, pytestconfig: pytest.Config) -> Open:
    """Opens a world; settings by name, without the prefix."""

    def open_here(**options: Any) -> AbstractContextManager[World]:
        return broken_world(tmp_path, pytestconfig.stash[REPORT], **options)

    return open_here


@pytest.fixture
def world(open_world: Open) -> Iterator[World]:
    """A world with quick durations and no workers yet."""
    with open_world() as opened:
        yield opened


@pytest.fixture
def scale() -> int:
    """1, or 5 for the long run (`FULL_FAULTS=1`): how many times more events and kills."""
    return 5 if os.environ.get("FULL_FAULTS") else 1
