"""`sailpipe dead replay`, `jobs` and `drop`: a count first, a question, then progress, or a job."""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import Annotated

import typer

from pipeline.cli.confirm import check_agreed
from pipeline.cli.dead_options import (
    AllOption,
    Format,
    FormatOption,
    IdsArgument,
    WhyOption,
    YesOption,
    check_means_some,
    person,
    takes_filter,
)
from pipeline.cli.dead_rows import JOBS, shape_of, show_rows
from pipeline.cli.errors import BadInput
from pipeline.cli.options import AccountOption, DryRunOption, JsonOption
from pipeline.cli.output import note, result
from pipeline.cli.progress import open_progress
from pipeline.cli.session import Session, in_session
from pipeline.deadletters.audit import Act, AuditTrail
from pipeline.deadletters.filters import Filter, Selection
from pipeline.deadletters.jobs import Job, Jobs
from pipeline.deadletters.replays import ReplayRequest, begin_replay, describe
from pipeline.deadletters.store import DeadLetters
from pipeline.verbs.letters import check_target

AT_ONCE = 500
"""Letters that are replayed while the person waits; more are a job."""
SHORT_ID = 8
"""Characters of a job's id that people are shown."""


class JobAction(StrEnum):
    """What a person may do to a job."""

    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"


@takes_filter
def replay(
    wanted: Filter,
    ids: IdsArgument = None,
    everything: AllOption = False,
    rate: Annotated[
        float | None, typer.Option(min=0.1, max=10_000, help="At most so many a second.")
    ] = None,
    first: Annotated[
        int, typer.Option(min=0, help="As a job that sends so many and then asks you.")
    ] = 0,
    job: Annotated[
        bool, typer.Option("--job", help=f"As a job, also when they are {AT_ONCE} or fewer.")
    ] = False,
    overtaken: Annotated[
        bool,
        typer.Option(
            "--overtaken",
            help="Also identifies and cart changes that a later one of their user has overtaken.",
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count them and stop.")] = False,
    yes: YesOption = False,
    why: WhyOption = "",
    account: AccountOption = "default",
) -> None:
    """Put dead letters back into their queues, in the order in which their events came. Live events go first."""
    check_means_some(ids, wanted, everything=everything)

    async def work(session: Session) -> None:
        letters = DeadLetters(session.redis, account)
        chosen = await choose(letters, ids, wanted)
        await check_target(session.redis, session.settings, account, chosen)
        for line in describe(chosen, overtaken=overtaken):
            note(line)
        if not overtaken:
            chosen = chosen.without_overtaken()
        if dry_run:
            result(f"Would be replayed: {len(chosen.ids)}.")
            return
        if not chosen.ids:
            return
        check_agreed("Replay them?", yes=yes)
        audit = AuditTrail(session.redis, account)
        asked = ReplayRequest(
            wanted,
            len(chosen.ids),
            uuid.uuid4().hex,
            person(),
            why,
            rate=rate,
            first=first,
            overtaken=overtaken,
            what=f"{len(chosen.ids)} by id" if ids else "",
        )
        if job or first or len(chosen.ids) > AT_ONCE:
            _announce(await begin_replay(Jobs(session.redis, account), audit, chosen, asked))
            return
        await audit.record(Act(asked.by, "replay", _what(ids, wanted), len(chosen.ids), why))
        with open_progress("replayed") as progress:
            done = await letters.replay(
                chosen.ids,
                rate=rate,
                overtaken=overtaken,
                on_done=progress.advance,
                on_hold=progress.hold,
            )
        _report("Replayed", done, chosen)

    in_session(account, work)


def show_jobs(
    action: Annotated[JobAction | None, typer.Argument(help="What to do to one.")] = None,
    identity: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Its id, or how it begins.")
    ] = None,
    account: AccountOption = "default",
    shape: FormatOption = Format.TABLE,
    as_json: JsonOption = False,
) -> None:
    """Show replays that are jobs, newest first; or pause, resume or stop one."""
    if action is not None and not identity:
        raise BadInput(f"Say which job: sailpipe dead jobs {action} ID.")

    async def work(session: Session) -> tuple[list[Job], int]:
        jobs = Jobs(session.redis, account)
        seconds, micros = await session.redis.time()
        found = (
            await jobs.latest(50) if action is None else [await _act(jobs, action, identity or "")]
        )
        return found, seconds * 1000 + micros // 1000

    found, now_ms = in_session(account, work)
    rows = [one.as_json(now_ms) for one in found]
    chosen = shape_of(shape, as_json=as_json)
    if chosen is Format.TABLE:
        rows = [row | {"id": row["id"][:SHORT_ID]} for row in rows]
    show_rows(rows, JOBS, chosen, nothing="No jobs.")
    for one in found:
        if one.detail and not as_json:
            note(f"{one.id} is {one.state}: {one.detail}.")


@takes_filter
def drop(
    wanted: Filter,
    ids: IdsArgument = None,
    everything: AllOption = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    why: WhyOption = "",
    account: AccountOption = "default",
) -> None:
    """Delete dead letters for good; `status` counts them as removed."""
    check_means_some(ids, wanted, everything=everything)

    async def work(session: Session) -> None:
        letters = DeadLetters(session.redis, account)
        chosen = await choose(letters, ids, wanted)
        if dry_run:
            result(f"Would be dropped: {len(chosen.ids)}.")
        elif chosen.ids:
            check_agreed("Drop them?", yes=yes)
            act = Act(person(), "drop", _what(ids, wanted), len(chosen.ids), why)
            await AuditTrail(session.redis, account).record(act)
            with open_progress("dropped") as progress:
                done = await letters.drop(chosen.ids, on_done=progress.advance)
            _report("Dropped", done, chosen)

    in_session(account, work)


async def choose(letters: DeadLetters, ids: list[str] | None, wanted: Filter) -> Selection:
    """Which letters are meant; says how many, which filter that was, and what they died of."""
    chosen = await letters.select_ids(ids) if ids else await letters.select(wanted)
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(chosen.reasons.items()))
    if not ids:
        note(f"Filter: {wanted.in_words()}.")
    note(f"{len(chosen.ids)} dead letters: {reasons}." if chosen.ids else "No dead letter matches.")
    return chosen


async def _act(jobs: Jobs, action: JobAction, identity: str) -> Job:
    names = [one.id for one in await jobs.latest(1000) if one.id.startswith(identity)]
    name = names[0] if len(names) == 1 else identity
    match action:
        case JobAction.PAUSE:
            return await jobs.pause(name)
        case JobAction.RESUME:
            return await jobs.resume(name)
        case JobAction.STOP:
            return await jobs.stop(name, f"by {person()}")


def _announce(job: Job) -> None:
    result(f"Job {job.id}: {job.total} letters.")
    note(
        "The splitter carries it out. `sailpipe dead jobs` shows how far it is, and pauses, resumes or stops it."
    )


def _what(ids: list[str] | None, wanted: Filter) -> str:
    return ", ".join(ids) if ids else wanted.in_words()


def _report(verb: str, done: int, chosen: Selection) -> None:
    gone = len(chosen.ids) - done
    result(f"{verb}: {done}." + (f" Gone meanwhile: {gone}." if gone else ""))
