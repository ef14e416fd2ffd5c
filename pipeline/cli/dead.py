"""`sailpipe dead`: lists, shows, counts and exports dead letters; dead_change.py replays and drops them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from pipeline.cli import dead_change
from pipeline.cli.dead_options import takes_filter
from pipeline.cli.errors import FAILED
from pipeline.cli.options import AccountOption, JsonOption
from pipeline.cli.output import json_result, note, result
from pipeline.cli.session import Session, in_session
from pipeline.cli.tables import printable, show_table
from pipeline.deadletters.export import export_line
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.groups import Group
from pipeline.deadletters.letter import Letter
from pipeline.deadletters.store import DeadLetters
from pipeline.errors import SailpipeError

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)

MAX_NAMED = 10
"""Ids in one sentence."""

_LIST = ("id", "died_at", "reason", "lane", "user", "event", "detail")
_STATS = ("fingerprint", "letters", "users", "reason", "endpoint", "error", "last", "detail")


@app.callback()
def dead() -> None:
    """See, replay, drop and export what could not be delivered."""


@app.command("list")
@takes_filter
def list_letters(
    wanted: Filter,
    limit: Annotated[int, typer.Option(min=1, help="How many to show.")] = 50,
    account: AccountOption = "default",
    as_json: JsonOption = False,
) -> None:
    """List dead letters, newest first."""

    async def work(session: Session) -> list[Letter]:
        return await DeadLetters(session.redis, account).find(wanted, limit=limit + 1)

    found = in_session(account, work)
    _show_rows([letter.as_row() for letter in found[:limit]], _LIST, as_json=as_json)
    if len(found) > limit:
        note(f"There are more than these {limit}; --limit shows more.")


@app.command("show")
def show(
    identity: Annotated[str, typer.Argument(metavar="ID")],
    account: AccountOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Show one dead letter, by its id or messageId: the event as it came, the calls as sent, every attempt."""

    async def work(session: Session) -> tuple[Letter, list[str]]:
        letters = DeadLetters(session.redis, account)
        found = await letters.named(identity)
        if len(found) > 1 and identity not in found:
            raise SailpipeError(f"Several dead letters have this messageId: {_few(found)}.")
        return await letters.get(found[0] if found else identity), found[1:]

    found, others = in_session(account, work)
    letter = found.as_json()
    if others:
        note(f"Others of the same messageId: {_few(others)}.")
    if as_json:
        json_result(letter)
        return
    raw, calls, timeline = (letter.pop(name) for name in ("raw", "calls", "timeline"))
    for name, value in letter.items():
        result(f"{name:<12}{printable(value)}")
    for call in calls:
        result(f"{'call':<12}{printable(call)}")
    if timeline:
        show_table(tuple(timeline[0]), [tuple(attempt.values()) for attempt in timeline])
    result(printable(raw))


@app.command("stats")
@takes_filter
def stats(
    wanted: Filter,
    account: AccountOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Count dead letters by cause: same reason, endpoint, error and message."""

    async def work(session: Session) -> list[Group]:
        return await DeadLetters(session.redis, account).groups(wanted)

    rows = [one.as_json() for one in in_session(account, work)]
    _show_rows(rows, _STATS, as_json=as_json)


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
app.command("drop")(dead_change.drop)


def _few(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - MAX_NAMED} more" if len(ids) > MAX_NAMED else ""
    return ", ".join(map(printable, ids[:MAX_NAMED])) + more


def _show_rows(rows: list[dict[str, Any]], columns: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            json_result(row)
    elif rows:
        show_table(columns, [[row[name] for name in columns] for row in rows])
    else:
        note("No dead letters.")
