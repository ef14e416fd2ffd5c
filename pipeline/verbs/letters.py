"""Sends dead letters again, for whichever face asks: what is meant, whether that may be, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import redis.asyncio

from pipeline.deadletters.audit import AuditTrail
from pipeline.deadletters.filters import Filter, Selection
from pipeline.deadletters.jobs import Job, Jobs
from pipeline.deadletters.replays import ReplayRequest, check_request, start_replay
from pipeline.deadletters.store import DeadLetters
from pipeline.errors import SailpipeError
from pipeline.settings import Settings
from pipeline.status.owners import read_owners
from pipeline.targets import Target, target_of, ways_on, why_not


class NotReplayed(SailpipeError):
    """Nothing was sent again; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Resent:
    """What a replay did. gone: replayed, dropped or overtaken meanwhile. overtaken: left where they are."""

    replayed: int
    gone: int
    overtaken: int


async def choose(letters: DeadLetters, ids: Sequence[str], wanted: Filter) -> Selection:
    """The letters of these ids, or without any those that match. Raises UnknownLetter."""
    return await letters.select_ids(ids) if ids else await letters.select(wanted)


async def check_target(
    client: redis.asyncio.Redis, settings: Settings, account: str, chosen: Selection
) -> None:
    """Refuse to replay what died at another target than these settings deliver to. Raises NotReplayed."""
    if not chosen.ids:
        return
    own = target_of(settings.account(account))
    owner = (await read_owners(client, [account]))[account]
    if not owner.lets(own):
        raise NotReplayed(
            f"Nothing was replayed, since {why_not(account, owner, own)}: {ways_on(account, owner)}."
        )
    for name in sorted(chosen.targets - {"", *own.names}):
        raise NotReplayed(
            f"Nothing was replayed, since letters among these died at {Target(name)}, and these settings"
            f" deliver to {own}: leave them out, or export and enqueue them."
        )


async def start_job(
    client: redis.asyncio.Redis, settings: Settings, account: str, asked: ReplayRequest
) -> Job:
    """Begin to send again all that a filter means, as a job; with the token of one that was begun, that one.

    Raises:
        NotReplayed: letters among them died at another target.
        Refused: the filter is empty, nothing matches, or the count has grown.
    """
    check_request(asked.token, asked.wanted, everything=asked.everything)
    letters = DeadLetters(client, account)
    await check_target(client, settings, account, await letters.select(asked.wanted))
    return await start_replay(letters, Jobs(client, account), AuditTrail(client, account), asked)


async def resend(
    client: redis.asyncio.Redis,
    settings: Settings,
    account: str,
    chosen: Selection,
    *,
    overtaken: bool = False,
) -> Resent:
    """Put letters back into their queues, in the order in which their events came.

    overtaken: also identifies and cart changes that a later one of their user has overtaken.
    Raises NotReplayed for letters of another target.
    """
    await check_target(client, settings, account, chosen)
    meant = chosen if overtaken else chosen.without_overtaken()
    done = await DeadLetters(client, account).replay(meant.ids, overtaken=overtaken)
    return Resent(done, len(meant.ids) - done, len(chosen.ids) - len(meant.ids))
