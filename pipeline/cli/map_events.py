"""`sailpipe map`: which calls an event would become. Needs no Redis, no key, and sends nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.errors import BadInput
from pipeline.cli.event_files import open_lines
from pipeline.cli.options import AccountOption, JsonOption, settings_here
from pipeline.cli.output import json_result


def map_events(
    file: Annotated[str, typer.Argument(help="JSON lines or a JSON array; - is stdin.")] = "-",
    profile: Annotated[
        Path | None, typer.Option(help="JSON file: what GET /user would answer.")
    ] = None,
    account: AccountOption = "default",
    _always: JsonOption = True,
) -> None:
    """Show the calls each event would become, one line per input, and send nothing."""
    from pipeline.mapping import dry_run  # noqa: PLC0415 - the slowest import of this command

    settings = settings_here(account).account(account)
    known = _read_profile(profile) if profile else None
    for line in open_lines(file):
        json_result(dry_run(line.raw, settings, known))
        sys.stdout.flush()


def _read_profile(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise BadInput(f"{path} is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise BadInput(f"{path} is not a JSON object: save what GET /user answered.")
    return found
