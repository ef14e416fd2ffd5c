"""The world each test breaks, and the report at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.support.verdict import Verdict
from tests.faults.support.world import World, broken_world

VERDICT = "verdict"
COLUMNS = "events delivered dead ignored dupl. lost 2x-orders disorder repeated recovery"

Open = Callable[..., AbstractContextManager[World]]


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """The longest first, or one of them would be left to run alone at the end."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.faults)
    yield
    items.sort(key=_timeout, reverse=True)


def _timeout(item: pytest.Item) -> float:
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0]) if mark else 0.0


def pytest_terminal_summary(terminalreporter: Any) -> None:
    rows = [
        row
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, row in report.user_properties
        if name == VERDICT
    ]
    if rows:
        terminalreporter.section("what the faults did")
        terminalreporter.write_line(f"{'':<44}" + "".join(f"{c:>10}" for c in COLUMNS.split()))
    for row in rows:
        terminalreporter.write_line(row)


def _row(verdict: Verdict) -> str:
    counts = verdict.counts
    numbers = [verdict.events, counts.delivered, counts.dead, counts.ignored, counts.duplicates]
    numbers += [verdict.lost, verdict.doubled_orders, verdict.out_of_order, verdict.repeated]
    recovery = "-" if verdict.recovery_s is None else f"{verdict.recovery_s:.1f} s"
    remark = f"\n{'':<8}{verdict.remark}" if verdict.remark else ""
    row = f"{verdict.fault:<44}" + "".join(f"{n:>10}" for n in numbers)
    return f"{row}{recovery:>10}{remark}"


@pytest.fixture
def open_world(tmp_path: Path, record_property: Callable[[str, object], None]) -> Open:
    """Opens a world; settings by name, without the prefix."""

    def report(verdict: Verdict) -> None:
        record_property(VERDICT, _row(verdict))  # as text: it may come from another process

    def open_here(**options: Any) -> AbstractContextManager[World]:
        return broken_world(tmp_path, report, **options)

    return open_here


@pytest.fixture
def world(open_world: Open) -> Iterator[World]:
    """A world with quick durations and no workers yet."""
    with open_world() as opened:
        yield opened


@pytest.fixture
def scale() -> int:
    """How many times more events and kills than CI has (`make test-faults-quick`) time for."""
    return 1 if os.environ.get("FAULTS_QUICK") else 5
