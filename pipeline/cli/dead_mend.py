"""`sailpipe dead edit` and `fix`: what would change first, a question, then the change."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click
import typer

from pipeline.cli.confirm import check_agreed
from pipeline.cli.dead_change import choose
from pipeline.cli.dead_options import (
    AllOption,
    CastOption,
    IdArgument,
    IdsArgument,
    RenameOption,
    SetOption,
    UnsetOption,
    WhyOption,
    YesOption,
    check_means_some,
    make_changes,
    person,
    takes_filter,
)
from pipeline.cli.errors import FAILED, BadInput
from pipeline.cli.options import AccountOption, DryRunOption, JsonOption
from pipeline.cli.output import json_result, note, result
from pipeline.cli.progress import open_progress
from pipeline.cli.session import Session, in_session
from pipeline.cli.tables import printable
from pipeline.clock import SystemClock
from pipeline.deadletters.audit import Act, AuditTrail
from pipeline.deadletters.edits import BadChange, Change, describe, diff
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.fixing import Fixed, fix
from pipeline.deadletters.letter import Letter
from pipeline.deadletters.mending import Mended, Mending, mend, preview, shown_event
from pipeline.deadletters.store import DeadLetters
from pipeline.json_text import read_json
from pipeline.settings import AccountSettings


def edit(
    identity: IdArgument,
    sets: SetOption = None,
    unsets: UnsetOption = None,
    renames: RenameOption = None,
    casts: CastOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    why: WhyOption = "",
    account: AccountOption = "default",
) -> None:
    """Change one dead letter's event; without an option, in $EDITOR. `dead replay ID` sends it then."""
    changes = make_changes(renames, sets, casts, unsets)

    async def work(session: Session) -> None:
        letters = DeadLetters(session.redis, account)
        letter = await letters.get(await letters.id_of(identity))
        settings = session.settings.account(account)
        mended = _mended(letter, changes, settings)
        if not mended.is_changed:
            note("Nothing changes.")
            return
        _show(mended)
        if dry_run:
            return
        check_agreed("Write it?", yes=yes)
        await Mending(session.redis, account).write(mended)
        what = describe(changes) or "as a whole"
        act = Act(person(), "edit", f"letter {letter.id}: {what}", 1, why)
        await AuditTrail(session.redis, account).record(act)
        result(f"Edited: {letter.id}. `sailpipe dead replay {letter.id}` sends it.")

    in_session(account, work)


@takes_filter
def fix_letters(
    wanted: Filter,
    ids: IdsArgument = None,
    everything: AllOption = False,
    sets: SetOption = None,
    unsets: UnsetOption = None,
    renames: RenameOption = None,
    casts: CastOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    why: WhyOption = "",
    account: AccountOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Make the same changes in many dead letters, and show first what they do. `dead replay` sends them then."""
    check_means_some(ids, wanted, everything=everything)
    changes = make_changes(renames, sets, casts, unsets)
    if not changes:
        raise BadInput("Say what to change: --set, --unset, --rename or --cast.")

    async def work(session: Session) -> Fixed:
        letters = DeadLetters(session.redis, account)
        chosen = await choose(letters, ids, wanted)
        given = (letters, chosen.ids, changes, session.settings.account(account))
        seen = await fix(*given, SystemClock().now(), mending=None)
        for mended in seen.samples:
            if as_json:
                json_result(mended.as_json())
            else:
                _show(mended)
        _report("Would be changed", seen)
        if dry_run or not seen.changed:
            return seen
        check_agreed("Change them?", yes=yes)
        what = f"{', '.join(ids) if ids else wanted.in_words()}: {describe(changes)}"
        act = Act(person(), "fix", what, seen.changed, why)
        await AuditTrail(session.redis, account).record(act)
        with open_progress("looked at") as progress:
            mending = Mending(session.redis, account)
            made = await fix(*given, SystemClock().now(), mending=mending, on_done=progress.advance)
        _report("Changed", made)
        return made

    if in_session(account, work).refused:
        raise typer.Exit(FAILED)


def _mended(letter: Letter, changes: Sequence[Change], settings: AccountSettings) -> Mended:
    now = SystemClock().now()
    if changes:
        return mend(letter, changes, settings, now)
    return preview(letter, _in_editor(letter), settings, now)


def _in_editor(letter: Letter) -> Mapping[str, Any]:
    """The event as the person leaves it. Raises BadInput when that is no JSON object."""
    try:
        text = json.dumps(shown_event(letter), ensure_ascii=False, indent=2)
    except BadChange:
        text = letter.raw.decode("utf-8", "replace")
    written = click.edit(text, extension=".json")
    try:
        event = read_json((text if written is None else written).encode())
    except ValueError as error:
        raise BadInput(f"What the editor left is not JSON: {error}.") from None
    if not isinstance(event, dict):
        raise BadInput("What the editor left is not a JSON object.")
    return event


def _show(mended: Mended) -> None:
    """The diff of the event, and of what would be sent."""
    result(f"{printable(mended.letter.id)}:")
    for line in mended.event_diff:
        result(f"  {printable(line)}")
    calls = diff(_sent(mended.before), _sent(mended.after))
    for line in calls or ["what would be sent stays the same"]:
        result(f"  {'' if not calls else 'sent '}{printable(line)}")


def _sent(line: Mapping[str, Any]) -> dict[str, Any]:
    return {name: line[name] for name in ("lane", "calls", "ignored", "error")}


def _report(verb: str, found: Fixed) -> None:
    more = [
        f" {words}: {count}."
        for words, count in (("Stay as they are", found.unchanged), ("Gone meanwhile", found.gone))
        if count
    ]
    note(f"{verb}: {found.changed}.{''.join(more)}")
    for why, count in found.refused.most_common():
        note(f"Not changed, {count}: {printable(why)}")
