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
from pipeline.cli.output import json_result, note
from pipeline.clock import SystemClock
from pipeline.settings import AccountSettings
from pipeline.times import read_time

DECISIVE = (
    *(
        "customer_id",
        "track_pages",
        "track_screens",
        "mapping",
        "default_list",
        "optout",
        "max_age",
    ),
    *("reminder_template", "reminder_time", "clear_cart_after_hours", "cart_item_id"),
    "cart_users",
    *("product_base_url", "zero_decimal_prices", "keysconflict", "var_names", "pii_properties"),
    "allow_delete",
)


def map_events(
    file: Annotated[str, typer.Argument(help="JSON lines or a JSON array; - is stdin.")] = "-",
    profile: Annotated[
        Path | None, typer.Option(help="JSON file: what GET /user would answer.")
    ] = None,
    account: AccountOption = "default",
    now: Annotated[
        str | None,
        typer.Option(
            help="As if it were this time, such as 2026-11-27T09:00Z; MAX_AGE counts to it."
        ),
    ] = None,
    _always: JsonOption = True,
) -> None:
    """Show the calls each event would become, one line per input, and send nothing."""
    from pipeline.mapping import dry_run  # noqa: PLC0415 - the slowest import of this command

    settings = settings_here(account).account(account)
    known = _read_profile(profile) if profile else None
    at = SystemClock().now() if now is None else _read_now(now)
    if settings.target == "sandbox":
        note(f"No API key is set. Assumed: {_assumed(settings)}.")
    for line in open_lines(file):
        json_result(dry_run(line.raw, settings, known, at))
        sys.stdout.flush()


def _assumed(settings: AccountSettings) -> str:
    """The settings that decide which calls an event becomes; those that are not set only by name."""
    given = settings.model_dump(include=set(DECISIVE), mode="json")
    shown = [f"{name.upper()}={_shown(given[name])}" for name in DECISIVE if given[name]]
    unset = [name.upper() for name in DECISIVE if given[name] in (None, [])]
    off = [name.upper() for name in DECISIVE if given[name] is False]
    return f"{', '.join(shown)}; off: {', '.join(off)}; not set: {', '.join(unset)}"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{name}={seconds:g}s" for name, seconds in value.items())
    return ",".join(sorted(value)) if isinstance(value, list) else str(value).lower()


def _read_now(text: str) -> float:
    at = read_time(text)
    if at is None:
        raise BadInput("--now is not a time: write 2026-11-27T09:00:00Z, say.")
    return at.timestamp()


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
