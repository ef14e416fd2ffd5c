"""Which dead letters are meant. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.deadletters.letter import Letter
from pipeline.errors import Reason
from pipeline.events.models import Lane


@dataclass(frozen=True, slots=True)
class Filter:
    """What a letter must be to be meant; None asks nothing.

    user: the id that names its mailbox (a userId, else an anonymousId or email).
    since_ms: it died then or later, Unix milliseconds.
    group: its fingerprint.
    """

    reason: Reason | None = None
    lane: Lane | None = None
    user: str | None = None
    since_ms: int | None = None
    group: str | None = None

    def matches(self, letter: Letter) -> bool:
        """Whether this letter is meant."""
        asked = {
            "reason": self.reason,
            "lane": self.lane,
            "user": self.user,
            "fingerprint": self.group,
        }
        is_late = self.since_ms is None or letter.header.died_at >= self.since_ms
        return is_late and all(
            getattr(letter.header, name) == value
            for name, value in asked.items()
            if value is not None
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """Letters a command is about, counted before anything is done to them.

    ids: in the order in which their events first came, which replay must keep.
    reasons: how many died of what.
    overtaken: identifies and cart changes among them after which a later one of the same user was
        delivered: sent now they would undo it.
    targets: what was delivered to when they died; '' for those whose header does not say.
    """

    ids: tuple[str, ...]
    reasons: Mapping[str, int]
    overtaken: frozenset[str] = frozenset()
    targets: frozenset[str] = frozenset()

    def without_overtaken(self) -> Selection:
        """What is safe to replay."""
        return replace(self, ids=tuple(one for one in self.ids if one not in self.overtaken))
