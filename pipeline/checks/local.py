"""All checks that ask Redis alone: they may be made at any time, by a page that is only looked at, too."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import redis.asyncio

from pipeline.checks.check import Check
from pipeline.checks.processes import check_processes
from pipeline.checks.storage import check_redis
from pipeline.checks.targets import check_targets
from pipeline.settings import Settings


async def check_here(
    client: redis.asyncio.Redis,
    where: str,
    settings: Settings,
    accounts: Sequence[str],
    called: Callable[[str], str] = str,
) -> list[Check]:
    """Redis, processes, and whose events wait. where: the address of Redis, without a password. accounts: those
    that are looked at. called: how a lane is named."""
    return [
        *await check_redis(client, where, settings.memory_high),
        *await check_processes(client, called),
        *await check_targets(client, settings, accounts),
    ]
