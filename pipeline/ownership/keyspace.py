"""Steps through an account's keys and mailboxes, a bounded number at a time, while others write them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import redis.asyncio

from pipeline.events.models import Lane
from pipeline.storage import keys

Done: TypeAlias = Callable[[int], None]
"""Called with how many more keys, letters or mailboxes are done."""
PAGE = 500
"""Names that Redis is asked for at a time."""
BOXES = 50
"""Mailboxes worked on in one script."""


async def each_key(client: redis.asyncio.Redis, account: str) -> AsyncIterator[list[bytes]]:
    """The account's keys, each without what all of them begin with, some at a time.

    What is there from beginning to end is named once or more; what comes or goes meanwhile may be.
    """
    prefix, cursor = keys.account_prefix(account), 0
    names: Any
    while True:
        cursor, names = await client.scan(cursor, match=f"{prefix}*", count=PAGE)
        yield [name[len(prefix) :] for name in names]
        if cursor == 0:
            return


async def each_leased(
    client: redis.asyncio.Redis, account: str, lane: Lane
) -> AsyncIterator[list[bytes]]:
    """Mailboxes that are leased, until none is: each page must be taken back before the next is asked for."""
    while True:
        page: list[Any] = await client.zrange(keys.leased(account, lane), 0, BOXES - 1)
        if not page:
            return
        yield page


async def each_due(
    client: redis.asyncio.Redis, account: str, lane: Lane
) -> AsyncIterator[list[bytes]]:
    """Mailboxes that are due at some time. The bulk ones first: one that becomes live meanwhile is among those that follow."""
    for due in (keys.due_bulk, keys.due):
        async for boxes in each_member(client, due(account, lane), BOXES):
            yield boxes


async def each_member(
    client: redis.asyncio.Redis, key: str, most: int
) -> AsyncIterator[list[bytes]]:
    """A sorted set's members; those that are there all the while are named at least once."""
    cursor = 0
    found: Any
    while True:
        cursor, found = await client.zscan(key, cursor, count=PAGE)
        names = [name for name, _ in found]
        for start in range(0, len(names), most):
            yield names[start : start + most]
        if cursor == 0:
            return


async def survey(client: redis.asyncio.Redis, account: str) -> Counter[str]:
    """How many keys the account has of each kind: `user`, `cart`, `anon`, ..."""
    kinds = Counter[str]()
    async for names in each_key(client, account):
        kinds.update(name.partition(b":")[0].decode("utf-8", "replace") for name in names)
    return kinds
