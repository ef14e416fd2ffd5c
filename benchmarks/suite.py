"""All measurements of speed, both sides in one run: `make bench`, or `python -m benchmarks.suite [ROW …]`.

`--rounds N` and `--scale F` (or `--size events=2000`) make it longer or shorter; `--list` names the rows. Progress
on stderr, a table on stdout, figures in `--json FILE`, where rows that were not run keep what they had; table and plots
beside that file. Exit code 1 when a row failed; a goal that is missed is said and is no failure.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.drawing import draw
from benchmarks.figures import Bench, NotThere, Round, Row
from benchmarks.host import describe
from benchmarks.report import Document, load, row_document, row_failed, sides, table
from benchmarks.rows import ROWS


def run(row: Row, bench: Bench, rounds: int | None = None) -> Document:
    """Run one row. A row that fails is a document that says so, for the others go on."""
    host, count = describe(), rounds or row.rounds
    try:
        measured = [_round(row, bench, f"{number + 1} of {count}") for number in range(count)]
        return row_document(row, measured, bench, host)
    except NotThere as missing:
        return row_failed(row, f"not there: {missing}", host)
    except Exception as error:  # noqa: BLE001 - whatever a row's programs did, the other rows are run and this one fails the run
        traceback.print_exc()
        return row_failed(row, f"failed: {type(error).__name__}", host)


def _round(row: Row, bench: Bench, number: str) -> Round:
    """Every side once. Sides come in the row's order, since a later one may repeat what an earlier one did."""
    bench.handed_on.clear()
    measured = {}
    for name, side in row.sides.items():
        began = time.monotonic()
        bench.say(f"{row.name}: round {number}, {name} ...")
        measured[name] = side(bench)
        bench.say(f"{row.name}: round {number}, {name}: {time.monotonic() - began:.0f} s")
    return measured


def run_all(rows: Sequence[Row], given: argparse.Namespace) -> dict[str, Document]:
    """Run these rows; each is written to the file as soon as it is done."""
    made = {}
    for row in rows:
        bench = Bench(dict(given.size), given.scale, say=_say)
        made[row.name] = run(row, bench, given.rounds)
        if given.json:
            _merge(given.json, {row.name: made[row.name]})
        if "sides" in made[row.name]:
            _say(sides(made[row.name]) + "\n")
    return made


def _merge(file: Path, made: dict[str, Document]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    found = {**load(file), **made}
    rows = {row.name: found[row.name] for row in ROWS if row.name in found}
    file.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    draw(rows, file.parent)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _size(text: str) -> tuple[str, int]:
    name, found, value = text.partition("=")
    if not found:
        msg = "write NAME=NUMBER"
        raise argparse.ArgumentTypeError(msg)
    return name, int(value)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help="all of them unless named")
    parser.add_argument("--rounds", type=int, help="of every row, instead of each one's own")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies every size")
    parser.add_argument("--size", type=_size, action="append", default=[], metavar="NAME=NUMBER")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the figures, and plots beside"
    )
    parser.add_argument("--list", action="store_true", help="name the rows and stop")
    given = parser.parse_args(arguments)
    unknown = set(given.rows) - {row.name for row in ROWS}
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    return given


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line names; 1 when a row failed."""
    given = _parse(arguments)
    chosen = [row for row in ROWS if row.name in given.rows or not given.rows]
    if given.list:
        print("\n".join(f"{row.name:14} {row.title}" for row in chosen))
        return 0
    made = run_all(chosen, given)
    print(table(made))
    return int(any(_is_failure(row) for row in made.values()))


def _is_failure(row: dict[str, Any]) -> bool:
    return str(row.get("failed", "")).startswith("failed")


if __name__ == "__main__":
    raise SystemExit(main())
