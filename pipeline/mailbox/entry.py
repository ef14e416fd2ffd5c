"""One event as it lies in a mailbox, and what it has been through there.

Events wait for days and dead letters for weeks, so another version may have written them: a field that
is not known here is left out, and every field added later has a default.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """An accepted event. Its raw bytes are what the producer sent, unchanged.

    id: the event's messageId, else its stream entry id.
    seq: `ms-n`, where it stands in the order of arrival over all lanes.
    at: Redis' wall time of acceptance (ms).
    clock: the lane's clock then (ms; it stands still behind closed gates), for deadlines.
    user: key of the user's memory; the mailbox has the same name unless the lane is unordered.
    nobody: id fields that name nobody (a shared id) and are left out of the mapping.
    first, past, mark: of a replayed dead letter: when it was first seen (ms), its attempts (JSON)
        and its unsettled intent (JSON).
    """

    id: str
    seq: str
    at: int
    clock: int
    user: str
    raw: bytes
    nobody: str = ""
    first: int | None = None
    past: str = ""
    mark: str = ""
    replay: bool = False

    def encode(self) -> bytes:
        """`HEADER JSON\\nRAW`, what the mailbox list holds."""
        header = {
            name: value
            for name in self.__slots__
            if name != "raw" and (value := getattr(self, name)) not in (None, "", False)
        }
        return json.dumps(header, separators=(",", ":")).encode() + b"\n" + self.raw

    @classmethod
    def decode(cls, blob: bytes) -> Entry:
        """Read what `encode` or the revive function of lib.lua wrote."""
        header, _, raw = blob.partition(b"\n")
        found = _known(cls, json.loads(header))
        for name in ("at", "clock", "first"):
            if name in found:
                found[name] = int(found[name])
        return cls(raw=raw, **found)

    @property
    def order(self) -> tuple[int, int]:
        """Sorts by arrival."""
        return seq_order(self.seq)


def seq_order(seq: str) -> tuple[int, int]:
    """`ms-n` as numbers that sort by arrival."""
    first, _, second = seq.partition("-")
    return int(first), int(second or 0)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One failed try: when (Unix seconds), how long, what came back, how long until the next."""

    n: int
    at: float
    duration_s: float
    status: int | None
    error: str
    wait_s: float


@dataclass(frozen=True, slots=True)
class EventState:
    """What happened to one event so far. Clocks are lane clocks in ms.

    failing_since: first failure that counted.
    unanswered_since: first failure that an outage explained.
    asked: how often Sailthru was asked for an email.
    held_since: (user lane's clock) since when it is held for an earlier identify, or a merge.
    unknown_since: since when its user is awaited.
    empty_since: since when there has been nothing to remove from the cart.
    tried: attempts made, also those no longer in `attempts`.
    """

    attempts: tuple[Attempt, ...] = ()
    tried: int = 0
    failing_since: int | None = None
    asked: int = 0
    held_since: int | None = None
    unknown_since: int | None = None
    empty_since: int | None = None
    unanswered_since: int | None = None

    def encode(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def decode(cls, text: bytes | str) -> EventState:
        found = _known(cls, json.loads(text))
        found["attempts"] = read_attempts(found["attempts"])
        return cls(**found)


def read_attempts(rows: list[dict[str, Any]]) -> tuple[Attempt, ...]:
    """Attempts from their JSON rows."""
    return tuple(Attempt(**_known(Attempt, row)) for row in rows)


def _known(kind: type[Any], found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name in kind.__slots__}


def start_state(entry: Entry) -> EventState:
    """The state of an event nothing has happened to, but for what a dead letter brought back."""
    past = read_attempts(json.loads(entry.past)) if entry.past else ()
    return EventState(attempts=past)


MERGED_KEPT = 100
"""Every claim reads them, and a shared device has a new one each day. One that is forgotten costs a
look-up, which finds that its profile is gone."""


@dataclass(slots=True)
class Memory:
    """What is remembered of a user, as a claim reads it.

    merged: anonymousIds merged into this user, the newest last; see MERGED_KEPT.
    newest: `identify` or `cart` -> when the latest one delivered first came (ms).
    last_identify: of an anonymousId: the email its latest identify with one showed, and the key and id
        of the profile that went to.
    """

    email: str | None = None
    identified: str = ""
    merged: tuple[str, ...] = ()
    newest: dict[str, int] = field(default_factory=dict)
    last_identify: tuple[str, str, str] | None = None
