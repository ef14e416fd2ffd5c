"""What an erasure has done, as it is written down: what was looked through and removed, without naming the person. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.clock import iso
from pipeline.deadletters.audit import Act
from pipeline.forget.rewriting import Disk
from pipeline.forget.spaces import Space
from pipeline.forget.work import Found


@dataclass(frozen=True, slots=True)
class Row:
    """One space. looked: entries, keys, letters or records that the last pass looked at. removed. left: what that pass still
    found. named: others' that name the person, and stay."""

    looked: int = 0
    removed: int = 0
    left: int = 0
    named: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """person: the keyed hash of the id that named their mailboxes. hashes: those of all their ids and emails. at_ms, by, why: when,
    who asked and why. disk: what became of Redis' files (rewriting.py). sailthru: what became of the profiles there,
    '' when that was not asked for. passes: how often all was looked through to remove."""

    account: str
    person: str
    hashes: tuple[str, ...]
    at_ms: int
    by: str
    why: str
    rows: Mapping[Space, Row]
    disk: Disk
    sailthru: str = ""
    passes: int = 1

    @property
    def removed(self) -> int:
        return sum(row.removed for row in self.rows.values())

    @property
    def left(self) -> int:
        return sum(row.left for row in self.rows.values())

    @property
    def named(self) -> int:
        return sum(row.named for row in self.rows.values())

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left in Redis' memory."""
        return self.left == 0

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left in its files either."""
        return self.is_clean and self.disk.is_clean

    @property
    def act(self) -> Act:
        """As the audit trail has it, and the log of the face that was used (verbs/acts.py)."""
        receipt = json.dumps(self.as_json(), separators=(",", ":"))
        said = self.by, "forget", self.in_words(), self.removed, self.why
        return Act(*said, receipt=receipt)

    def as_json(self) -> dict[str, Any]:
        """One object: `spaces` has an object for each space that was looked through."""
        return {
            "account": self.account,
            "person": self.person,
            "ids": len(self.hashes),
            "hashes": list(self.hashes),
            "at": iso(self.at_ms),
            "by": self.by,
            "why": self.why or None,
            "removed": self.removed,
            "left": self.left,
            "named_by_others": self.named,
            "spaces": {
                space.value: {
                    "looked_at": row.looked,
                    "removed": row.removed,
                    "left": row.left,
                    "named_by_others": row.named,
                }
                for space, row in self.rows.items()
            },
            "disk": self.disk.text,
            "disk_is_clean": self.disk.is_clean,
            "sailthru": self.sailthru or None,
        }

    def in_words(self) -> str:
        """For the audit trail: one line."""
        parts = [f"{space.value} {row.removed}" for space, row in self.rows.items() if row.removed]
        left = "nothing is left" if self.is_clean else f"{self.left} left"
        said = f"person {self.person}: {', '.join(parts) or 'nothing was there'}; {left}"
        return f"{said}; on disk: {self.disk.text}" + (
            f"; Sailthru: {self.sailthru}" if self.sailthru else ""
        )


def rows_of(removed: Mapping[Space, int], last: Mapping[Space, Found]) -> dict[Space, Row]:
    """Every space, in the order of `Space`."""
    nothing = Found()
    return {
        space: Row(found.looked, removed.get(space, 0), found.theirs, found.named)
        for space in Space
        for found in [last.get(space, nothing)]
    }
