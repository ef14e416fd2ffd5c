"""The raw stream, and what is held of it, are shared by all accounts: how much is whose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import redis.asyncio

from pipeline.settings import DEFAULT_ACCOUNT
from pipeline.storage import keys
from pipeline.storage.numbers import HELD_MOST
from pipeline.storage.scripts import Scripts

MAX_ENTRIES_READ = 20_000
"""Entries whose account is looked at."""
CHUNK = 500


@dataclass(frozen=True, slots=True)
class HeldAccount:
    """An account that a splitter did not know, and how many of its events are held."""

    account: str
    events: int

    @property
    def why(self) -> str:
        """What is the matter: a clause without an end."""
        return (
            f"account {self.account} is not in the splitter's settings (events held: {self.events})"
        )

    @property
    def fix(self) -> str:
        """What a person can do about it: a clause without an end."""
        return (
            f"put [accounts.{self.account}] into the settings and restart the splitter; after a day the events"
            " are dead letters"
        )


async def raw_by_account(
    client: redis.asyncio.Redis, accounts: Sequence[str], backlog: int, held: int = 0
) -> Mapping[str, int]:
    """The raw backlog of each account; the numbers add up to `backlog` and `held`, which is the default one's.

    With one account everything is its own. Else the oldest 20,000 entries are counted, and what is
    behind them is shared out among the accounts in the same proportion. An account that is not
    configured counts as the default one, where its events will be dead letters.
    """
    if len(accounts) == 1:
        return {accounts[0]: backlog + held}
    if not backlog:
        return {DEFAULT_ACCOUNT: held}
    counted = await _count(client, min(backlog, MAX_ENTRIES_READ))
    known = Counter[str]()
    for name, entries in counted.items():
        known[name if name in accounts else DEFAULT_ACCOUNT] += entries
    seen = max(1, known.total())
    shares = {name: entries * backlog // seen for name, entries in known.items()}
    rest = held + backlog - sum(shares.values())
    shares[DEFAULT_ACCOUNT] = shares.get(DEFAULT_ACCOUNT, 0) + rest
    return shares


async def held_by_account(client: redis.asyncio.Redis) -> list[HeldAccount]:
    """Whose events wait for a splitter that knows their account, by name."""
    counted = await _count(client, HELD_MOST, keys.HELD)
    return [HeldAccount(name, count) for name, count in sorted(counted.items())]


async def _count(client: redis.asyncio.Redis, most: int, stream: str = keys.RAW) -> Counter[str]:
    counts = Counter[str]()
    scripts, begin = Scripts(client, "pipeline.status"), "-"
    while counts.total() < most:
        last, *pairs = await scripts.run("raw", [stream], [begin, CHUNK])
        if not pairs:
            break
        for name, entries in zip(pairs[::2], pairs[1::2], strict=True):
            counts[name.decode("utf-8", "replace")] += entries
        begin = f"({last.decode()}"
    return counts
