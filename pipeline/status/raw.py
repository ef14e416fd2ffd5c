"""The raw stream is shared by all accounts: how much of it is whose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import redis.asyncio

from pipeline.settings import DEFAULT_ACCOUNT
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts

MAX_ENTRIES_READ = 20_000
"""Entries whose account is looked at."""
CHUNK = 500


async def raw_by_account(
    client: redis.asyncio.Redis, accounts: Sequence[str], backlog: int
) -> Mapping[str, int]:
    """The raw backlog of each account; the numbers add up to `backlog`.

    With one account everything is its own. Else the oldest 20,000 entries are counted, and what is
    behind them is shared out among the accounts in the same proportion. An account that is not
    configured counts as the default one, where its events will be dead letters.
    """
    if len(accounts) == 1 or not backlog:
        return {accounts[0]: backlog}
    counted = await _count(client, min(backlog, MAX_ENTRIES_READ))
    known = Counter[str]()
    for name, entries in counted.items():
        known[name if name in accounts else DEFAULT_ACCOUNT] += entries
    seen = max(1, known.total())
    shares = {name: entries * backlog // seen for name, entries in known.items()}
    shares[DEFAULT_ACCOUNT] = shares.get(DEFAULT_ACCOUNT, 0) + backlog - sum(shares.values())
    return shares


async def _count(client: redis.asyncio.Redis, most: int) -> Counter[str]:
    counts = Counter[str]()
    scripts, begin = Scripts(client, "pipeline.status"), "-"
    while counts.total() < most:
        last, *pairs = await scripts.run("raw", [keys.RAW], [begin, CHUNK])
        if not pairs:
            break
        for name, entries in zip(pairs[::2], pairs[1::2], strict=True):
            counts[name.decode("utf-8", "replace")] += entries
        begin = f"({last.decode()}"
    return counts
