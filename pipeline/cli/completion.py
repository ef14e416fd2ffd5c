"""What a shell offers for the values of options, beyond those that Typer knows from their types."""

from __future__ import annotations

import os
from collections.abc import Iterable

from pipeline.lanes import Lane


def accounts(incomplete: str) -> list[str]:
    """The accounts of the settings here; none when a setting is wrong, which the command itself will say."""
    from pipeline.errors import ConfigError  # noqa: PLC0415 - settings are slow to import
    from pipeline.settings import load_settings  # noqa: PLC0415

    try:
        return _beginning(load_settings(os.environ).accounts, incomplete)
    except ConfigError:
        return []


def causes(incomplete: str) -> list[str]:
    """What events wait for."""
    from pipeline.status.mailboxes import CAUSES  # noqa: PLC0415 - only `waiting`

    return _beginning(CAUSES, incomplete)


def lanes(incomplete: str) -> list[str]:
    """The next of several lanes with commas between them."""
    before, comma, last = incomplete.rpartition(",")
    left = set(Lane) - {Lane(name) for name in before.split(",") if name in set(Lane)}
    return [f"{before}{comma}{lane}" for lane in Lane if lane in left and lane.startswith(last)]


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
