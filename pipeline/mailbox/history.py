"""What happened so far to the events of a mailbox, as its state keeps it. No I/O.

As in `claim.py`, a field that is not known here is left out: another version may have written it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

Record = TypeVar("Record", "Absence", "Failing")


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

    failing_since: first failure that counted, its own or one that it inherited (`Failing`).
    unanswered_since: first failure that an outage explained.
    empty_since: since when there has been nothing to remove from the cart.
    tried: attempts made, also those no longer in `attempts`.
    """

    attempts: tuple[Attempt, ...] = ()
    tried: int = 0
    failing_since: int | None = None
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


@dataclass(frozen=True, slots=True)
class Absence:
    """What Sailthru said last that it does not have, and for which the events of a mailbox wait: one of them asks
    for all.

    what: NO_EMAIL, else the profile that is not there, as `Call.profile` names it.
    at: when it said so (ms of the lane's clock).
    identified: when the user was last identified, by what was remembered then.
    detail, status, code: of the answer.
    """

    what: str
    at: int
    identified: str
    detail: str = ""
    status: int | None = None
    code: int | None = None

    def encode(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


NO_EMAIL = "email"
"""`Absence.what` when it is the email of the mailbox's user."""


@dataclass(frozen=True, slots=True)
class Failing:
    """Since when (ms of the lane's clock) the calls to one endpoint have failed for the heads of a mailbox, one
    after the other."""

    bucket: str
    since: int

    def encode(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


def read_record(kind: type[Record], text: bytes) -> Record:
    """A record from its JSON."""
    return kind(**_known(kind, json.loads(text)))


def _known(kind: type[Any], found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name in kind.__slots__}
