"""The question before anything is changed for good."""

from __future__ import annotations

import sys

import typer

from pipeline.cli.errors import FAILED
from pipeline.cli.output import note


def check_agreed(question: str, *, yes: bool, word: str | None = None) -> None:
    """Return when the person agrees, by a yes or by typing `word`; anything else ends the command with 1.

    yes: `--yes` was given, so that nothing is asked.
    """
    if yes:
        return
    hint = "[y/N]" if word is None else f"Type {word} to go on:"
    sys.stderr.write(f"{question} {hint} ")  # typer.confirm would write to stdout, too
    sys.stderr.flush()
    said = sys.stdin.readline().strip()
    if said == word if word is not None else said.lower() in {"y", "yes"}:
        return
    note("Nothing was done. Add --yes to go on without the question.")
    raise typer.Exit(FAILED)
