"""`sailpipe doctor`: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from pipeline.cli.checks import Check, Verdict
from pipeline.cli.checks_processes import check_processes
from pipeline.cli.checks_redis import check_redis
from pipeline.cli.checks_target import check_targets
from pipeline.cli.errors import FAILED
from pipeline.cli.options import JsonOption, settings_here
from pipeline.cli.output import json_result, result
from pipeline.errors import ConfigError


def doctor(
    live: Annotated[
        str | None,
        typer.Option(metavar="EMAIL", help="Also write this profile at Sailthru and read it back."),
    ] = None,
    account: Annotated[str | None, typer.Option(help="Check this account alone.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check settings, Redis, processes and credentials. Ends with 1 when something must be mended."""
    checks = asyncio.run(_run(account, live))
    for check in checks:
        if as_json:
            json_result(check.as_json())
        else:
            result(check.as_text())
    if any(check.verdict is Verdict.FAIL for check in checks):
        raise typer.Exit(FAILED)


async def _run(account: str | None, live: str | None) -> list[Check]:
    from pipeline.cli.checks_sailthru import check_account, check_live  # noqa: PLC0415 - httpx

    try:
        settings = settings_here(account)
    except ConfigError as error:
        return [Check("settings", Verdict.FAIL, str(error))]
    checks = [Check("settings", Verdict.OK, f"read; target is {settings.target}")]
    checks += await check_redis(settings)
    checks += await check_processes(settings)
    chosen = [account] if account else sorted(settings.accounts)
    checks += await check_targets(settings, chosen)
    for one in chosen:
        checks += await check_account(settings, one)
        if live is not None:
            checks += await check_live(settings, one, live)
    return checks
