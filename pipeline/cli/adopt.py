"""`sailpipe adopt`: take over what waits for another target."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from pipeline.cli.confirm import check_agreed
from pipeline.cli.dead_options import WhyOption, YesOption, person, time_ms
from pipeline.cli.errors import BadInput
from pipeline.cli.options import AccountOption, DryRunOption
from pipeline.cli.output import note, result
from pipeline.cli.progress import open_progress
from pipeline.cli.session import Session, in_session
from pipeline.cli.trace import at, counted
from pipeline.clock import SystemClock, iso
from pipeline.deadletters.audit import Act, AuditTrail
from pipeline.errors import SailpipeError
from pipeline.ownership.keyspace import survey
from pipeline.status.owners import Standing, read_standings


def adopt(
    account: AccountOption = "default",
    yes: YesOption = False,
    why: WhyOption = "",
    dry_run: DryRunOption = False,
    sent_before: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Another program has sent what was accepted before then: it is removed, and its ids still drop repeats.",
        ),
    ] = None,
) -> None:
    """Deliver what waits for another target to the one of these settings.

    Events, dead letters and who is who are kept; carts, merges, repeats and closed gates are forgotten.
    """
    before = None if sent_before is None else _past("--sent-before", sent_before)

    async def work(session: Session) -> None:
        from pipeline.ownership import adopt as adopting  # noqa: PLC0415 - only this command

        standing = (await read_standings(session.redis, session.settings))[account]
        if not _can_be_adopted(standing):
            return
        kinds = await survey(session.redis, account)
        note(
            f"Account {account} belongs to {standing.owner.target}, and is adopted by {standing.target}."
        )
        note(f"Kept: {_kept(standing, kinds)}.")
        ids = "" if before is not None else ", and the ids of what was sent"
        note(f"Forgotten: {kinds['cart']} carts, merged profiles, closed gates{ids}.")
        old = 0
        if before is not None:
            await adopting.check_split(session.redis, account, before)
            old = await adopting.count_before(session.redis, account, before)
            note(
                f"Removed: {counted(old, 'event', 'events')} that waited since before {at(iso(before))} UTC."
            )
        if dry_run:
            result(f"Would be adopted: {_numbers(standing, old)}.")
            return
        check_agreed(f"Deliver them to {standing.target}?", yes=yes)
        with open_progress("keys and mailboxes adopted") as progress:
            old = await adopting.adopt(
                session.redis, account, standing.target, progress.advance, sent_before=before
            )
        what = f"from {standing.owner.target or 'no target'} to {standing.target}"
        act = Act(person(), "adopt", what, standing.waiting - old, why)
        await AuditTrail(session.redis, account).record(act)
        result(f"Adopted: {_numbers(standing, old)}.")

    in_session(account, work)


def _can_be_adopted(standing: Standing) -> bool:
    """False, with a note, when there is nothing to do. Raises SailpipeError when a reset comes first."""
    owner = standing.owner
    if owner.unfinished == "reset":
        raise SailpipeError(f"{standing.why}: {standing.fix}.")
    if owner.unfinished is None and owner.target is None:
        note(
            f"Nothing of account {standing.account} was delivered yet: the next target that delivers has it."
        )
        return False
    if owner.lets(standing.target):
        note(f"Account {standing.account} belongs to {owner.target} already.")
        return False
    return True


def _past(option: str, text: str) -> int:
    """A time that has been, in Unix ms. Raises BadInput."""
    ms = time_ms(option, text)
    if ms > SystemClock().now() * 1000:
        raise BadInput(f"{option}: {text} has not come yet.")
    return ms


def _numbers(standing: Standing, left_out: int = 0) -> str:
    return f"{standing.waiting - left_out} events, {standing.letters} dead letters"


def _kept(standing: Standing, kinds: Counter[str]) -> str:
    return f"{_numbers(standing)}, what is known of {kinds['user']} users"
