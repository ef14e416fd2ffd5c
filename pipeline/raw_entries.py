"""Entries of the raw stream as producers write them, and as XADD and append.lua take them. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from pipeline.roles import Role
from pipeline.settings import DEFAULT_ACCOUNT
from pipeline.storage import keys
from pipeline.storage.scripts import read_script
from pipeline.ways_in import WayIn

CHUNK = 500
"""Events per pipelined round trip: large enough to hide the trip, small enough to stay atomic."""


class Labels(NamedTuple):
    """What a raw entry says beside its event. bulk: it may wait until live events are through. role: of its write
    key. via: the way by which it came."""

    account: str = DEFAULT_ACCOUNT
    bulk: bool = False
    role: Role = Role.SERVER
    via: WayIn = WayIn.REDIS

    def fields(self) -> dict[str, str]:
        """As the entry has them: what they say by being absent is left out."""
        fields = {}
        if self.account != DEFAULT_ACCOUNT:
            fields["account"] = self.account
        if self.bulk:
            fields["class"] = "bulk"
        if self.role is not Role.SERVER:
            fields["role"] = self.role.value
        if self.via is not WayIn.REDIS:
            fields["via"] = self.via.value
        return fields


LIVE = Labels()


class Mark(NamedTuple):
    """How far an import is: what lies in a key before its next events are appended, and what is to lie there then."""

    key: str
    before: str
    after: str


class Chunk(NamedTuple):
    """Events that are appended together, all of them or none, and with them the mark."""

    raws: Sequence[bytes]
    mark: Mark | None = None


def entry(raw: bytes, labels: Labels = LIVE) -> dict[Any, Any]:
    """The fields of a raw-stream entry."""
    return {"event": raw, **labels.fields()}


def words(raw: bytes, labels: Labels) -> list[bytes | str]:
    """What XADD takes after the id."""
    return [word for field in entry(raw, labels).items() for word in field]


def append_script() -> str:
    """The script that appends many, all of them or none."""
    return read_script("pipeline", "append")


def arguments(raws: Iterable[bytes], labels: Labels) -> list[bytes | str | int]:
    """What that script takes."""
    labelled = [word for field in labels.fields().items() for word in field]
    return [len(labelled), *labelled, *raws]


def fill(pipe: Any, raws: Iterable[bytes], labels: Labels) -> None:
    """Give a pipeline of redis-py an XADD for each: for a Redis user that may run no script."""
    for raw in raws:
        pipe.xadd(keys.RAW, entry(raw, labels))


def chunks_of(raws: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    """So many at a time."""
    iterator = iter(raws)
    while chunk := list(islice(iterator, size)):
        yield chunk
