"""The operator's brake: pause and resume a lane, or a whole account."""

from __future__ import annotations

from typing import Final

import redis.asyncio

from pipeline.gates.gates import Closure, GateReason, Gates

ACCOUNT_SCOPE: Final = "account"
"""Stands for all lanes of an account."""
ENDED_BY_PEOPLE: Final[tuple[GateReason, ...]] = ("paused", "brake")
"""The reasons that an operator may end; the others end by themselves when their cause is over."""


async def pause(client: redis.asyncio.Redis, account: str, scope: str, why: str = "") -> bool:
    """Stop delivering in a lane or an account; what arrives is kept. False when it was paused already.

    why: for whoever looks later; must be safe to show.
    """
    gates, now_ms = Gates(client, account), await redis_now_ms(client)
    if await gates.closure(scope, "paused", now_ms) is not None:
        return False
    detail = f"by the operator: {why}" if why else "by the operator"
    await gates.close(Closure(scope, "paused", 0, now_ms, detail))
    return True


async def resume(client: redis.asyncio.Redis, account: str, scope: str) -> list[GateReason]:
    """End a pause, and the brake that stopped a lane in which most events died; returns what there was to end."""
    gates = Gates(client, account)
    return [reason for reason in ENDED_BY_PEOPLE if await gates.open(scope, reason)]


async def redis_now_ms(client: redis.asyncio.Redis) -> int:
    """Redis' time, the clock that all processes share, in Unix milliseconds."""
    seconds, micros = await client.time()
    return int(seconds * 1000 + micros // 1000)
