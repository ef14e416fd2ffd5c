"""docs/commands.md, made from the commands themselves. `python -m tests.docs.commands_page` writes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer._click.core import Context
from typer.core import TyperGroup

from pipeline.cli.commands import COMMANDS, load
from pipeline.cli.errors import DONE, FAILED, WRONG_USAGE

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"
WIDTH = 100
"""Columns of the help texts on the page."""
_HEAD = f"""# Commands

Every command, as `sailpipe COMMAND --help` describes it. This page is generated (`python -m tests.docs.commands_page`).
[operating.md](operating.md) says which of them answers which question, and [howto/](README.md) which do a job together.

Results go to stdout, everything else to stderr. A command that can show a table prints JSON lines with `--json`; keys are
added, never renamed. What cannot be undone asks first, unless it gets `--yes`, and shows with `--dry-run` what it would do.

| exit status | means |
|---|---|
| {DONE} | done |
| {FAILED} | it could not be done, and a sentence on stderr says why; or the answer is no (`status --check`, `doctor`, `trace`, `user`) |
| {WRONG_USAGE} | wrong usage, a wrong setting, or bad input |

Every command reads the [settings](settings.md) of the environment and of the folder it is called in, and finds an `up` that
runs there.
"""


def page() -> str:
    """The page as it should be."""
    parts = [_HEAD]
    for name in COMMANDS:
        parts += [_section(path, text) for path, text in helps(name)]
    return "\n".join(parts)


def helps(name: str) -> Iterator[tuple[str, str]]:
    """The words of a command and those below it, each with its help text."""
    yield from _helps(load(name), name, None)


def _helps(command: Any, name: str, parent: Context | None) -> Iterator[tuple[str, str]]:
    settings = {"help_option_names": ["--help", "-h"], "terminal_width": WIDTH}
    shown = name if parent else f"sailpipe {name}"
    context = command.context_class(
        command, info_name=shown, parent=parent, max_content_width=WIDTH, **settings
    )
    yield context.command_path, command.get_help(context)
    if isinstance(command, TyperGroup):
        for below in command.list_commands(context):
            yield from _helps(command.get_command(context, below), below, context)


def _section(path: str, text: str) -> str:
    level = "##" if path.count(" ") == 1 else "###"
    lines = "\n".join(line.rstrip() for line in text.strip().splitlines())
    return f"{level} `{path}`\n\n```text\n{lines}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page())
