"""Sends the shop's day to a running trial, waits until it is through, and compares its end with the expectation.

    make sample

It is sent to the sandbox alone, and once: a second time its repeats are known and its orders are made.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from examples.shop_day.ends import Ends, differences
from pipeline.cli.app import run
from pipeline.cli.errors import DONE, FAILED, WRONG_USAGE, BadInput
from pipeline.cli.output import note, result, speak_utf8
from pipeline.cli.session import Session, in_session
from pipeline.clock import Clock, SystemClock
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.letter import Letter
from pipeline.deadletters.store import DeadLetters
from pipeline.errors import ConfigError, SailpipeError
from pipeline.events.models import Lane
from pipeline.status.owners import read_standings
from pipeline.status.report import read_status
from pipeline.status.waiting import read_waiting
from pipeline.storage import keys
from pipeline.targets import SANDBOX
from pipeline.trace.log import TraceLog
from pipeline.trace.names import message_name

FILE = Path(__file__).with_name("shop-day.jsonl")
EXPECTED = Path(__file__).with_name("shop-day.expected.json")
ACCOUNT = "default"
STUCK_AFTER_S = 30.0
"""Seconds without any event ending after which the sample is compared as it stands."""
SAY_EVERY_S = 2.0
_POLL_S = 0.5
_SHOWN = 20
"""Differences that are told one by one."""


async def check_may_be_sent(session: Session) -> None:
    """Raises BadInput when the trial is none, does not run, or has had the sample before."""
    standing = (await read_standings(session.redis, session.settings))[ACCOUNT]
    if standing.target.name != SANDBOX or standing.is_foreign:
        why = (
            standing.why if standing.is_foreign else f"these settings deliver to {standing.target}"
        )
        raise BadInput(
            f"The sample is for the sandbox alone, and {why}. Try it in a folder without settings of"
            " yours: `make run` there, and `make sample` in a second terminal."
        )
    if not await session.redis.exists(keys.SPLITTER):
        raise BadInput("Nothing splits what would be sent: start `make run` in another terminal.")
    if await _was_sent(session):
        raise BadInput(
            "The sample was sent here before: its repeats would be dropped and its orders are made. To begin"
            " anew, empty the trial: .venv/bin/sailpipe reset --yes && make sample"
        )


async def read_ends(session: Session, before: Ends = Ends()) -> tuple[Ends, bool]:  # noqa: B008 - frozen
    """What became of the events since `before`, and whether nothing is on its way any more."""
    found = await read_status(session.redis, session.settings, session.redis_url, only=[ACCOUNT])
    account = found["accounts"][ACCOUNT]
    waiting: Counter[str] = Counter()
    for box in (await read_waiting(session.redis, session.settings.account(ACCOUNT), Lane)).boxes:
        waiting[box.why] += box.events
    letters = {one.id: one.header.reason async for one in _letters(session)}
    ends = Ends(
        account["counts"]["delivered"] - before.delivered,
        account["counts"]["duplicates"] - before.duplicates,
        Counter(account["ignored"]) - Counter(before.ignored),
        {one: reason for one, reason in letters.items() if one not in before.dead},
        waiting - Counter(before.waiting),
    )
    is_over = (
        account["counts"]["waiting"]
        == ends.waiting_long + Ends(waiting=before.waiting).waiting_long
    )
    return ends, is_over


async def wait_for_end(session: Session, before: Ends, events: int, clock: Clock) -> Ends:
    """Return when each event has ended or waits for an email or user, or when none has ended for a while."""
    moved = said = clock.monotonic()
    last = Ends()
    while True:
        ends, is_over = await read_ends(session, before)
        now = clock.monotonic()
        is_still = ends == last  # its parts are read one after the other
        if is_still and is_over and ends.through + ends.waiting_long >= events:
            return ends
        if ends.through != last.through:
            moved = now
        elif now - moved > STUCK_AFTER_S:
            return ends
        last = ends
        if now - said >= SAY_EVERY_S:
            said = now
            note(f"  {ends.through} of {events} are through ...")
        await clock.sleep(_POLL_S)


def report(expected: dict[str, Any], ends: Ends) -> int:
    """Say how it ended; the exit code."""
    wrong = differences(expected, ends)
    total = expected["enqueued"]
    right = total - sum(one.events for one in wrong)
    for one in wrong[:_SHOWN]:
        result(f"Different: {one.text}")
    if len(wrong) > _SHOWN:
        result(f"... and {len(wrong) - _SHOWN} more differences")
    result(f"{right} of {total} as expected{'' if wrong else f': {_summary(ends)}'}.")
    if wrong:
        note(
            "`sailpipe status` says what goes on. Only the sample may be sent while it is compared."
        )
    return FAILED if wrong else DONE


def _summary(ends: Ends) -> str:
    parts = [
        f"{ends.delivered} delivered",
        f"{ends.duplicates} repeats dropped",
        f"{sum(ends.ignored.values())} ignored",
        f"{len(ends.dead)} dead letters",
    ]
    if ends.waiting_long:
        email, user = ends.waiting.get("email", 0), ends.waiting.get("user", 0)
        waits = f"{email} for an email, {user} for Sailthru to know their user"
        parts.append(f"{ends.waiting_long} waiting ({waits})")
    return ", ".join(parts)


async def _was_sent(session: Session) -> bool:
    with FILE.open("rb") as lines:
        first = json.loads(next(lines))["messageId"]
    if await TraceLog(session.redis, ACCOUNT).find([message_name(first)]):
        return True
    expected = json.loads(EXPECTED.read_text())["dead"].keys()
    return bool(expected & {one.id async for one in _letters(session)})


def _letters(session: Session) -> AsyncIterator[Letter]:
    return DeadLetters(session.redis, ACCOUNT).scan(Filter())


def send_and_compare() -> int:
    """Send the sample, wait, compare. Returns the exit code."""

    async def begin(session: Session) -> Ends:
        await check_may_be_sent(session)
        return (await read_ends(session))[0]

    async def end(session: Session) -> Ends:
        return await wait_for_end(session, before, expected["enqueued"], SystemClock())

    expected: dict[str, Any] = json.loads(EXPECTED.read_text())
    before = in_session(ACCOUNT, begin)
    if code := run(["enqueue", str(FILE)]):
        return code
    return report(expected, in_session(ACCOUNT, end))


def main() -> int:
    """The exit code: 0 all as expected, 1 not, 2 it may not be sent here."""
    speak_utf8()
    try:
        return send_and_compare()
    except (ConfigError, BadInput) as error:
        note(f"make sample: {error}")
        return WRONG_USAGE
    except SailpipeError as error:
        note(f"make sample: {error}")
        return FAILED
    except KeyboardInterrupt:
        note("Not waiting any longer: what was sent is delivered all the same. sailpipe status")
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
