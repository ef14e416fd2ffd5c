"""An account's messages in the lanes' Celery queues. A lost one costs nothing (docs/architecture.md)."""

from __future__ import annotations

import base64
import json
from typing import Any

import redis.asyncio

from pipeline.events.models import Lane
from pipeline.storage import keys

MAX_MESSAGES = 1_000
"""Messages of a queue that are looked at; the waker publishes none past ten."""


async def remove_wakeups(client: redis.asyncio.Redis, account: str) -> int:
    """Take them out, since they name mailboxes that are gone; returns how many."""
    removed = 0
    for lane in Lane:
        queue = keys.celery_queue(lane)
        messages: list[Any] = await client.lrange(queue, 0, MAX_MESSAGES - 1)
        for message in messages:
            if account_of(message) == account:
                removed += await client.lrem(queue, 1, message)
    return removed


def account_of(message: bytes) -> str | None:
    """Whose mailboxes a message of Celery's names; None when it is no wake-up of ours. No I/O."""
    try:
        (account, *_), *_ = json.loads(base64.b64decode(json.loads(message)["body"]))
    except (ValueError, KeyError, TypeError):
        return None
    return account if isinstance(account, str) else None
