"""`sailpipe adopt`: take over what waits for another target."""

from __future__ import annotations

from collections import Counter

from pipeline.cli.confirm import check_agreed
from pipeline.cli.dead_options import YesOption
from pipeline.cli.options import AccountOption, DryRunOption
from pipeline.cli.output import note, result
from pipeline.cli.progress import open_progress
from pipeline.cli.session import Session, in_session
from pipeline.errors import SailpipeError
from pipeline.ownership.keyspace import survey
from pipeline.status.owners import Standing, read_standings


def adopt(
    account: AccountOption = "default", yes: YesOption = False, dry_run: DryRunOption = False
) -> None:
    """Deliver what waits for another target to the one of these settings.

    Events, dead letters and who is who are kept; carts, merges, repeats and closed gates are forgotten.
    """

    async def work(session: Session) -> None:
        from pipeline.ownership.adopt import adopt as take_over  # noqa: PLC0415 - only this command

        standing = (await read_standings(session.redis, session.settings))[account]
        if not _can_be_adopted(standing):
            return
        kinds = await survey(session.redis, account)
        note(
            f"Account {account} belongs to {standing.owner.target}, and is adopted by {standing.target}."
        )
        note(f"Kept: {_kept(standing, kinds)}.")
        note(
            f"Forgotten: {kinds['cart']} carts, merged profiles, closed gates, and the ids of what was sent."
        )
        if dry_run:
            result(f"Would be adopted: {_numbers(standing)}.")
            return
        check_agreed(f"Deliver them to {standing.target}?", yes=yes)
        with open_progress("keys and mailboxes adopted") as progress:
            await take_over(session.redis, account, standing.target, progress.advance)
        result(f"Adopted: {_numbers(standing)}.")

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


def _numbers(standing: Standing) -> str:
    return f"{standing.waiting} events, {standing.letters} dead letters"


def _kept(standing: Standing, kinds: Counter[str]) -> str:
    return f"{_numbers(standing)}, what is known of {kinds['user']} users"
