"""What can become of an event. Every answer, refusal and wait ends as exactly one of these.

Only Retry uses up an attempt: waiting is not failing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pipeline.errors import Reason
from pipeline.kinds import Ignored
from pipeline.mapping.plan import Cart, LastIdentify
from pipeline.sailthru.calls import Call

__all__ = [
    "Delivered",
    "Held",
    "Ignored",
    "Misconfigured",
    "Outage",
    "Outcome",
    "Postponed",
    "Rejected",
    "Retry",
    "Single",
    "Throttled",
    "WaitingForEmail",
    "WaitingForUser",
]


@dataclass(frozen=True, slots=True)
class Delivered:
    """Sailthru took the first `covers` events."""

    covers: int = 1
    cart_after: Cart | None = None
    merged: str | None = None
    last_identify: LastIdentify | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The first event can never be delivered as it is: a dead letter."""

    reason: Reason
    detail: str
    call: Call | None = None
    status: int | None = None
    code: int | None = None
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Single:
    """A call for `covers` events was refused, or planning them together failed: they are tried one by
    one, so only the culprit dies."""

    covers: int


@dataclass(frozen=True, slots=True)
class Retry:
    """A failure that may pass; one attempt of each of the first `covers` events.

    ambiguous: the call may have been processed. lookup: what failed was a cart look-up.
    """

    error: str
    covers: int = 1
    status: int | None = None
    code: int | None = None
    call: Call | None = None
    duration_s: float = 0.0
    ambiguous: bool = False
    lookup: bool = False


@dataclass(frozen=True, slots=True)
class Throttled:
    """Sailthru says too many: nobody calls this bucket until `until` (Unix seconds)."""

    bucket: str
    until: float


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """The account's credentials or rights are wrong: its gate closes, nothing is buried."""

    detail: str
    call: Call
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Outage:
    """A probe of a closed circuit failed, or this failure opened it. No attempt is used up."""

    detail: str
    ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class WaitingForEmail:
    """An order or cart without an email anywhere."""


@dataclass(frozen=True, slots=True)
class WaitingForUser:
    """Sailthru does not know this event's user yet."""

    call: Call
    detail: str
    status: int | None = None
    code: int | None = None
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Held:
    """It is not this event's turn: an earlier identify, or the mailbox it merges, comes first."""

    wait_s: float
    waits: Literal["turn"] | None = "turn"


@dataclass(frozen=True, slots=True)
class Postponed:
    """Nothing was tried. `due_in_s` None keeps the mailbox's place in the queue; `why` is for logs."""

    due_in_s: float | None = None
    why: str = ""


Outcome: TypeAlias = (
    Delivered
    | Ignored
    | Rejected
    | Single
    | Retry
    | Throttled
    | Misconfigured
    | Outage
    | WaitingForEmail
    | WaitingForUser
    | Held
    | Postponed
)
