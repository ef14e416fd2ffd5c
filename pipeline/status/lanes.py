"""What waits in a lane: how old it is, and what for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import redis.asyncio

from pipeline.events.models import Lane
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts

MAX_DUE_LATER = 20_000
"""Mailboxes due later that are looked at: those that retry or wait for something."""
MAX_DUE_NOW = 2_000
"""Mailboxes due now or leased that are looked at, longest-due first: the oldest event is there."""
CHUNK = 250
"""Mailboxes looked at in one step, about a millisecond of Redis' time."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen in one lane. `retrying`, `waiting_email` and `waiting_other` count mailboxes, by their heads; the last
    are those that wait for their user, for another lane, or for a time.

    oldest_ms: when the oldest event seen was accepted (Unix ms); None when nothing waits.
    due_ms: since when the live mailbox that is due longest has waited for a worker (Unix ms); None when none is due.
    resting: events in mailboxes that are not due yet.
    complete: False when there were more mailboxes than are looked at; the numbers are then the
        least there is.
    """

    oldest_ms: int | None = None
    retrying: int = 0
    waiting_email: int = 0
    waiting_other: int = 0
    due_ms: int | None = None
    resting: int = 0
    complete: bool = True


async def look_at_lane(
    client: redis.asyncio.Redis, account: str, lane: Lane, *, now_ms: int
) -> Look:
    """Look at the heads of a lane's mailboxes; no event leaves Redis for it."""
    async with client.pipeline(transaction=False) as pipe:
        for due in (keys.due(account, lane), keys.due_bulk(account, lane)):
            pipe.zrange(due, f"({now_ms}", "+inf", byscore=True, offset=0, num=MAX_DUE_LATER)
            pipe.zrange(due, "-inf", str(now_ms), byscore=True, offset=0, num=MAX_DUE_NOW)
            pipe.zcount(due, f"({now_ms}", "+inf")
        pipe.zrange(keys.leased(account, lane), 0, MAX_DUE_NOW - 1)
        pipe.zrange(keys.due(account, lane), 0, 0, withscores=True)
        (
            later,
            now,
            waiting,
            bulk_later,
            bulk_now,
            bulk_waiting,
            leased,
            first,
        ) = await pipe.execute()
    resting = await _heads(client, account, lane, dict.fromkeys([*later, *bulk_later]))
    moving = await _heads(client, account, lane, dict.fromkeys([*now, *bulk_now, *leased]))
    due_ms = int(first[0][1]) if first else None
    retrying = resting.retrying + moving.retrying
    waiting_email = resting.waiting_email + moving.waiting_email
    return Look(
        oldest_ms=min(filter(None, (resting.oldest_ms, moving.oldest_ms)), default=None),
        retrying=retrying,
        waiting_email=waiting_email,
        waiting_other=max(0, waiting + bulk_waiting - retrying - waiting_email),
        due_ms=due_ms if due_ms is not None and due_ms <= now_ms else None,
        resting=resting.events,
        complete=waiting + bulk_waiting <= len(later) + len(bulk_later),
    )


class _Heads(NamedTuple):
    oldest_ms: int
    retrying: int
    waiting_email: int
    events: int


async def _heads(
    client: redis.asyncio.Redis, account: str, lane: Lane, boxes: Iterable[bytes]
) -> _Heads:
    found, scripts = [], Scripts(client, "pipeline.status")
    names = [box.decode() for box in boxes]
    for start in range(0, len(names), CHUNK):
        asked = _names(account, lane, names[start : start + CHUNK])
        at, *counts = await scripts.run("look", asked, [])
        found.append(_Heads(int(at), *counts))
    oldest = min(filter(None, (one.oldest_ms for one in found)), default=0)
    return _Heads(
        oldest,
        sum(one.retrying for one in found),
        sum(one.waiting_email for one in found),
        sum(one.events for one in found),
    )


def _names(account: str, lane: Lane, boxes: Sequence[str]) -> list[str]:
    kinds = (keys.mail, keys.mailbox_state)
    return [name(account, lane, box) for box in boxes for name in kinds]
