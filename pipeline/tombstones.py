"""Tombstones: what was accepted of a person before they were erased is dropped wherever it still turns up.

A splitter may have a batch in hand, and a process outcomes to write down, when a person is erased. Each asks for the tombstones
first, and its script refuses to write if they have changed meanwhile (`gen`). Ids stand in Redis as keyed hashes alone. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

GENERATION: Final = "gen"
NEVER: Final = (-1, 0)
_ID, _NAME = "t:", "n:"


def person_key(identity: str) -> str:
    """Two spellings of one key are one id: an email is the same in any case."""
    return identity.lower() if "@" in identity else identity


@dataclass(frozen=True, slots=True)
class Tombstones:
    """Those of one account that have not ended. generation: '' where there never was one. until: hash -> the last raw entry
    (ms, n) that it is about. newest: the last of those; what was accepted after it is dropped for none of them."""

    generation: str = ""
    key: bytes = b""
    until: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    newest: tuple[int, int] = NEVER

    @classmethod
    def read(cls, key: bytes, fields: Mapping[str, str], now_ms: int) -> Tombstones:
        """From what lies in Redis."""
        until = {}
        for name, value in fields.items():
            sid, _, ends = value.partition(" ")
            if name != GENERATION and int(ends) > now_ms:
                until[name] = order_of(sid)
        newest = max(until.values(), default=NEVER)
        return cls(fields.get(GENERATION, ""), key, until, newest)

    def bury_any(self, ids: Iterable[str | None], sid: str) -> bool:
        """Whether one of these ids is of a person who was erased after this raw entry was accepted."""
        order = order_of(sid)
        if order > self.newest:
            return False
        return any(one and order <= self._last(id_field(self.key, one)) for one in ids)

    def buries_name(self, name: bytes, sid: str) -> bool:
        """The same of a name in the log of outcomes."""
        order = order_of(sid)
        return order <= self.newest and order <= self._last(name_field(self.key, name))

    def _last(self, name: str) -> tuple[int, int]:
        return self.until.get(name, NEVER)


NO_TOMBSTONES: Final = Tombstones()
"""Of an account that has erased no person."""


def id_field(key: bytes, identity: str) -> str:
    """The field of an id's tombstone."""
    return _ID + keyed_hash(key, identity)


def name_field(key: bytes, name: bytes) -> str:
    """The field of the tombstone of a name in the log of outcomes."""
    return _NAME + _hash(key, name)


def keyed_hash(key: bytes, identity: str) -> str:
    """An id as tombstones and receipts have it: who has the key can tell whether it is this one."""
    return _hash(key, person_key(identity).encode("utf-8", "replace"))


def order_of(sid: str) -> tuple[int, int]:
    """An entry's id, `ms-n` or that of a second entry, as numbers that sort by arrival."""
    first, _, rest = sid.partition("-")
    return int(first), int(rest.partition(".")[0] or 0)


def _hash(key: bytes, data: bytes) -> str:
    return blake2b(data, digest_size=16, key=key).hexdigest()
