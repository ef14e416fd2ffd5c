"""All that lies in a Redis as texts, with what is packed unpacked: to show that nothing names a person any more."""

from __future__ import annotations

import base64
import contextlib
import json
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import redis.asyncio

from pipeline.packed import unpack

SEPARATOR = b"\0"


async def everything(client: redis.asyncio.Redis) -> AsyncIterator[tuple[bytes, bytes]]:
    """Each key with each of its members, fields and values, as they lie there and as they read."""
    names: Any = await client.keys()
    for name in sorted(names):
        yield name, b""
        async for text in _texts(client, name):
            for one in _unpacked(text):
                yield name, one


async def names_of(client: redis.asyncio.Redis, *ids: str) -> list[tuple[bytes, bytes]]:
    """Where one of these stands, in any case of letters."""
    sought = [one.lower().encode() for one in ids]
    return [
        (key, text)
        async for key, text in everything(client)
        if any(one in key.lower() or one in text.lower() for one in sought)
    ]


async def _texts(client: Any, name: bytes) -> AsyncIterator[bytes]:
    match (await client.type(name)).decode():
        case "string":
            yield await client.get(name)
        case "hash":
            for field, value in (await client.hgetall(name)).items():
                yield field
                yield value
        case "list":
            for one in await client.lrange(name, 0, -1):
                yield one
        case "set":
            for one in await client.smembers(name):
                yield one
        case "zset":
            for one in await client.zrange(name, 0, -1):
                yield one
        case "stream":
            for _, fields in await client.xrange(name):
                for field, value in fields.items():
                    yield field
                    yield value


def _unpacked(text: bytes) -> Iterator[bytes]:
    """The text, and what it holds: a compressed block, a letter or entry with packed parts, a message of Celery's."""
    yield text
    with contextlib.suppress(zlib.error):
        yield zlib.decompress(text)
    line, _, rest = text.partition(b"\n")
    with contextlib.suppress(ValueError):
        head = json.loads(line)
        if isinstance(head, dict):
            if head.get("packed"):
                yield unpack(rest)
            if head.get("packed_calls"):
                yield unpack(head["packed_calls"])
            if isinstance(head.get("body"), str):
                yield base64.b64decode(head["body"])
