"""Accounts that were served here and are in the settings no more: their events wait, and no process looks at them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from pipeline.counters import Count, Counters
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts


@dataclass(frozen=True, slots=True)
class RemovedAccount:
    """What lies in Redis of one of them. waiting: events in mailboxes. letters: dead letters."""

    account: str
    waiting: int
    letters: int

    @property
    def why(self) -> str:
        """What is the matter: a clause without an end."""
        return (
            f"account {self.account} is not in the settings"
            f" (waiting events: {self.waiting}, dead letters: {self.letters})"
        )

    @property
    def fix(self) -> str:
        """What a person can do about it: a clause without an end."""
        return (
            f"put [accounts.{self.account}] back into the settings; with it there,"
            f" `sailpipe reset --account {self.account}` empties it"
        )


async def enrol_accounts(client: redis.asyncio.Redis, accounts: Collection[str]) -> None:
    """Note that a process serves these. In a full Redis, too, which must not keep a worker from starting."""
    await Scripts(client, "pipeline.ownership").run("enrol", [keys.ACCOUNTS], list(accounts))


async def removed_accounts(
    client: redis.asyncio.Redis, configured: Collection[str]
) -> list[RemovedAccount]:
    """Those that were enrolled once, are not `configured`, and have events or letters left."""
    known: Any = await client.smembers(keys.ACCOUNTS)
    names = sorted({name.decode("utf-8", "replace") for name in known} - {*configured})
    found = []
    for name in names:
        table: Any = await client.hgetall(keys.counts(name))
        counters = Counters({field.decode(): int(value) for field, value in table.items()})
        waiting, letters = counters.total(Count.WAITING), counters.total(Count.DEAD)
        if waiting or letters:
            found.append(RemovedAccount(name, waiting, letters))
    return found
