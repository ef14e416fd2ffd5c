"""What waits in a lane: how old it is, and what for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    """What was seen in one lane. `retrying` and `waiting_email` count mailboxes, by their heads.

    oldest_ms: when the oldest event seen was accepted (Unix ms); None when nothing waits.
    complete: False when there were more mailboxes than are looked at; the numbers are then the
        least there is.
    """

    oldest_ms: int | None = None
    retrying: int = 0
    waiting_email: int = 0
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
        later, now, waiting, bulk_later, bulk_now, bulk_waiting, leased = await pipe.execute()
    seen = [*later, *now, *bulk_later, *bulk_now, *leased]
    boxes = [box.decode() for box in dict.fromkeys(seen)]
    oldest, retrying, waiting_email = 0, 0, 0
    scripts = Scripts(client, "pipeline.status")
    for start in range(0, len(boxes), CHUNK):
        names = _names(account, lane, boxes[start : start + CHUNK])
        at, retries, waits = await scripts.run("look", names, [])
        oldest = min(filter(None, (oldest, int(at))), default=0)
        retrying, waiting_email = retrying + retries, waiting_email + waits
    is_complete = waiting + bulk_waiting <= len(later) + len(bulk_later)
    return Look(oldest or None, retrying, waiting_email, complete=is_complete)


def _names(account: str, lane: Lane, boxes: Sequence[str]) -> list[str]:
    kinds = (keys.mail, keys.mailbox_state)
    return [name(account, lane, box) for box in boxes for name in kinds]
