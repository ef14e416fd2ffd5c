"""Letters of one cause, counted together. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pipeline.clock import iso
from pipeline.deadletters.letter import Letter


@dataclass(slots=True)
class Group:
    """What the letters of one fingerprint have in common; `example` is the newest one's.

    people: how many users they are of, where their names were not gathered.
    """

    fingerprint: str
    example: Letter
    letters: int = 0
    users: set[str] = field(default_factory=set)
    lanes: set[str] = field(default_factory=set)
    first_ms: int = 0
    last_ms: int = 0
    people: int = 0

    def add(self, letter: Letter) -> None:
        """Count one more letter of this group."""
        died_ms = letter.header.died_at
        self.first_ms = min(self.first_ms or died_ms, died_ms)
        self.last_ms = max(self.last_ms, died_ms)
        self.letters += 1
        self.users.update(filter(None, [letter.header.user]))
        self.lanes.update(filter(None, [letter.header.lane]))

    def as_json(self) -> dict[str, Any]:
        """One line of `dead stats --json`; times are ISO 8601 in UTC."""
        header = self.example.header
        shared = {name: getattr(header, name) for name in ("reason", "endpoint", "error", "detail")}
        return {
            "fingerprint": self.fingerprint,
            "account": self.example.account,
            **shared,
            "letters": self.letters,
            "users": len(self.users) or self.people,
            "lanes": sorted(self.lanes),
            "first": iso(self.first_ms),
            "last": iso(self.last_ms),
        }


class CauseRow(NamedTuple):
    """One group as causes.lua answers it."""

    fingerprint: bytes
    letters: bytes
    people: int
    first: bytes
    last: bytes
    id: bytes
    header: bytes


def read_cause(account: str, row: CauseRow) -> Group:
    """The group of that row."""
    example = Letter.read(account, row.id.decode(), row.header + b"\n")
    lanes = set(filter(None, [example.header.lane]))
    return Group(
        row.fingerprint.decode(),
        example,
        int(row.letters),
        set(),
        lanes,
        int(row.first),
        int(row.last),
        row.people,
    )


class Groups:
    """Groups in the making: letters are added newest first and not kept."""

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}

    def add(self, letter: Letter) -> None:
        """Count one letter."""
        name = letter.header.fingerprint
        if name not in self._groups:
            self._groups[name] = Group(name, letter)
        self._groups[name].add(letter)

    def largest_first(self) -> Iterable[Group]:
        """The groups by size."""
        return sorted(self._groups.values(), key=lambda group: (-group.letters, group.fingerprint))
