"""Tables for people, on stdout. Text from events is shown, but no terminal code in it takes effect."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from pipeline.cli.output import result

PIPE_WIDTH = 200
"""Width where stdout is no terminal: large, so that grep finds whole lines."""


def printable(value: object) -> str:
    """Text without anything a terminal would act on; nothing is `-`."""
    if value is None or value == "":
        return "-"
    return "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(value)
    )


def show_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    whole: Collection[str] | None = None,
) -> None:
    """Rows under headings; numbers are right-aligned.

    whole: columns of which no character is lost or folded; the others end with an ellipsis where the line is too
        short, so that a row is one line. None folds what is too long.
    """
    from rich import box, console, table, text  # noqa: PLC0415 - slow to import, and only for people

    made = [list(row) for row in rows]
    shown = table.Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(columns):
        is_number = any(isinstance(row[number], (int, float)) for row in made)
        is_whole = whole is not None and name in whole
        justify: Literal["left", "right"] = "right" if is_number else "left"
        heading = name if whole is None else text.Text(name, no_wrap=True, overflow="ellipsis")
        shown.add_column(heading, justify=justify, overflow="fold", no_wrap=is_whole)
    for row in made:
        cells = map(printable, row)
        if whole is None:
            shown.add_row(*cells)
        else:
            shown.add_row(*(text.Text(one, no_wrap=True, overflow="ellipsis") for one in cells))
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    console.Console(file=sys.stdout, markup=False, highlight=False, emoji=False, width=width).print(
        shown
    )


def show_counts(title: str, counts: Iterable[tuple[str, int]]) -> None:
    """`title: name 3, other 5` on one line; nothing when there is nothing to count."""
    text = ", ".join(f"{printable(name)} {count}" for name, count in counts)
    if text:
        result(f"{title}: {text}")


def line_width() -> int:
    """Characters that a row may have."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else PIPE_WIDTH


def show_tsv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows under headings for a program: tabs between the cells, which have none; nothing is an empty cell."""
    result("\t".join(columns))
    for row in rows:
        result("\t".join("" if one is None else " ".join(printable(one).split()) for one in row))


def ago(seconds: float) -> str:
    """How long ago in one unit: `4s ago`, `5m ago`, `3d ago`."""
    return f"{age(max(0.0, seconds)).partition(' ')[0]} ago"


def age(seconds: float | None) -> str:
    """A duration in its largest two units: `3d 4h`, `12m 5s`, `4s`."""
    if seconds is None:
        return "-"
    left = int(seconds)
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])
