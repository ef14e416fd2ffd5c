"""To replay many letters: shown first, then asked for, then a job. One verb for CLI, HTTP and console."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pipeline.clock import iso
from pipeline.deadletters.audit import Act, AuditTrail
from pipeline.deadletters.filters import Filter, Selection
from pipeline.deadletters.jobs import Job, Jobs
from pipeline.deadletters.store import DeadLetters
from pipeline.errors import SailpipeError

MAX_GROWTH = 1.1
"""By how much a count may have grown since it was shown."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{8,64}")


class Refused(SailpipeError):
    """What was asked for is not done; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """What a person asks for after having seen `selection`.

    token: of the form or command, 8 to 64 letters, digits, `_` or `-`: asked twice with it, it is done once, and it is
        the job's id.
    shown: how many letters the person saw. everything: all are meant, though the filter is empty.
    first: pause after so many and ask; 0 does not. rate: letters a second. overtaken: also those.
    what: what is meant where that is no filter; '' for the filter in words.
    """

    wanted: Filter
    shown: int
    token: str
    by: str
    why: str = ""
    everything: bool = False
    rate: float | None = None
    first: int = 0
    overtaken: bool = False
    what: str = ""


def check_request(token: str, wanted: Filter, *, everything: bool) -> None:
    """What can be refused before anything is looked at. Raises Refused."""
    if not _TOKEN.fullmatch(token):
        raise Refused("The request has no token of 8 to 64 letters, digits, _ or -.")
    if wanted == Filter() and not everything:
        raise Refused("The filter is empty: say which dead letters, or that all are meant.")


def check_growth(shown: int, count: int, what: str = "letters") -> None:
    """Refuse a selection that is larger than what was shown. Raises Refused."""
    if count > shown * MAX_GROWTH:
        raise Refused(
            f"There are {count} {what} now, and {shown} were shown: look again, then decide."
        )


async def start_replay(
    letters: DeadLetters, jobs: Jobs, audit: AuditTrail, asked: ReplayRequest
) -> Job:
    """Make a job of it, or return the one that this token made.

    Raises:
        Refused: the filter is empty, nothing matches, or the count has grown.
        redis.exceptions.RedisError: Redis went away; ask again with the same token.
    """
    check_request(asked.token, asked.wanted, everything=asked.everything)
    chosen = await letters.select(asked.wanted)
    if not asked.overtaken:
        chosen = chosen.without_overtaken()
    if not chosen.ids:
        if found := [job for job in await jobs.latest(100) if job.id == asked.token]:
            return found[0]
        raise Refused("No dead letter matches.")
    check_growth(asked.shown, len(chosen.ids))
    return await begin_replay(jobs, audit, chosen, asked)


async def begin_replay(
    jobs: Jobs, audit: AuditTrail, chosen: Selection, asked: ReplayRequest
) -> Job:
    """Make a job of these letters, once for each token."""
    what = asked.what or asked.wanted.in_words()
    given: dict[str, Any] = {"what": what, "by": asked.by, "why": asked.why}
    if asked.rate is not None:
        given["rate"] = asked.rate
    if asked.first:
        given["first"] = asked.first
    if asked.overtaken:
        given["overtakes"] = 1
    if await jobs.create(asked.token, chosen.ids, **given):
        await audit.record(Act(asked.by, "replay", what, len(chosen.ids), asked.why))
    return await jobs.get(asked.token)


def describe(chosen: Selection, *, overtaken: bool) -> list[str]:
    """What a person is to know before a replay, as sentences."""
    lines = []
    if chosen.first_seen:
        lines.append(f"The oldest event came {iso(chosen.first_seen)}.")
    if chosen.older:
        lines.append(f"{chosen.older} of them came more than a day ago.")
    if chosen.overtaken:
        end = "go out all the same" if overtaken else "stay; --overtaken sends them"
        lines.append(f"{len(chosen.overtaken)} of them are overtaken and {end}.")
    if chosen.emailing:
        lines.append(f"{chosen.emailing} of them may start e-mails now.")
    return lines
