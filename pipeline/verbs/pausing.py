"""The operator's brake: pause and resume a lane, or a whole account."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

import redis.asyncio

from pipeline.gates.gates import PROBED, Closure, GateReason, Gates

ACCOUNT_SCOPE: Final = "account"
"""Stands for all lanes of an account."""
ENDED_BY_PEOPLE: Final[tuple[GateReason, ...]] = ("paused", "brake")
"""The reasons that an operator may end; the others end by themselves when their cause is over."""


async def pause(
    client: redis.asyncio.Redis, account: str, scope: str, by: str, why: str = ""
) -> bool:
    """Stop delivering in a lane or an account; what arrives is kept. False when it was paused already.

    by: who, as the face knows it. why: for a person who looks later. Both are shown.
    """
    gates, now_ms = Gates(client, account), await redis_now_ms(client)
    if await gates.closure(scope, "paused", now_ms) is not None:
        return False
    name = by or "the operator"
    detail = f"by {name}: {why}" if why else f"by {name}"
    await gates.close(Closure(scope, "paused", 0, now_ms, detail))
    return True


async def resume(client: redis.asyncio.Redis, account: str, scope: str) -> list[GateReason]:
    """End a pause, and the brake that stopped a lane in which most events died; returns what there was to end."""
    gates = Gates(client, account)
    return [reason for reason in ENDED_BY_PEOPLE if await gates.open(scope, reason)]


async def probe_now(
    client: redis.asyncio.Redis, account: str, scopes: Collection[str]
) -> list[Closure]:
    """Let what an outage or refused credentials closed in these scopes be tried now, by one mailbox, and not when its pause is over;
    returns these closures. The gate opens if that is answered; the pause is as long as before if it is not."""
    gates, now_ms = Gates(client, account), await redis_now_ms(client)
    closed = [one for one in await gates.closures(scopes, now_ms) if one.reason in PROBED]
    for one in closed:
        await gates.close(replace(one, until=min(one.until, now_ms)))
    return closed


async def redis_now_ms(client: redis.asyncio.Redis) -> int:
    """Redis' time, the clock that all processes share, in Unix milliseconds."""
    seconds, micros = await client.time()
    return int(seconds * 1000 + micros // 1000)
