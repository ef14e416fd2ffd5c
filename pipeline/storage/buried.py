"""Reads the tombstones of accounts, each generation of them once."""

from __future__ import annotations

from typing import Any

import redis.asyncio

from pipeline.storage import keys
from pipeline.tombstones import Tombstones


class Buried:
    """The tombstones of accounts as they were last read. There may be thousands, which change with each erasure alone."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._redis = client
        self._by_account: dict[str, Tombstones] = {}

    def last(self, account: str) -> Tombstones:
        """As they were last read; none before that."""
        return self._by_account.get(account, Tombstones())

    async def of(self, account: str, generation: str) -> Tombstones:
        """Of this generation, or of a later one. Raises redis.exceptions.RedisError."""
        if self.last(account).generation != generation:
            await self.read(account)
        return self.last(account)

    async def read(self, account: str) -> None:
        """Read them anew. Raises redis.exceptions.RedisError."""
        self._by_account[account] = await _read_tombstones(self._redis, account)


async def _read_tombstones(client: redis.asyncio.Redis, account: str) -> Tombstones:
    """In one round trip. Raises redis.exceptions.RedisError."""
    async with client.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.get(keys.forget_key(account))
        pipe.hgetall(keys.forgotten(account))
        found: Any = await pipe.execute()
    (seconds, micros), key, fields = found
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    texts = {name.decode(): value.decode() for name, value in fields.items()}
    return Tombstones.read(bytes.fromhex((key or b"").decode()), texts, now_ms)
