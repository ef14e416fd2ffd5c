"""`sailpipe waiting`: what waits, by cause; let go, or dropped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from pipeline.cli.confirm import check_agreed
from pipeline.cli.dead_options import YesOption
from pipeline.cli.errors import BadInput
from pipeline.cli.gates import LaneOption
from pipeline.cli.options import AccountOption, DryRunOption, JsonOption
from pipeline.cli.output import json_result, note, result
from pipeline.cli.progress import open_progress
from pipeline.cli.session import Session, in_session
from pipeline.cli.trace import at, counted
from pipeline.clock import SystemClock
from pipeline.events.models import Lane
from pipeline.status.let_go import DROPPED, RELEASED, doomed_events, drop, release
from pipeline.status.mailboxes import CAUSES
from pipeline.status.waiting import Box, Waiting, read_waiting


def waiting(
    cause: Annotated[
        str | None, typer.Option("--for", help="What waits for this: email, user, retry ...")
    ] = None,
    lane: LaneOption = None,
    user: Annotated[str | None, typer.Option(help="Only this person's mailbox.")] = None,
    release_: Annotated[
        bool, typer.Option("--release", help="Try now what waits for the cause given by --for.")
    ] = False,
    drop_: Annotated[
        bool,
        typer.Option("--drop", help="Remove the events that wait for the cause given by --for."),
    ] = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    account: AccountOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Show what waits, by cause, with its next try and the end of the wait; let it go, or drop it."""
    _check(cause, release_=release_, drop_=drop_)

    async def work(session: Session) -> None:
        settings = session.settings.account(account)
        found = await read_waiting(session.redis, settings, Lane if lane is None else [lane])
        boxes = [
            one for one in found.boxes if cause in (None, one.why) and user in (None, one.user)
        ]
        if not release_ and not drop_:
            _show(Waiting(tuple(boxes), found.complete), as_json=as_json)
            return
        count = sum(map(doomed_events, boxes)) if drop_ else len(boxes)
        people = counted(len(boxes), "person", "people")
        what = (
            f"{counted(count, 'event', 'events')} of {people}"
            if drop_
            else f"what waits of {people}"
        )
        if dry_run or not boxes:
            result(f"Would be {'dropped' if drop_ else 'tried now'}: {what}.")
            return
        note(f"They wait for {CAUSES[boxes[0].why]}: {what}.")
        check_agreed("Drop them?" if drop_ else "Try them now?", yes=yes)
        await _do(session, account, boxes, drop_=drop_)

    in_session(account, work)


async def _do(session: Session, account: str, boxes: Sequence[Box], *, drop_: bool) -> None:
    with open_progress("dropped" if drop_ else "tried now") as progress:
        if drop_:
            settings = session.settings.account(account)
            done = await drop(session.redis, settings, boxes, SystemClock(), progress.advance)
            text = f"Dropped: {done} of {sum(map(doomed_events, boxes))}; status counts them as removed."
        else:
            done = await release(session.redis, account, boxes, progress.advance)
            text = f"Tried now: {done} of {len(boxes)}."
    result(text)


def _check(cause: str | None, *, release_: bool, drop_: bool) -> None:
    if cause is not None and cause not in CAUSES:
        raise BadInput(f"--for takes one of {', '.join(CAUSES)}.")
    if release_ and drop_:
        raise BadInput("Give --release or --drop, not both.")
    if release_ and cause not in RELEASED:
        raise BadInput(f"--release needs --for with one of {', '.join(RELEASED)}.")
    if drop_ and cause not in DROPPED:
        raise BadInput(f"--drop needs --for with one of {', '.join(DROPPED)}.")


def _show(found: Waiting, *, as_json: bool) -> None:
    for row in found.rows():
        if as_json:
            json_result(row)
            continue
        events = counted(row["events"], "event", "events")
        people = counted(row["people"], "person", "people")
        result(f"{row['lane']}: {events} of {people}, waiting for {CAUSES[row['waits_for']]}")
        times = f"oldest {at(row['oldest'])}, next try {at(row['next_try'])}"
        result(f"  cause {row['waits_for']}, {times}")
        if row["first_ends"]:
            result(f"  given up from {at(row['first_ends'])} to {at(row['last_ends'])}")
    if not found.boxes:
        note("Nothing waits.")
    if not found.complete:
        note("There are more mailboxes than are looked at: these numbers are the least there is.")
