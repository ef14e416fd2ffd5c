"""Options that commands share, and the settings they all begin with."""

from __future__ import annotations

import os
from typing import Annotated, TypeAlias

import typer

from pipeline.cli.completion import accounts
from pipeline.roles import Role
from pipeline.settings import Settings, load_settings

AccountOption: TypeAlias = Annotated[
    str, typer.Option("--account", help="The account (brand).", autocompletion=accounts)
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
DryRunOption: TypeAlias = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done and stop.")
]
RoleOption: TypeAlias = Annotated[
    Role, typer.Option("--role", help="browser for what pages have sent: it may do less.")
]
HostOption: TypeAlias = Annotated[str, typer.Option("--host", help="Address to listen on.")]
PortOption: TypeAlias = Annotated[
    int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")
]


def settings_here(account: str | None = None) -> Settings:
    """The settings of this environment and folder.

    Raises:
        ConfigError: one is wrong, or `account` does not exist.
    """
    settings = load_settings(os.environ)
    if account is not None:
        settings.account(account)
    return settings
