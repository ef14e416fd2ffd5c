"""`sailpipe waiting`: what waits, by cause; let go, or dropped."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.completion import causes
from pipeline.cli.confirm import check_agreed
from pipeline.cli.dead_options import YesOption, person
from pipeline.cli.errors import BadInput
from pipeline.cli.gates import LaneOption
from pipeline.cli.options import AccountOption, DryRunOption, JsonOption
from pipeline.cli.output import json_result, note, result
from pipeline.cli.progress import open_progress
from pipeline.cli.session import Session, in_session
from pipeline.cli.tables import show_table
from pipeline.cli.trace import at, counted
from pipeline.clock import SystemClock, iso
from pipeline.deadletters.audit import AuditTrail
from pipeline.status.let_go import DROPPED, RELEASED
from pipeline.status.mailboxes import AT_THE_END, CAUSES
from pipeline.status.waiting import Box, Waiting
from pipeline.verbs.waiting import (
    Wanted,
    doomed_of,
    drop_waiting,
    find_waiting,
    release_waiting,
)


def waiting(
    cause: Annotated[
        str | None,
        typer.Option(
            "--for", help=f"Only what waits for this: {', '.join(CAUSES)}.", autocompletion=causes
        ),
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

    wanted = Wanted(cause, lane, user)

    async def work(session: Session) -> None:
        found = await find_waiting(session.redis, session.settings.account(account), wanted)
        if not release_ and not drop_:
            _show(found, as_json=as_json, with_people=cause is not None or user is not None)
            return
        count = doomed_of(found)
        people = counted(len(found.boxes), "person", "people")
        events = counted(count, "event", "events")
        what = f"{events} of {people}" if drop_ else f"what waits of {people}"
        if dry_run or not found.boxes:
            result(f"Would be {'dropped' if drop_ else 'tried now'}: {what}.")
            return
        note(f"They wait for {CAUSES[found.boxes[0].why]}: {what}.")
        check_agreed("Drop them?" if drop_ else "Try them now?", yes=yes)
        await _do(session, account, wanted, count if drop_ else None, len(found.boxes))

    in_session(account, work)


async def _do(
    session: Session, account: str, wanted: Wanted, doomed: int | None, people: int
) -> None:
    settings = session.settings.account(account)
    with open_progress("tried now" if doomed is None else "dropped") as progress:
        if doomed is None:
            act = await release_waiting(session.redis, settings, wanted, person(), progress.advance)
            text = f"Tried now: {act.count} of {people}."
        else:
            act = await drop_waiting(
                session.redis,
                settings,
                wanted,
                doomed,
                person(),
                SystemClock(),
                on_done=progress.advance,
            )
            text = f"Dropped: {act.count} of {doomed}; status counts them as removed."
    await AuditTrail(session.redis, account).record(act)
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


def _show(found: Waiting, *, as_json: bool, with_people: bool) -> None:
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
            then = AT_THE_END[row["waits_for"]]
            result(f"  {then} from {at(row['first_ends'])} to {at(row['last_ends'])}")
    if with_people and not as_json:
        _show_people(found)
    if not found.boxes:
        note("Nothing waits.")
    if not found.complete:
        note("There are more mailboxes than are looked at: these numbers are the least there is.")


def _show_people(found: Waiting) -> None:
    boxes = found.longest()
    if len(found.boxes) > len(boxes):
        note(f"The {len(boxes)} who wait longest, of {len(found.boxes)}.")
    columns = ("person", "lane", "events", "since", "next try", "its wait ends")
    show_table(columns, [_person(box) for box in boxes])


def _person(box: Box) -> tuple[object, ...]:
    next_try = "-" if box.due is None else at(iso(box.due))
    ends = "-" if box.ends is None else f"{AT_THE_END[box.why]} {at(iso(box.ends))}"
    return box.user, box.lane, box.events, at(iso(box.accepted)), next_try, ends
