"""Whether a Redis holds data that this version reads. Asked before anything else is, once a process.

A process that misread another version's keys would lose or repeat events. XADD to the raw stream is the same in
every format, so that producers in other languages need not ask.
"""

from __future__ import annotations

from typing import Any

import redis
import redis.asyncio

from pipeline.errors import WrongFormat
from pipeline.storage import keys
from pipeline.storage.scripts import read_script

_FIX = "start the version that filled it, or set SAILPIPE_DATA_DIR or SAILPIPE_REDIS_URL to an empty place."


def check_format(client: redis.Redis, *, stamp: bool) -> None:
    """Refuse a Redis of another format. `stamp`: give one that is empty this version's number.

    Raises:
        WrongFormat: a sentence that says what to do.
        redis.exceptions.RedisError: Redis did not answer, so that nothing is known.
    """
    found = client.register_script(_script())(keys=_KEYS, args=_args(stamp=stamp))
    _judge(found)


async def check_format_async(client: redis.asyncio.Redis, *, stamp: bool) -> None:
    """`check_format` on an asyncio client."""
    found = await client.register_script(_script())(keys=_KEYS, args=_args(stamp=stamp))
    _judge(found)


_KEYS = [keys.FORMAT, keys.SPLITTER_HEAD]


def _script() -> str:
    return read_script("pipeline.storage", "format")


def _args(*, stamp: bool) -> list[int]:
    return [keys.FORMAT_NUMBER, int(stamp)]


def _judge(reply: Any) -> None:
    text = bytes(reply).decode("utf-8", "replace")
    if text != str(keys.FORMAT_NUMBER):
        raise WrongFormat(
            f"{_what_it_is(text)}, and this version reads format {keys.FORMAT_NUMBER}: {_FIX}"
        )


def _what_it_is(found: str) -> str:
    if found == "0":
        return "This Redis was filled by a sailpipe from before formats had numbers"
    if found.isdecimal():
        age = "newer" if int(found) > keys.FORMAT_NUMBER else "older"
        return f"This Redis was filled by a sailpipe of {age} format {found}"
    return "This Redis was filled by a sailpipe of unknown format"
