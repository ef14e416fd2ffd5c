"""`sailpipe doctor`: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from pipeline.addresses import resolve_redis_url
from pipeline.checks.check import Check, Verdict
from pipeline.cli.confirm import check_agreed
from pipeline.cli.dead_options import YesOption
from pipeline.cli.errors import FAILED, BadInput
from pipeline.cli.options import JsonOption, settings_here
from pipeline.cli.output import json_result, note, result
from pipeline.clock import SystemClock
from pipeline.errors import ConfigError
from pipeline.observe.logs import set_up_logging
from pipeline.settings import Settings
from pipeline.storage.redis_client import open_async_redis, without_password
from pipeline.text import is_email


def doctor(
    live: Annotated[
        str | None,
        typer.Option(
            metavar="EMAIL",
            help="Also ask Sailthru what is not documented (docs/unverified.md), on a profile of this email, which must"
            " not exist yet.",
        ),
    ] = None,
    orders: Annotated[
        bool, typer.Option("--orders", help="With --live: also make three orders of a cent.")
    ] = False,
    yes: YesOption = False,
    account: Annotated[str | None, typer.Option(help="Check this account alone.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check settings, Redis, processes and credentials. Ends with 1 when something must be mended."""
    if live is not None:
        set_up_logging()  # what the limiter tells of goes to stderr
        _agree(account, live, orders=orders, yes=yes)
    checks = asyncio.run(_run(account, live, orders=orders))
    for check in checks:
        if as_json:
            json_result(check.as_json())
        else:
            result(check.as_text())
    if any(check.verdict is Verdict.FAIL for check in checks):
        raise typer.Exit(FAILED)


def _agree(account: str | None, email: str, *, orders: bool, yes: bool) -> None:
    """Say what will be asked of a real account, and ask first. The sandbox needs no question."""
    from pipeline.cli.checks_live import announced, groups_of  # noqa: PLC0415 - httpx

    if not is_email(email):
        raise BadInput(f"--live takes an email: {email} is none.")
    settings = settings_here(account)
    chosen = [account] if account else sorted(settings.accounts)
    real = [one for one in chosen if settings.account(one).target == "live"]
    for one in real:
        for line in announced(settings.account(one), email, groups_of(orders=orders)):
            note(line)
    if real:
        check_agreed("Ask it now?", yes=yes)


async def _run(account: str | None, live: str | None, *, orders: bool) -> list[Check]:
    from pipeline.checks.credentials import check_credentials, check_settings  # noqa: PLC0415 - httpx
    from pipeline.checks.local import check_here  # noqa: PLC0415 - httpx

    try:
        settings = settings_here(account)
    except ConfigError as error:
        return [Check("settings", Verdict.FAIL, str(error))]
    checks = [Check("settings", Verdict.OK, f"read; target is {settings.target}")]
    chosen = [account] if account else sorted(settings.accounts)
    try:
        url = resolve_redis_url(settings)
    except ConfigError as error:
        checks.append(Check("redis", Verdict.FAIL, str(error)))
    else:
        async with open_async_redis(url) as client:
            checks += await check_here(client, without_password(url), settings, chosen)
    for one in chosen:
        checks += check_settings(settings.account(one))
        checks.append(await check_credentials(settings, one))
        if live is not None:
            checks += await _ask(settings, one, live, orders=orders)
    return checks


async def _ask(settings: Settings, account: str, email: str, *, orders: bool) -> list[Check]:
    from pipeline.cli.checks_live import check_live, groups_of  # noqa: PLC0415 - httpx

    return await check_live(settings, account, email, groups_of(orders=orders), SystemClock())
