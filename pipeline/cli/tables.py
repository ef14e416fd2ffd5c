"""Tables for people, on stdout. Text from events is shown, but no terminal code in it takes effect."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

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


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows under headings; numbers are right-aligned."""
    from rich import box, console, table  # noqa: PLC0415 - slow to import, and only for people

    made = [list(row) for row in rows]
    shown = table.Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(columns):
        is_number = any(isinstance(row[number], (int, float)) for row in made)
        shown.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in made:
        shown.add_row(*map(printable, row))
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    console.Console(file=sys.stdout, markup=False, highlight=False, emoji=False, width=width).print(
        shown
    )


def show_counts(title: str, counts: Iterable[tuple[str, int]]) -> None:
    """`title: name 3, other 5` on one line; nothing when there is nothing to count."""
    text = ", ".join(f"{printable(name)} {count}" for name, count in counts)
    if text:
        result(f"{title}: {text}")


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
