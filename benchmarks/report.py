"""A run of the suite as a document (what `results.json` holds), and that document as tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.figures import Bench, Result, Round, Row, Spread, middle, number, results

Document: TypeAlias = dict[str, Any]
"""`{"rows": {NAME: row}}`; a row is what `row_document` or `row_failed` makes."""

RESULTS = Path(__file__).parent / "results" / "results.json"
"""The run that docs/performance.md shows."""


def load(file: Path = RESULTS) -> dict[str, Document]:
    """The rows of a results file; none without the file."""
    rows: dict[str, Document] = json.loads(file.read_text())["rows"] if file.exists() else {}
    return rows


def row_document(
    row: Row, rounds: Sequence[Round], bench: Bench, host: Mapping[str, Any]
) -> Document:
    """A row that ran."""
    return {
        "title": row.title,
        "rounds": len(rounds),
        "scale": bench.scale,
        "sizes": dict(bench.sizes),
        "host": dict(host),
        "checks": [_check(one) for one in results(row.checks, rounds)],
        "sides": {
            side: {name: _spread(one) for name, one in figures.items()}
            for side, figures in middle(rounds).items()
        },
        "series": dict(bench.series),
    }


def row_failed(row: Row, why: str, host: Mapping[str, Any]) -> Document:
    """A row that did not come to its end, and why."""
    return {"title": row.title, "failed": why, "host": dict(host)}


def _check(result: Result) -> Document:
    check = result.check
    return {
        "title": check.title,
        "ratio": check.over is not None,
        "unit": check.unit,
        **_spread(result.spread),
        "goal": str(check.goal) if check.goal else None,
        "met": result.is_met,
    }


def _spread(one: Spread) -> Document:
    return {"median": one.median, "low": one.low, "high": one.high}


def table(rows: Mapping[str, Document]) -> str:
    """For people: ratios first, then everything else, then what failed."""
    cells: list[Sequence[str]] = [("row", "measured", "", "lowest to highest", "goal", "")]
    checks = [(name, check) for name, row in rows.items() for check in row.get("checks", ())]
    for ratio in (True, False):
        cells += [_cells(name, check) for name, check in checks if check["ratio"] is ratio]
    failed = [f"{name}: {row['failed']}" for name, row in rows.items() if "failed" in row]
    return "\n".join([*columns(cells), *failed])


def _cells(name: str, check: Document) -> tuple[str, ...]:
    verdict = {True: "met", False: "MISSED", None: ""}[check["met"]]
    between = f"{number(check['low'])} to {number(check['high'])}"
    value = f"{number(check['median'])} {check['unit']}".rstrip()
    return (name, check["title"], value, between, check["goal"] or "", verdict)


def sides(row: Document) -> str:
    """Every figure of every side of one row."""
    names = dict.fromkeys(name for figures in row["sides"].values() for name in figures)
    cells: list[Sequence[str]] = [("", *row["sides"])]
    for name in names:
        found = (figures.get(name) for figures in row["sides"].values())
        cells.append((name, *(number(one["median"]) if one else "" for one in found)))
    return "\n".join(columns(cells))


def columns(cells: Sequence[Sequence[str]]) -> list[str]:
    """Lines whose cells stand below each other."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table for a page."""
    made = [head, ["---"] * len(head), *lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in made)


def check_lines(names: Sequence[str], rows: Mapping[str, Document]) -> Iterable[Sequence[str]]:
    """The checks of these rows for `markdown`: what, median, spread, goal, whether it is met."""
    for name in names:
        row = rows.get(name)
        if row is None or "failed" in row:
            yield (f"`{name}`", row["failed"] if row else "not measured", "", "", "", "")
            continue
        for check in row["checks"]:
            _, title, value, between, goal, verdict = _cells(name, check)
            yield (f"`{name}`", title, value, between, goal, verdict.lower())
