"""`sailpipe calls`: what a dry run would have sent to Sailthru."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Annotated

import typer

from pipeline.cli.confirm import check_agreed
from pipeline.cli.dead_options import YesOption, time_ms
from pipeline.cli.errors import BadInput
from pipeline.cli.options import AccountOption, DryRunOption, JsonOption
from pipeline.cli.output import json_result, note, result
from pipeline.cli.session import Session, in_session
from pipeline.cli.tables import printable
from pipeline.cli.trace import at, counted
from pipeline.deadletters.filters import is_endpoint
from pipeline.dryrun.calls import KeptCall, KeptCalls

FOLLOW_EVERY_S = 0.5


def calls(
    user: Annotated[
        str | None, typer.Option(help="Only those about this userId, anonymousId or email.")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="Only those to this endpoint: /user, POST /purchase.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only those of the last 30m, 2h, 7d, or since a time.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with those that come, until Ctrl-C.")
    ] = False,
    clear: Annotated[bool, typer.Option("--clear", help="Forget all that are kept.")] = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    account: AccountOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Show the calls that a dry run would have made, in their order.

    They are kept while SAILPIPE_DRY_RUN is set: the latest 100,000, for a week, and fewer while Redis is short of memory.
    """
    if clear and (user or endpoint or since or follow):
        raise BadInput("--clear forgets all calls of the account: it takes no filter.")
    after = "" if since is None else str(time_ms("--since", since))

    async def work(session: Session) -> None:
        kept = KeptCalls(session.redis, account)
        if clear:
            await _clear(kept, yes=yes, dry_run=dry_run)
            return
        last = after
        while True:
            async for one in kept.read(last):
                last = one.at
                if _is_meant(one, user, endpoint):
                    _show(one, account, as_json=as_json)
            if not follow:
                break
            sys.stdout.flush()
            await asyncio.sleep(FOLLOW_EVERY_S)
        if last == after and not session.settings.account(account).dry_run:
            note(f"No calls are kept: account {account} is no dry run (SAILPIPE_DRY_RUN).")

    try:
        in_session(account, work)
    except KeyboardInterrupt:
        return


async def _clear(kept: KeptCalls, *, yes: bool, dry_run: bool) -> None:
    count = counted(await kept.count(), "call", "calls")
    if dry_run:
        result(f"Would be forgotten: {count}.")
        return
    note(f"Kept: {count}.")
    check_agreed("Forget them?", yes=yes)
    await kept.clear()
    result(f"Forgotten: {count}.")


def _is_meant(one: KeptCall, user: str | None, endpoint: str | None) -> bool:
    if user is not None and not one.is_about(user):
        return False
    return endpoint is None or is_endpoint(endpoint, one.call.bucket)


def _show(one: KeptCall, account: str, *, as_json: bool) -> None:
    line = one.as_json(account)
    if as_json:
        json_result(line)
        return
    params = json.dumps(line["params"], ensure_ascii=False, separators=(",", ":"))
    ids = ",".join(one.ids) or "-"
    result(f"{at(line['time'])}  {one.call.bucket}  {printable(ids)}  {printable(params)}")
