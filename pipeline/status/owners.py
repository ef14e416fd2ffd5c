"""Whose each account's data are, beside what the settings deliver to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from pipeline.counters import OUTCOME_COUNTS, Count, Counters
from pipeline.settings import Settings
from pipeline.status.raw import raw_by_account
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts
from pipeline.targets import Owner, Target, target_of, ways_on, why_not


@dataclass(frozen=True, slots=True)
class Standing:
    """One account: its owner as Redis keeps it, and what these settings deliver to.

    waiting: events in the raw stream and in mailboxes. letters: dead letters. accepted: all events there ever were.
    """

    account: str
    owner: Owner
    target: Target
    waiting: int = 0
    letters: int = 0
    accepted: int = 0

    @property
    def is_foreign(self) -> bool:
        """Whether processes with these settings leave the account's events alone."""
        return not self.owner.lets(self.target)

    @property
    def why(self) -> str:
        """Why they do, and how much that concerns: a clause without an end."""
        reason = why_not(self.account, self.owner, self.target)
        return f"{reason} (waiting events: {self.waiting}, dead letters: {self.letters})"

    @property
    def fix(self) -> str:
        """What a person can do about it: a clause without an end."""
        return ways_on(self.account, self.owner)


async def read_owners(client: redis.asyncio.Redis, accounts: Sequence[str]) -> dict[str, Owner]:
    """Whose these accounts' data are."""
    stored: list[Any] = await client.mget([keys.target(name) for name in accounts])
    texts = [(value or b"").decode("utf-8", "replace") for value in stored]
    return {name: Owner.read(text) for name, text in zip(accounts, texts, strict=True)}


async def read_standings(client: redis.asyncio.Redis, settings: Settings) -> dict[str, Standing]:
    """How all accounts of these settings stand. Reads only; no event leaves Redis for it."""
    names = list(settings.accounts)
    owners = await read_owners(client, names)
    wanted = [keys.RAW, keys.HELD, *map(keys.counts, names)]
    _, _, backlog, held, *tables = await Scripts(client, "pipeline.status").run(
        "counts", wanted, []
    )
    raw = await raw_by_account(client, names, backlog, held)
    return {
        name: Standing(
            name,
            owners[name],
            target_of(settings.account(name)),
            waiting=raw.get(name, 0) + counters.total(Count.WAITING),
            letters=counters.total(Count.DEAD),
            accepted=raw.get(name, 0) + sum(map(counters.total, OUTCOME_COUNTS)),
        )
        for name, counters in zip(names, map(Counters.read, tables), strict=True)
    }
