"""Reads an account's tombstones. There may be thousands, which change with each erasure alone: each generation is read once."""

from __future__ import annotations

from typing import Any

import redis.asyncio

from pipeline.storage import keys
from pipeline.tombstones import Tombstones


async def read_tombstones(client: redis.asyncio.Redis, account: str) -> Tombstones:
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
