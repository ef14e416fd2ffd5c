"""Looks after each account once a minute: prunes its dead letters to DEAD_KEEP and DEAD_MAX (what goes is counted as
removed), what is remembered of who is who to MEMORY_KEEP and the log of outcomes to TRACE_KEEP and TRACE_MAX, and sees whether its order ids are ids."""

from __future__ import annotations

import asyncio
import logging

import redis.asyncio
import redis.exceptions

from pipeline.alerting.rules import REUSED_A_DAY
from pipeline.clock import Clock
from pipeline.deadletters.moves import LetterMoves
from pipeline.deadletters.states import GroupStates
from pipeline.deadletters.store import DeadLetters
from pipeline.observe.logs import log_event
from pipeline.settings import AccountSettings, Settings
from pipeline.splitter.aliases import forget_old_aliases
from pipeline.storage import keys
from pipeline.storage.numbers import REUSED_WINDOW_MS
from pipeline.trace.log import TraceLog

EVERY_S = 60.0
ALERT_EVERY_S = 3600.0
"""For so long after a trim the account is said to lose letters (pipeline/alerting)."""


async def prune_forever(client: redis.asyncio.Redis, settings: Settings, clock: Clock) -> None:
    """Look after every account once a minute, until cancelled."""
    while True:
        await asyncio.sleep(EVERY_S)
        for account in settings.accounts.values():
            try:
                await keep(DeadLetters(client, account.name), account)
                await keep_traces(client, account, len(settings.accounts))
                oldest_ms = int((clock.now() - account.dead_keep) * 1000)
                await GroupStates(client, account.name).forget(oldest_ms)
                await forget_old_aliases(client, account.name, account.memory_keep)
                await watch_order_ids(client, account.name)
            except redis.exceptions.RedisError:
                continue  # the waker logs it; the next minute tries again


async def keep(letters: DeadLetters, account: AccountSettings) -> None:
    """Remove what is too old, then what is too many; say so.

    Removing by age is retention. Removing by number loses letters that were promised: an error and an alert.
    """
    expired = await letters.expire(account.dead_keep)
    if expired:
        log_event("dead_letters_expired", account=account.name, letters=expired)
    trimmed = await letters.trim(account.dead_max)
    if not trimmed.letters:
        return
    fields = {"letters": trimmed.letters, "orders": trimmed.orders, "most": account.dead_max}
    log_event("dead_letters_trimmed", logging.ERROR, account=account.name, **fields)
    await letters.is_first_trim(ALERT_EVERY_S)


async def keep_traces(client: redis.asyncio.Redis, account: AccountSettings, accounts: int) -> None:
    """Remove from the log of outcomes what is too old or too much; all of it where it is off."""
    log = TraceLog(client, account.name)
    await log.trim(account.trace_keep, await log.room(account.trace_max, accounts))


async def watch_order_ids(client: redis.asyncio.Redis, account: str) -> None:
    """Say so, once a day, when many orders have the id of another: they are told apart by what is in them alone."""
    reused = int(await client.get(keys.orders_reused(account)) or 0)
    if reused < REUSED_A_DAY:
        return
    moves = LetterMoves(client, account)
    if await moves.is_first(keys.reuse_told(account), REUSED_WINDOW_MS):
        log_event("order_ids_reused", logging.WARNING, account=account, orders=reused)
