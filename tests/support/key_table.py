"""The keys that `pipeline/storage/keys.py` names, as rows: what a key looks like and which type it has."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import redis.asyncio

from pipeline.storage import keys

_NO_KEYS = {"account_prefix", "account_of", "kind_of"}
TYPES = {
    "String": "string",
    "Hash": "hash",
    "List": "list",
    "Set": "set",
    "Sorted set": "zset",
    "Stream": "stream",
    "HyperLogLog": "string",
}
PLACEHOLDER = re.compile(r"\b[A-Z][A-Z_]*\b")


@dataclass(frozen=True, slots=True)
class KeyRow:
    """`template`: the key with its parts in capitals, `sailpipe:ACCOUNT:due:LANE`. `type`: as TYPE says it."""

    template: str
    type: str

    def matches(self, key: bytes) -> bool:
        """Whether it is such a key."""
        text = PLACEHOLDER.sub(
            lambda part: "[^:]+" if part[0] == "ACCOUNT" else ".+", self.template
        )
        return re.fullmatch(text.encode(), key, re.DOTALL) is not None


@cache
def key_rows() -> tuple[KeyRow, ...]:
    """Every key, more exact templates first."""
    return tuple(sorted((*_constants(), *_functions()), key=lambda row: -len(row.template)))


def row_of(key: bytes) -> KeyRow | None:
    """The row of a key of ours; None when `keys.py` names none."""
    return next((row for row in key_rows() if row.matches(key)), None)


async def check_keys(client: redis.asyncio.Redis) -> None:
    """Every key in this Redis is one that `keys.py` names, and of the type it says."""
    names: list[Any] = await client.keys()
    for name in names:
        row = row_of(name)
        assert row is not None, f"{name!r} is no key that pipeline/storage/keys.py names"
        found: Any = await client.type(name)
        # fakeredis keeps what a HyperLogLog counts as a set.
        is_fake_count = row.template.endswith("dead:people:FINGERPRINT") and found == b"set"
        assert found.decode() == row.type or is_fake_count, (name, row)


def _functions() -> Iterator[KeyRow]:
    for name, function in inspect.getmembers(keys, inspect.isfunction):
        if function.__module__ == keys.__name__ and name not in _NO_KEYS:
            parts = {part: part.upper() for part in inspect.signature(function).parameters}
            doc = "List." if function is keys.celery_queue else function.__doc__
            yield KeyRow(function(**parts), _type(doc))


def _constants() -> Iterator[KeyRow]:
    body = ast.parse(inspect.getsource(keys)).body
    for node, after in itertools.pairwise(body):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            value, says = node.value.value, after.value if isinstance(after, ast.Expr) else None
            doc = says.value if isinstance(says, ast.Constant) else None
            is_channel = str(doc).startswith("Channel.")  # which is no key
            if isinstance(value, str) and not value.endswith(":") and not is_channel:
                yield KeyRow(value, _type(doc))


def _type(doc: object) -> str:
    first = str(doc).partition(".")[0]
    assert first in TYPES, f"{doc!r} does not begin with the key's type"
    return TYPES[first]
