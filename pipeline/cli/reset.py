"""`sailpipe reset`: empty an account, above all after a trial."""

from __future__ import annotations

from collections import Counter

from pipeline.cli.confirm import check_agreed
from pipeline.cli.dead_options import WhyOption, YesOption, person
from pipeline.cli.options import AccountOption, DryRunOption
from pipeline.cli.output import note, result
from pipeline.cli.progress import open_progress
from pipeline.cli.session import Session, in_session
from pipeline.deadletters.audit import Act, AuditTrail
from pipeline.ownership.keyspace import survey
from pipeline.status.owners import Standing, read_standings
from pipeline.storage import keys


def reset(
    account: AccountOption = "default",
    yes: YesOption = False,
    why: WhyOption = "",
    dry_run: DryRunOption = False,
) -> None:
    """Empty an account: all that waits, dead letters, what is remembered, counters, gates.

    Rate limits stay. The next target that delivers has the account. Of the acts only this one is known afterwards.
    """

    async def work(session: Session) -> None:
        from pipeline.ownership.reset import reset as empty  # noqa: PLC0415 - only this command

        standing = (await read_standings(session.redis, session.settings))[account]
        note(_what_goes(standing, await survey(session.redis, account)))
        if await session.redis.exists(keys.SPLITTER):
            note(
                "A worker is running: the events it works on are removed, too; a call it has sent still arrives."
            )
        if dry_run:
            result(f"Would be removed: {_numbers(standing.waiting, standing.letters)}.")
            return
        check_agreed("Empty it?", yes=yes, word=_word(standing))
        with open_progress("events, letters and keys removed") as progress:
            others = session.settings.accounts.keys() - {account}
            gone = await empty(session.redis, account, others, progress.advance)
        numbers = _numbers(gone.events, gone.letters)
        act = Act(person(), "reset", numbers, gone.events + gone.letters, why)
        await AuditTrail(session.redis, account).record(act)
        result(f"Removed: {numbers}.")

    in_session(account, work)


def _what_goes(standing: Standing, kinds: Counter[str]) -> str:
    owner = standing.owner.target
    whose = f"belongs to {owner}" if owner else "belongs to no target yet"
    numbers = _numbers(standing.waiting, standing.letters)
    remembered = f"what is known of {kinds['user']} users, {kinds['cart']} carts"
    return f"Account {standing.account} {whose}: {numbers}, {remembered}, counters and gates."


def _word(standing: Standing) -> str | None:
    """What a person must type before more than a trial is emptied: the account's name."""
    at_stake = standing.owner.target or standing.target
    return None if at_stake.is_trial else standing.account


def _numbers(events: int, letters: int) -> str:
    return f"{events} events, {letters} dead letters"
