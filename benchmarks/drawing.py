"""The table and plots of a run, made from its document. `python -m benchmarks.drawing` draws those of results.json anew."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import capacity, plots
from benchmarks.figures import number
from benchmarks.report import RESULTS, Document, load, table

_ROLES = ("worker", "splitter", "redis", "http", "up")


def draw(rows: Mapping[str, Document], folder: Path) -> None:
    """Write the table, and every plot that these rows have the figures for."""
    (folder / "table.txt").write_text(table(rows) + "\n")
    for name, text in drawings(rows).items():
        (folder / name).write_text(text)


def drawings(rows: Mapping[str, Document]) -> dict[str, str]:
    """Name and SVG of each plot."""
    made = {}
    measured = {name: row for name, row in rows.items() if "sides" in row}
    goals = [line for name, row in measured.items() for line in _goals(name, row)]
    if goals:
        made["goals.svg"] = plots.against_goals(
            "Measured of the goal; right of the line it is met", goals
        )
    cpu = {
        label: parts
        for name in ("cpu", "mixed")
        if name in measured
        for label, parts in _cpu(name, measured[name])
    }
    if cpu:
        made["cpu.svg"] = plots.bars("CPU of one delivered event", "ms", cpu)
    if "burst" in measured:
        made["burst.svg"] = _burst(measured["burst"])
    try:
        made["capacity.svg"] = _capacity(capacity.costs_of(rows))
    except KeyError:  # not all of the rows it needs were measured
        return made
    return made


def _capacity(costs: capacity.Costs) -> str:
    machines = range(1, 11)
    accounts = capacity.by_machines(costs, 1_000_000, machines)
    return plots.lines(
        "Accounts of a million events a day, by machines of 4 cores over one Redis",
        {"accounts": accounts},
        {number(level): level for level in (accounts[0], accounts[-1])},
        "machines",
    )


def _goals(name: str, row: Document) -> list[tuple[str, float, float, bool]]:
    found = []
    for check in row["checks"]:
        if check["goal"]:
            relation, bound = check["goal"].split(" ")
            goal = float(re.sub(",", "", bound))
            found.append((f"{name}: {check['title']}", check["median"], goal, relation == "≥"))
    return found


def _cpu(name: str, row: Document) -> list[tuple[str, dict[str, float]]]:
    bars = []
    for side, figures in row["sides"].items():
        parts = {
            role: figures[f"{role}_ms"]["median"] for role in _ROLES if f"{role}_ms" in figures
        }
        bars.append((f"{name}: {side}", parts or {"loop": figures["cpu_ms"]["median"]}))
    return bars


def _burst(row: Mapping[str, Any]) -> str:
    series = row["series"]["by_second"]
    return plots.lines(
        "Calls received in each second while a burst is split and delivered",
        series,
        {"300": 300, "40": 40},
        "s",
    )


if __name__ == "__main__":
    draw(load(), RESULTS.parent)
