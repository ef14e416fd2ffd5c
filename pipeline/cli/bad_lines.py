"""Bad lines of imports: reported with file and number, and collected as they are, to be mended and enqueued again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.cli.errors import BadInput
from pipeline.cli.event_files import STDIN, Line, can_be_read_twice
from pipeline.cli.output import note

SHOWN = 20
"""Bad lines that are reported one by one."""


class BadLines:
    """Writes the bad lines of FILE into FILE.bad, or those of all files into one. What has none is not written."""

    def __init__(self, into: str | None) -> None:
        """`into`: the one file; None for one beside each that is read. Those of stdin and pipes have no place then."""
        self.count = 0
        self.files: list[str] = []
        self._into = into
        self._lost: set[str] = set()

    def refuse_inputs(self, names: Sequence[str]) -> None:
        """Raises BadInput if a file that is to be read would be written."""
        inputs = {Path(name).resolve() for name in names if can_be_read_twice(name)}
        for name in names:
            target = self._target(name)
            if target is not None and Path(target).resolve() in inputs:
                raise BadInput(
                    f"{target} is to be read, and bad lines would be written there: name another with --bad."
                )

    def add(self, name: str, line: Line, detail: str) -> None:
        """One of the file `name`, and what is wrong with it."""
        self.count += 1
        if self.count <= SHOWN:
            note(f"{'stdin' if name == STDIN else name}:{line.number}: {detail}")
        target = self._target(name)
        if target is not None and target not in self._lost:
            self._collect(target, line)

    def report(self) -> None:
        """On stderr: how many more there are, and where."""
        if self.count > SHOWN:
            note(f"... and {self.count - SHOWN} more bad lines.")
        for name in self.files:
            note(f"Bad lines are collected in {name}.")

    def _target(self, name: str) -> str | None:
        if self._into is not None:
            return self._into
        return f"{name}.bad" if can_be_read_twice(name) else None

    def _collect(self, target: str, line: Line) -> None:
        text = line.raw.replace(b"\n", b" ")  # an element of an array may stand on several lines
        try:
            with Path(target).open("ab" if target in self.files else "wb") as file:
                file.write(text + b"\n")
        except OSError as error:
            self._lost.add(target)
            note(
                f"Bad lines cannot be written to {target}: {error.strerror}. Name another by --bad."
            )
            return
        if target not in self.files:
            self.files.append(target)
