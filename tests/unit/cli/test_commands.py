"""Commands are known by a line each and loaded when they are meant: what that saves, and that help stays the same."""

from __future__ import annotations

import json

import pytest
import typer

from pipeline.cli.app import app, run
from pipeline.cli.commands import COMMANDS, load
from tests.support.commands import python, sailpipe

SLOW = (
    *("asyncio", "celery", "hiredis", "httptools", "httpx", "importlib.metadata", "pydantic"),
    *("pydantic_core", "redis", "rich", "starlette", "structlog", "uvicorn"),
)
"""Nothing that only lists commands may need one of these."""
ROOT = typer.main.get_group(app)


def loaded_by(code: str) -> set[str]:
    """Which of SLOW a Python process has imported after `code`."""
    shown = f"import json, sys; print(json.dumps([m for m in {SLOW} if m in sys.modules]))"
    said: list[str] = json.loads(python("-c", f"{code}\n{shown}").stdout.splitlines()[-1])
    return set(said)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_the_list_of_commands_imports_no_command_and_no_library_but_typer(
    arguments: list[str],
) -> None:
    """By name of module, since a time would depend on the machine."""
    assert loaded_by(f"from pipeline.cli.app import run; run({arguments})") == set()


@pytest.mark.parametrize(
    ("code", "libraries"),
    [
        ("import pipeline", set()),
        ("import pipeline; pipeline.enqueue", {"hiredis", "pydantic", "pydantic_core", "redis"}),
    ],
)
def test_the_package_imports_its_libraries_at_the_first_use(code: str, libraries: set[str]) -> None:
    """asyncio comes with redis; whatever else would come is not ours to bring."""
    assert loaded_by(code) - {"asyncio", "importlib.metadata"} == libraries


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_of_a_command_is_what_the_command_says_of_itself(name: str) -> None:
    """The line stands in a table, so that it can be shown without the command."""
    assert ROOT.commands[name].get_short_help_str() == load(name).get_short_help_str()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_is_its_own(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And names the command as it was typed."""
    assert run([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: sailpipe {name} ")
    assert " ".join(load(name).help.split()) in " ".join(out.split())


def test_the_version_is_the_installed_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Alone on its line, for scripts."""
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.split(".")[0].isdecimal()


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("sailpipe sta", ["status"]),
        ("sailpipe dead re", ["replay"]),
        ("sailpipe worker --la", ["--lanes"]),
    ],
)
def test_a_shell_is_told_what_a_word_may_become(typed: str, offered: list[str]) -> None:
    """Commands by the table; what is below a command by the command itself."""
    done = sailpipe(
        _SAILPIPE_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=str(typed.count(" "))
    )
    assert done.stdout.decode().split() == offered
