"""Filters of dead letters that people saved under a name, for all who look at an account."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import redis.asyncio

from pipeline.errors import SailpipeError
from pipeline.storage import keys

MAX_VIEWS: Final = 50
"""Of an account."""
MAX_NAME: Final = 60
"""Characters of a name."""
MAX_FILTER: Final = 500
"""Characters of all that a view asks for."""
PERSONAL: Final = ("user", "order")
"""Filters that mean one person, who may be erased: a view must not keep them."""


class NotSaved(SailpipeError):
    """A view was not saved; the sentence says why."""


class SavedViews:
    """One account's views. Connection errors propagate."""

    def __init__(self, client: redis.asyncio.Redis, account: str) -> None:
        self._redis = client
        self._key = keys.dead_views(account)

    async def all(self) -> dict[str, dict[str, str]]:
        """Name -> filters as a page has them in its address, by name."""
        rows: Any = await self._redis.hgetall(self._key)
        found = {name.decode(): json.loads(value) for name, value in rows.items()}
        return dict(sorted(found.items()))

    async def save(self, name: str, asked: Mapping[str, str]) -> None:
        """Save filters under a name, in place of those that it had. Raises NotSaved."""
        check_view(name, asked)
        names: Any = await self._redis.hkeys(self._key)
        if len(names) >= MAX_VIEWS and name.encode() not in names:
            raise NotSaved(f"There are {MAX_VIEWS} views already: delete one first.")
        await self._redis.hset(self._key, name, json.dumps(dict(asked), ensure_ascii=False))

    async def delete(self, name: str) -> bool:
        """Whether there was one."""
        return bool(await self._redis.hdel(self._key, name))


def check_view(name: str, asked: Mapping[str, str]) -> None:
    """Raises NotSaved for what cannot be a view. No I/O."""
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise NotSaved(f"A view has a name, of at most {MAX_NAME} characters.")
    if not asked:
        raise NotSaved("A view has a filter: without one it is the whole list.")
    if any(one in asked for one in PERSONAL) or any("@" in text for text in asked.values()):
        raise NotSaved(
            "A view is kept until it is deleted, and so it must not name a person or an order."
        )
    if sum(map(len, asked.values())) > MAX_FILTER:
        raise NotSaved(f"What a view asks for has at most {MAX_FILTER} characters.")
