"""Keeps the dead-letter store within DEAD_KEEP and DEAD_MAX; what goes is counted as removed."""

from __future__ import annotations

import asyncio

import redis.asyncio
import redis.exceptions

from pipeline.deadletters.store import DeadLetters
from pipeline.observe.logs import log_event
from pipeline.settings import Settings

EVERY_S = 60.0


async def keep_forever(client: redis.asyncio.Redis, settings: Settings) -> None:
    """Trim every account's letters once a minute, until cancelled."""
    while True:
        await asyncio.sleep(EVERY_S)
        for name, account in settings.accounts.items():
            try:
                gone = await DeadLetters(client, name).trim(account.dead_keep, account.dead_max)
            except redis.exceptions.RedisError:
                continue  # the waker says so; the next minute tries again
            if gone:
                log_event("dead_letters_trimmed", account=name, letters=gone)
