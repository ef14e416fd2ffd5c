"""Which dead letters go when there are more than DEAD_MAX. Pure.

Letters are counted in groups (`group_of` in storage/lua/lib.lua): the hour of death, the lane or
`order`, the reason, and one of sixteen slots for fingerprints. The largest groups are cut down to one
level, and orders and refunds only when nothing else is left. What a sender chooses (names, messages,
users) cannot make more groups than these, and none in an hour that has passed: a flood makes large
groups, and loses its own letters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from operator import attrgetter
from typing import NamedTuple


class TrimGroup(NamedTuple):
    """Letters that are trimmed alike.

    hour: of their deaths, in hours since 1970.
    kind: `order` for orders and refunds, else their lane; empty when the splitter refused them.
    slot: the last digit of their fingerprint.
    """

    hour: int
    kind: str
    reason: str
    slot: str

    @classmethod
    def parse(cls, text: str) -> TrimGroup:
        hour, kind, reason, slot = text.split(" ")
        return cls(int(hour), kind, reason, slot)

    def __str__(self) -> str:
        return " ".join(map(str, self))

    @property
    def is_order(self) -> bool:
        return self.kind == "order"


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What one pass removed, by group."""

    groups: Counter[TrimGroup] = field(default_factory=Counter)

    @property
    def letters(self) -> int:
        return self.groups.total()

    @property
    def orders(self) -> int:
        """How many of them were orders or refunds."""
        return sum(count for group, count in self.groups.items() if group.is_order)

    @property
    def reasons(self) -> Counter[str]:
        """How many of them had died of what."""
        found = Counter[str]()
        for group, count in self.groups.items():
            found[group.reason] += count
        return found


def shares(groups: Mapping[TrimGroup, int], excess: int) -> dict[TrimGroup, int]:
    """How many letters each group loses so that `excess` go in all, or all there are.

    Orders and refunds lose letters only when all others are gone.
    """
    found: dict[TrimGroup, int] = {}
    for orders in (False, True):
        pool = {group: size for group, size in groups.items() if group.is_order is orders}
        found |= _cut(pool, excess - sum(found.values()))
    return found


def by_hour(cuts: Mapping[TrimGroup, int]) -> Iterable[tuple[int, dict[TrimGroup, int]]]:
    """The same, one hour after the other, the latest first."""
    latest_first = sorted(cuts, reverse=True)
    for hour, groups in groupby(latest_first, key=attrgetter("hour")):
        yield hour, {group: cuts[group] for group in groups}


def _cut(sizes: Mapping[TrimGroup, int], excess: int) -> dict[TrimGroup, int]:
    """Cut the largest down to one level; where that does not come out even, some keep one more."""
    largest_first = sorted(sizes, key=lambda group: (-sizes[group], group))
    kept, cut = -excess, 0
    for size, next_size in pairwise([*(sizes[group] for group in largest_first), 0]):
        kept, cut = kept + size, cut + 1
        if kept >= cut * next_size:
            break
    level, spare = divmod(max(0, kept), max(1, cut))
    keeps = {group: level + (place < spare) for place, group in enumerate(largest_first[:cut])}
    return {group: sizes[group] - kept for group, kept in keeps.items() if sizes[group] > kept}
