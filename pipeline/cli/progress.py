"""Progress on stderr: a bar that moves in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from pipeline.cli.output import note

if TYPE_CHECKING:
    import rich.progress

LINE_EVERY = 50_000
"""Items between two lines where stderr is no terminal."""


class Progress(Protocol):
    """What a long command reports while it runs."""

    def advance(self, by: int = 1) -> None:
        """So many more items are under way."""

    def hold(self, why: str) -> None:
        """Nothing moves, for this cause."""


@contextmanager
def open_progress(verb: str) -> Iterator[Progress]:
    """Show progress for as long as the block lasts; `verb` says what became of the items."""
    if not sys.stderr.isatty():
        yield _Lines(verb)
        return
    from rich import console, progress  # noqa: PLC0415 - slow to import, and only for terminals

    columns = (
        progress.SpinnerColumn(),
        progress.TextColumn("{task.completed} " + verb),
        progress.TimeElapsedColumn(),
        progress.TextColumn("{task.fields[why]}"),
    )
    with progress.Progress(*columns, console=console.Console(stderr=True), transient=True) as bar:
        yield _Bar(bar, bar.add_task(verb, total=None, why=""))


class _Lines:
    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._done = 0
        self._held = False

    def advance(self, by: int = 1) -> None:
        lines = self._done // LINE_EVERY
        self._done += by
        if self._done // LINE_EVERY > lines:
            self._held = False
            note(f"{self._done} {self._verb} ...")

    def hold(self, why: str) -> None:
        if not self._held:
            note(f"Holding back: {why} ...")
        self._held = True


class _Bar:
    def __init__(self, bar: rich.progress.Progress, task: rich.progress.TaskID) -> None:
        self._bar = bar
        self._task = task

    def advance(self, by: int = 1) -> None:
        self._bar.update(self._task, advance=by, why="")

    def hold(self, why: str) -> None:
        self._bar.update(self._task, why=f"holding back: {why}")
