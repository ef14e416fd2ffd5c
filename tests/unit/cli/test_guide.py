"""Every command has help, an example that it understands, a heading, and the options that its kind promises."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.app import run
from pipeline.cli.commands import COMMANDS, load
from pipeline.cli.guide import EXAMPLES, HEADINGS, LOOK, RUN
from tests.support.commands import sailpipe


def walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """A command and all below it, each with the words that call it."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from walk(below, f"{path} {name}")


TREE = {path: command for name in COMMANDS for path, command in walk(load(name), name)}
WRITE_JSON = {"map", "dead export", "metrics"}
"""What they write is for programs in any case: JSON lines, and Prometheus' text."""
DRAWN = {"top"}
"""What draws on a terminal; programs read `status --json`."""
CHANGE_FOR_GOOD = {"reset", "adopt", "forget", "dead drop", "dead fix", "dead replay", "waiting"}


def options(path: str) -> set[str]:
    return {option for param in TREE[path].params for option in param.opts}


def test_each_command_has_one_heading_and_an_example() -> None:
    """A command that is added without either is named here."""
    headed = [name for names in HEADINGS.values() for name in names]
    assert sorted(headed) == sorted(TREE)
    assert EXAMPLES.keys() - {""} == TREE.keys()


@pytest.mark.parametrize("path", TREE)
def test_help_says_what_a_command_and_each_of_its_options_are_for(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is cut, and the example stands as it may be copied."""
    assert run([*path.split(), "-h"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: sailpipe {path} ")
    assert not re.search(r"\w\.\.\.$", out.partition("\n")[2], re.MULTILINE)
    assert all(f"\n    {line}" in out for line in EXAMPLES[path])
    shown = [param for param in TREE[path].params if not getattr(param, "hidden", False)]
    assert [param.name for param in shown if not getattr(param, "help", None)] == []


def test_the_list_of_commands_cuts_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "..." not in said.removeprefix("Usage: sailpipe [OPTIONS] COMMAND [ARGS]...")
    assert [one for one in HEADINGS if f"{one}:" not in said] == []
    lines = [summary.partition(". ")[0].rstrip(".") for _, summary in COMMANDS.values()]
    assert [line for line in lines if line not in said] == []


@pytest.mark.parametrize("line", sorted({line for lines in EXAMPLES.values() for line in lines}))
def test_an_example_is_understood_by_its_command(line: str) -> None:
    """Its command exists, with these options and arguments."""
    shell = shlex.shlex(line, posix=True, punctuation_chars=True)
    shell.whitespace_split = True
    words = list(shell)
    start = words.index("sailpipe") + 1
    end = next((n for n in range(start, len(words)) if set(words[n]) <= set("|<>&")), len(words))
    name, *arguments = words[start:end]
    command = load(name)
    while arguments and arguments[0] in getattr(command, "commands", {}):
        command = command.commands[arguments.pop(0)]
    assert command.make_context(name, arguments).params is not None


@pytest.mark.parametrize("path", TREE)
def test_every_command_takes_the_options_of_its_kind(path: str) -> None:
    """--account unless it is a process of all accounts; --json where it reads; a way to see first what cannot be undone."""
    if path not in {*HEADINGS[RUN], "metrics", "dead"}:
        assert "--account" in options(path)
    if path in HEADINGS[LOOK] and path not in WRITE_JSON | DRAWN:
        assert "--json" in options(path)
    if path in CHANGE_FOR_GOOD:
        assert {"--dry-run", "--yes"} <= options(path)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("sailpipe pause --lane pu", ["purchase"]),
        ("sailpipe dead list --reason miss", ["missing_user_id", "missing_email"]),
        ("sailpipe dead mark 3f9c ack", ["acknowledged"]),
        ("sailpipe worker --lanes user,p", ["user,purchase", "user,page"]),
        ("sailpipe waiting --for e", ["email"]),
        ("sailpipe status --account d", ["default"]),
    ],
)
def test_a_shell_is_told_which_values_there_are(typed: str, offered: list[str]) -> None:
    done = sailpipe(
        _SAILPIPE_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=str(typed.count(" "))
    )
    assert done.stdout.decode().split() == offered


BASH = """
eval "$(sailpipe --show-completion bash)"
COMP_WORDS=(sailpipe dead re) COMP_CWORD=2
_sailpipe_completion sailpipe
printf '%s\\n' "${COMPREPLY[@]}"
"""
ZSH = """
compdef() { true }
_arguments() { print -r -- "$@" }
eval "$(sailpipe --show-completion zsh)"
words=(sailpipe dead re) CURRENT=3
_sailpipe_completion
"""


@pytest.mark.parametrize(("shell", "script"), [("bash", BASH), ("zsh", ZSH)])
def test_a_shell_can_load_its_completion(shell: str, script: str) -> None:
    """What `--show-completion` prints is run in the shell itself."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} here")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(  # noqa: S603 - a shell of this machine
        [program, "-c", script],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert re.findall(r"\w+", done.stdout.partition("((")[2] or done.stdout)[:1] == ["replay"], done
