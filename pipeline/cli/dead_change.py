"""`sailpipe dead replay` and `drop`: a count first, a question, then progress."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.confirm import check_agreed
from pipeline.cli.dead_options import (
    AllOption,
    IdsArgument,
    YesOption,
    check_means_some,
    takes_filter,
)
from pipeline.cli.options import AccountOption
from pipeline.cli.output import note, result
from pipeline.cli.progress import open_progress
from pipeline.cli.session import Session, in_session
from pipeline.deadletters.filters import Filter, Selection
from pipeline.deadletters.store import DeadLetters
from pipeline.errors import SailpipeError
from pipeline.status.owners import read_owners
from pipeline.targets import Target, target_of, ways_on, why_not


@takes_filter
def replay(
    wanted: Filter,
    ids: IdsArgument = None,
    everything: AllOption = False,
    rate: Annotated[
        float | None, typer.Option(min=0.1, max=10_000, help="At most so many a second.")
    ] = None,
    overtaken: Annotated[
        bool,
        typer.Option(
            "--overtaken",
            help="Also identifies and cart changes that a later one of their user has overtaken.",
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count them and stop.")] = False,
    yes: YesOption = False,
    account: AccountOption = "default",
) -> None:
    """Put dead letters back into their queues, in the order in which their events came. Live events go first."""
    check_means_some(ids, wanted, everything=everything)

    async def work(session: Session) -> None:
        letters = DeadLetters(session.redis, account)
        chosen = await _choose(letters, ids, wanted)
        await _refuse_foreign(session, account, chosen)
        if chosen.overtaken and not overtaken:
            note(f"{len(chosen.overtaken)} of them are overtaken and stay; --overtaken sends them.")
            chosen = chosen.without_overtaken()
        if dry_run:
            result(f"Would be replayed: {len(chosen.ids)}.")
        elif chosen.ids:
            check_agreed("Replay them?", yes=yes)
            with open_progress("replayed") as progress:
                done = await letters.replay(
                    chosen.ids, rate=rate, on_done=progress.advance, on_hold=progress.hold
                )
            _report("Replayed", done, chosen)

    in_session(account, work)


@takes_filter
def drop(
    wanted: Filter,
    ids: IdsArgument = None,
    everything: AllOption = False,
    yes: YesOption = False,
    account: AccountOption = "default",
) -> None:
    """Delete dead letters for good; `status` counts them as removed."""
    check_means_some(ids, wanted, everything=everything)

    async def work(session: Session) -> None:
        letters = DeadLetters(session.redis, account)
        chosen = await _choose(letters, ids, wanted)
        if chosen.ids:
            check_agreed("Drop them?", yes=yes)
            with open_progress("dropped") as progress:
                done = await letters.drop(chosen.ids, on_done=progress.advance)
            _report("Dropped", done, chosen)

    in_session(account, work)


async def _choose(letters: DeadLetters, ids: list[str] | None, wanted: Filter) -> Selection:
    """Which letters are meant; says how many, and what they died of."""
    chosen = await letters.select_ids(ids) if ids else await letters.select(wanted)
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(chosen.reasons.items()))
    note(f"{len(chosen.ids)} dead letters: {reasons}." if chosen.ids else "No dead letter matches.")
    return chosen


async def _refuse_foreign(session: Session, account: str, chosen: Selection) -> None:
    """Refuse to replay what died at another target than these settings deliver to. Raises SailpipeError."""
    if not chosen.ids:
        return
    own = target_of(session.settings.account(account))
    owner = (await read_owners(session.redis, [account]))[account]
    if not owner.lets(own):
        raise SailpipeError(
            f"Nothing was replayed, since {why_not(account, owner, own)}: {ways_on(account, owner)}."
        )
    for name in sorted(chosen.targets - {"", *own.names}):
        raise SailpipeError(
            f"Nothing was replayed, since letters among these died at {Target(name)}, and these settings"
            f" deliver to {own}: leave them out, or export and enqueue them."
        )


def _report(verb: str, done: int, chosen: Selection) -> None:
    gone = len(chosen.ids) - done
    result(f"{verb}: {done}." + (f" Gone meanwhile: {gone}." if gone else ""))
