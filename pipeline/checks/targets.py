"""Whether what waits in Redis is for what the settings deliver to."""

from __future__ import annotations

from collections.abc import Sequence

import redis
import redis.asyncio

from pipeline.checks.check import Check, Verdict
from pipeline.errors import ConfigError
from pipeline.ownership.accounts import RemovedAccount, removed_accounts
from pipeline.settings import Settings
from pipeline.status.erasures import Unfinished, unfinished_erasures
from pipeline.status.owners import Standing, read_standings
from pipeline.status.raw import HeldAccount, held_by_account


async def check_targets(
    client: redis.asyncio.Redis, settings: Settings, accounts: Sequence[str]
) -> list[Check]:
    """Whose each account's events are, and who is erased by half. Without Redis there is nothing to say: check_redis does."""
    try:
        standings = await read_standings(client, settings)
        removed = await removed_accounts(client, settings.accounts)
        held = await held_by_account(client)
        erasures = await unfinished_erasures(client, list(accounts))
    except (ConfigError, redis.RedisError):
        return []
    checks = [judge(standings[name]) for name in accounts]
    checks += [*map(judge_removed, removed), *map(judge_held, held)]
    return [*checks, *map(judge_erasures, erasures)]


def judge(standing: Standing) -> Check:
    """What is found of one account. No I/O."""
    name = f"{standing.account} target"
    if standing.is_foreign:
        return Check(name, Verdict.FAIL, standing.why, standing.fix)
    return Check(name, Verdict.OK, str(standing.target))


def judge_removed(one: RemovedAccount) -> Check:
    """What is found of an account that is not in the settings any more. No I/O."""
    verdict = Verdict.FAIL if one.waiting else Verdict.WARN
    return Check(f"{one.account} settings", verdict, one.why, one.fix)


def judge_erasures(one: Unfinished) -> Check:
    """What is found of erasures of people that were not ended. No I/O."""
    return Check(f"{one.account} erasures", Verdict.WARN, one.why, one.fix)


def judge_held(one: HeldAccount) -> Check:
    """What is found of an account that the splitter does not know. No I/O."""
    return Check(f"{one.account} settings", Verdict.FAIL, one.why, one.fix)
