"""`sailpipe dead`: lists, shows, counts and exports dead letters; dead_change.py replays and drops them, dead_mend.py
edits them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from pipeline.cli import dead_change, dead_mend
from pipeline.cli.dead_options import (
    Format,
    FormatOption,
    IdArgument,
    WhyOption,
    person,
    takes_filter,
)
from pipeline.cli.dead_rows import AUDIT, LIST, STATS, shape_of, show_advice, show_letter, show_rows
from pipeline.cli.errors import FAILED, BadInput
from pipeline.cli.guide import GuidedGroup
from pipeline.cli.options import AccountOption, JsonOption
from pipeline.cli.output import json_result, note, result
from pipeline.cli.progress import open_progress
from pipeline.cli.session import Session, in_session
from pipeline.cli.tables import printable
from pipeline.deadletters.audit import Act, AuditTrail
from pipeline.deadletters.export import export_line
from pipeline.deadletters.filters import Cursor, Filter
from pipeline.deadletters.letter import Letter
from pipeline.deadletters.states import GroupState
from pipeline.deadletters.store import DeadLetters, SeveralLetters
from pipeline.errors import SailpipeError
from pipeline.verbs.groups import MAX_HOURS, mark_group, read_groups, rows_of

app = typer.Typer(cls=GuidedGroup, rich_markup_mode=None, no_args_is_help=True)

MAX_NAMED = 10
"""Ids in one sentence."""


@app.callback()
def dead() -> None:
    """See, replay, drop and export what could not be delivered."""


@app.command("list")
@takes_filter
def list_letters(
    wanted: Filter,
    limit: Annotated[int, typer.Option(min=1, help="How many to show.")] = 50,
    cursor: Annotated[
        str | None, typer.Option(help="Where the last list ended, as it said.")
    ] = None,
    account: AccountOption = "default",
    shape: FormatOption = Format.TABLE,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, newest first."""
    after = _cursor(cursor)

    async def work(session: Session) -> tuple[list[Letter], Cursor | None]:
        letters, found, at = DeadLetters(session.redis, account), list[Letter](), after
        with open_progress("looked at") as progress:
            while True:
                page = await letters.page(wanted, limit=limit - len(found), after=at)
                progress.advance(page.looked)
                found, at = [*found, *page.letters], page.after
                if at is None or len(found) >= limit:
                    return found, at

    found, end = in_session(account, work)
    rows = [letter.as_row() for letter in found]
    show_rows(rows, LIST, shape_of(shape, as_json=as_json), nothing="No dead letters.")
    if end is not None:
        note(
            f"There are more than these {limit}; --cursor {printable(end)} goes on, --limit shows more."
        )


@app.command("show")
def show(
    identity: IdArgument,
    account: AccountOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Show one dead letter, by its id or messageId: the event as it came, the calls as sent, every attempt."""

    async def work(session: Session) -> tuple[Letter, list[str]]:
        letters = DeadLetters(session.redis, account)
        found = await letters.meant(identity)
        if len(found) > 1 and identity not in found:
            same = all(name.startswith(f"{identity}~") for name in found)
            if not same:
                raise SeveralLetters(identity, found)
            raise SailpipeError(f"Several dead letters have this messageId: {_few(found)}.")
        return await letters.get(found[0] if found else identity), found[1:]

    found, others = in_session(account, work)
    letter = found.as_json()
    if others:
        note(f"Others of the same messageId: {_few(others)}.")
    if as_json:
        json_result(letter)
    else:
        show_letter(letter)


@app.command("stats")
@takes_filter
def stats(
    wanted: Filter,
    state: Annotated[
        GroupState | None, typer.Option(help="Only groups that were marked so.")
    ] = None,
    hours: Annotated[
        int,
        typer.Option(
            min=0, max=MAX_HOURS, help="In JSON: how many died in each of so many last hours, too."
        ),
    ] = 0,
    account: AccountOption = "default",
    shape: FormatOption = Format.TABLE,
    as_json: JsonOption = False,
) -> None:
    """Count dead letters by cause: same lane, reason, endpoint, error and message."""

    async def work(session: Session) -> list[dict[str, Any]]:
        found = await read_groups(session.redis, account, wanted)
        meant = [one for one in found if state in (None, one.mark.state)]
        return await rows_of(session.redis, account, meant, hours)

    rows = in_session(account, work)
    chosen = shape_of(shape, as_json=as_json)
    show_rows(rows, STATS, chosen, nothing="No dead letters.")
    if chosen is Format.TABLE:
        show_advice(rows)


@app.command("mark")
def mark(
    group: Annotated[
        str, typer.Argument(metavar="GROUP", help="A fingerprint, whole or its beginning.")
    ],
    state: Annotated[GroupState, typer.Argument(help="What it is from now on.")],
    why: WhyOption = "",
    account: AccountOption = "default",
) -> None:
    """Say of a group that it is seen to (acknowledged), may stay (ignored), or is open again."""

    async def work(session: Session) -> str:
        found = await DeadLetters(session.redis, account).groups(Filter())
        names = [one.fingerprint for one in found if one.fingerprint.startswith(group)]
        if len(names) != 1:
            raise SailpipeError(f"{len(names)} groups of dead letters begin with {group!r}.")
        act = await mark_group(session.redis, account, names[0], state, person(), why)
        await AuditTrail(session.redis, account).record(act)
        return names[0]

    result(f"Group {in_session(account, work)} is {state}.")


@app.command("audit")
def audit(
    limit: Annotated[int, typer.Option(min=1, help="How many to show.")] = 50,
    account: AccountOption = "default",
    shape: FormatOption = Format.TABLE,
    as_json: JsonOption = False,
) -> None:
    """Show who changed what (letters, pauses, limits, accounts), when and why, newest first."""

    async def work(session: Session) -> list[Act]:
        return await AuditTrail(session.redis, account).latest(limit)

    rows = [act.as_json(account) for act in in_session(account, work)]
    show_rows(rows, AUDIT, shape_of(shape, as_json=as_json), nothing="Nothing was done yet.")


@app.command("export")
@takes_filter
def export(
    wanted: Filter,
    account: AccountOption = "default",
) -> None:
    """Write events as JSON lines, oldest first. Enqueued again, each replaces its dead letter.

    Ends with 1 when letters were left out: they can only be replayed here.
    """

    async def work(session: Session) -> tuple[int, int]:
        letters, written, left_out = DeadLetters(session.redis, account), 0, 0
        async for letter in letters.read((await letters.select(wanted)).ids):
            line = export_line(letter)
            if line is None:
                left_out += 1
            else:
                written += 1
                result(line.decode())
        return written, left_out

    written, left_out = in_session(account, work)
    note(f"Exported: {written}.")
    if left_out:
        note(
            f"Left out: {left_out}, which cannot be enqueued again as a line; replay or drop them here."
        )
        raise typer.Exit(FAILED)


app.command("replay")(dead_change.replay)
app.command("jobs")(dead_change.show_jobs)
app.command("edit")(dead_mend.edit)
app.command("fix")(dead_mend.fix_letters)
app.command("drop")(dead_change.drop)


def _few(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - MAX_NAMED} more" if len(ids) > MAX_NAMED else ""
    return ", ".join(map(printable, ids[:MAX_NAMED])) + more


def _cursor(text: str | None) -> Cursor | None:
    try:
        return None if text is None else Cursor.read(text)
    except ValueError as error:
        raise BadInput(f"--cursor: {error}.") from None
