"""`sailpipe forget`: erase a person, with a receipt."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.confirm import check_agreed
from pipeline.cli.dead_options import WhyOption, YesOption, person
from pipeline.cli.errors import FAILED, BadInput
from pipeline.cli.options import AccountOption, DryRunOption, JsonOption
from pipeline.cli.output import json_result, note, result
from pipeline.cli.progress import open_progress
from pipeline.cli.session import Session, in_session
from pipeline.cli.tables import printable
from pipeline.errors import SailpipeError

if TYPE_CHECKING:
    from pipeline.forget.forgetting import Ask, Forgetting, Plan
    from pipeline.forget.receipt import Receipt, Row
    from pipeline.forget.spaces import Space


def forget(
    identity: Annotated[
        str, typer.Argument(metavar="ID", help="A userId, anonymousId or email address.")
    ],
    also: Annotated[
        list[str] | None,
        typer.Option("--also", metavar="ID", help="A further id of the same person; repeatable."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only look whether anything is there; 1 if so.")
    ] = False,
    at_sailthru: Annotated[
        bool,
        typer.Option("--at-sailthru", help="Also delete the profile there, by its email."),
    ] = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    why: WhyOption = "",
    account: AccountOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Erase a person from everything that is kept here, and show that nothing is left.

    Ids and emails that lead to one another go together; they are shown first. Ends with 1 when something is left.
    """

    if not all(one.strip() for one in (identity, *(also or ()))):
        raise BadInput("The id is empty: give a userId, an anonymousId or an email.")

    async def work(session: Session) -> bool:
        with open_progress("entries, keys and records looked at") as progress:
            doing = _forgetting(session, account, progress.advance)
            plan = await doing.plan(identity, also or ())
        if check:
            return _show_check(account, plan, as_json=as_json)
        _say(account, plan)
        if dry_run:
            _show_dry(account, plan, as_json=as_json)
            return True
        if plan.total or at_sailthru:
            check_agreed("Erase this person?", yes=yes)
        async with _asking(session, account, wanted=at_sailthru) as ask:
            with open_progress("entries, keys and records looked at") as progress:
                doing = _forgetting(session, account, progress.advance)
                receipt = await doing.erase(plan, by=person(), why=why, sailthru=ask)
        _show(receipt, as_json=as_json)
        return receipt.is_whole

    if not in_session(account, work):
        raise typer.Exit(FAILED)


def _forgetting(session: Session, account: str, on_done: Callable[[int], None]) -> Forgetting:
    from pipeline.clock import SystemClock  # noqa: PLC0415 - only this command
    from pipeline.forget.forgetting import Forgetting  # noqa: PLC0415

    said = set[str]()

    def say_once(why: str) -> None:
        if why not in said:
            said.add(why)
            note(f"Waiting: {why} ...")

    rest = session.settings, account, SystemClock()
    return Forgetting(session.redis, *rest, on_done=on_done, on_wait=say_once)


@asynccontextmanager
async def _asking(session: Session, account: str, *, wanted: bool) -> AsyncIterator[Ask | None]:
    """What makes calls at Sailthru, within the limits and behind the gates of all processes."""
    if not wanted:
        yield None
        return
    if session.settings.account(account).dry_run:
        raise SailpipeError(
            "DRY_RUN is set, so that nothing is deleted at Sailthru: leave --at-sailthru out."
        )
    from pipeline.ingest.upstream import Upstream  # noqa: PLC0415 - only with --at-sailthru

    upstream = Upstream(session.settings, session.redis)
    try:
        yield lambda call: upstream.ask(account, call)
    finally:
        await upstream.aclose()


def _say(account: str, plan: Plan) -> None:
    """Who is meant, and what goes."""
    note(f"Account {account}, person {printable(plan.person.ids[0])}")
    for one in plan.person.ids[1:]:
        note(f"  also known as {printable(one)}")
    for one, owner in plan.left_out.items():
        note(f"  not {printable(one)}, which belongs to {printable(owner)} by now")
    for one in plan.unproven:
        note(
            f"  not {printable(one)}: what links it, any visitor of a page could have said; --also takes it"
        )
    for one in plan.holders:
        note(
            f"  an address is remembered of {printable(one)}, too, who stays; erase both with --also"
        )
    for space, found in plan.found.items():
        if found.theirs:
            note(f"  {space.value}: {found.theirs}")
    if plan.named:
        note(f"{plan.named} events or records of other people name this one; they stay.")
    if not plan.total:
        note("Nothing of this person is here.")


def _show_check(account: str, plan: Plan, *, as_json: bool) -> bool:
    if as_json:
        json_result({"account": account, **plan.as_json()})
    elif not plan.total and not plan.is_unfinished:
        result(f"Nothing of this person is in account {account}.")
    else:
        for space, found in plan.found.items():
            if found.theirs:
                result(f"{space.value}: {found.theirs}")
        if plan.is_unfinished:
            result("An erasure of this person has not ended: run it again without --check.")
    return not plan.total and not plan.is_unfinished


def _show_dry(account: str, plan: Plan, *, as_json: bool) -> None:
    if as_json:
        json_result({"account": account, **plan.as_json()})
    else:
        result(f"Would be removed: {plan.total} entries, keys and records.")


def _show(receipt: Receipt, *, as_json: bool) -> None:
    if as_json:
        json_result(receipt.as_json())
        return
    result(f"Person {receipt.person}: {receipt.removed} removed, {receipt.left} left")
    _show_rows(receipt.rows)
    result(f"On disk: {receipt.disk.text}")
    if receipt.sailthru:
        result(f"Sailthru: {receipt.sailthru}")
    if not receipt.is_clean:
        note(
            "Something is left: events of this person still arrive, or a process writes them. Stop these and run it again."
        )
    note("The receipt is in the audit trail: `sailpipe dead audit`.")


def _show_rows(rows: Mapping[Space, Row]) -> None:
    for space, row in rows.items():
        left = f", {row.left} LEFT" if row.left else ""
        named = f", {row.named} of others name the person" if row.named else ""
        result(f"  {space.value:<22}{row.looked:>9} looked at{row.removed:>7} removed{left}{named}")
