"""docs/commands.md has every command with its help, as the code has it."""

from __future__ import annotations

from typing import Any

from pipeline.cli.commands import COMMANDS, load
from tests.docs import commands_page


def test_the_page_is_what_the_commands_say_of_themselves() -> None:
    """`python -m tests.docs.commands_page` writes it anew."""
    assert commands_page.PAGE.read_text() == commands_page.page()


def test_every_option_of_every_command_says_what_it_is() -> None:
    """What its help does not say, the page cannot."""
    silent = [f"{name} {one.opts[0]}" for name in COMMANDS for one in _options(load(name))]
    assert silent == []


def _options(command: Any) -> list[Any]:
    """Those of a command and of the ones below it that have no help."""
    below = getattr(command, "commands", {}).values()
    found = [one for each in below for one in _options(each)]
    options = (one for one in command.params if one.param_type_name == "option")
    return [*found, *(one for one in options if not one.help and not one.hidden)]
