"""`sailpipe limits`: what each kind of call is limited to, what sets that limit, and the operator's own limits."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, TypeAlias

import typer
from pydantic import TypeAdapter, ValidationError

from pipeline.cli.completion import accounts
from pipeline.cli.dead_options import WhyOption, person
from pipeline.cli.errors import BadInput
from pipeline.cli.guide import GuidedGroup
from pipeline.cli.options import AccountOption, JsonOption, settings_here
from pipeline.cli.output import json_result, note, result
from pipeline.cli.session import Session, in_session
from pipeline.cli.tables import show_table
from pipeline.clock import iso
from pipeline.deadletters.audit import Act, AuditTrail
from pipeline.lanes import KNOWN_BUCKETS
from pipeline.ratelimit.limiter import Limiter
from pipeline.ratelimit.slots import Usage, default_limit
from pipeline.ratelimit.store_redis import RedisSlotStore
from pipeline.settings.values import Limits

app = typer.Typer(cls=GuidedGroup, rich_markup_mode=None)

BucketArgument: TypeAlias = Annotated[str, typer.Argument(help='Method and path: "POST /event".')]
OwnAccountOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--account", help="The account (brand).", autocompletion=accounts),
]
_LIMITS: TypeAdapter[dict[str, float]] = TypeAdapter(Limits)


@app.callback(invoke_without_command=True)
def limits(
    context: typer.Context, account: AccountOption = "default", as_json: JsonOption = False
) -> None:
    """Show or change the limits, in calls per second."""
    context.obj = account
    if context.invoked_subcommand is None:
        _show(account, as_json=as_json)


@app.command("set")
def set_limit(
    context: typer.Context,
    bucket: BucketArgument,
    calls_per_s: Annotated[float, typer.Argument(help="Calls per second.")],
    why: WhyOption = "",
    account: OwnAccountOption = None,
) -> None:
    """Limit one kind of call, in every process from its next call on."""
    chosen = account or str(context.obj)
    name, limit = _checked(bucket, calls_per_s, chosen)
    if limit > default_limit(name):
        note(f"Sailthru allows {default_limit(name):g}/s by default: is yours raised?")
    _set(chosen, name, limit, Act(person(), "limit", f"{name} to {limit:g} calls/s", 1, why))
    result(f"{name} is limited to {limit:g} calls/s.")


@app.command("unset")
def unset_limit(
    context: typer.Context,
    bucket: BucketArgument,
    why: WhyOption = "",
    account: OwnAccountOption = None,
) -> None:
    """Go back to what the settings, Sailthru's headers or the defaults say."""
    chosen = account or str(context.obj)
    name, _ = _checked(bucket, 1.0, chosen)
    _set(chosen, name, None, Act(person(), "unlimit", name, 1, why))
    now = next(usage for usage in _usage(chosen) if usage.bucket == name)
    result(f"{name} is limited to {now.limit:g} calls/s ({now.source}).")


def _show(account: str, *, as_json: bool) -> None:
    found = _usage(account)
    if as_json:
        for usage in found:
            json_result(_as_json(usage))
        return
    columns = ("bucket", "calls/s", "set by", "calls in the last minute", "closed until")
    rows = [(u.bucket, u.limit, u.source, u.used, _as_json(u)["closed_until"]) for u in found]
    show_table(columns, rows)


def _as_json(usage: Usage) -> dict[str, Any]:
    closed = usage.closed_until
    return asdict(usage) | {"closed_until": None if closed is None else iso(int(closed * 1000))}


def _usage(account: str) -> list[Usage]:
    async def work(session: Session) -> list[Usage]:
        return await _limiter(session, account).usage(account)

    return in_session(account, work)


def _set(account: str, bucket: str, limit: float | None, act: Act) -> None:
    async def work(session: Session) -> None:
        await _limiter(session, account).set_limit(account, bucket, limit)
        await AuditTrail(session.redis, account).record(act)

    in_session(account, work)


def _limiter(session: Session, account: str) -> Limiter:
    settings = session.settings.account(account)
    return Limiter(RedisSlotStore(session.redis), {account: settings.limits})


def _checked(bucket: str, calls_per_s: float, account: str) -> tuple[str, float]:
    """The bucket as it is spelt here, and its limit. Raises BadInput."""
    try:
        [(name, limit)] = _LIMITS.validate_python({bucket: calls_per_s}).items()
    except ValidationError as error:
        raise BadInput(f"{error.errors()[0]['msg'].removeprefix('Value error, ')}.") from None
    known = dict.fromkeys([*KNOWN_BUCKETS, *settings_here(account).account(account).limits])
    if name not in known:
        raise BadInput(f"sailpipe makes no call {name}: limit one of {', '.join(known)}.")
    return name, limit
