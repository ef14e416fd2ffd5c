"""Forgets which ids and emails lead where once nothing has said it for MEMORY_KEEP."""

from __future__ import annotations

from collections.abc import Callable

import redis.asyncio

from pipeline.storage.keys import account_prefix
from pipeline.storage.scripts import Scripts


async def forget_old_aliases(
    client: redis.asyncio.Redis,
    account: str,
    keep_s: float,
    *,
    time_ms: Callable[[], int] | None = None,
) -> int:
    """Look at the next part of an account's aliases; returns how many were forgotten.

    Called once a minute it looks at all of them within a day. `time_ms` replaces Redis' clock in tests.
    """
    now = "" if time_ms is None else str(time_ms())
    scripts = Scripts(client, "pipeline.splitter")
    return int(await scripts.run("sweep", [account_prefix(account)], [now, int(keep_s * 1000)]))
