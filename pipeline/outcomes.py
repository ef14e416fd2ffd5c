"""What can become of an event. Every answer, refusal and wait ends as exactly one of these.

Only Retry uses up an attempt: waiting is not failing. A Verdict may also be that the turn goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from pipeline.errors import Reason
from pipeline.events.kinds import Ignored
from pipeline.fields import Note
from pipeline.mapping.plan import Cart, LastIdentify, Profile
from pipeline.sailthru.calls import Call

__all__ = [
    "AddressRefused",
    "Delivered",
    "EmptyCart",
    "Ignored",
    "LookedUp",
    "Misconfigured",
    "OrderMissing",
    "Outage",
    "Outcome",
    "PostAgain",
    "Postponed",
    "Rejected",
    "Retry",
    "Throttled",
    "Unfold",
    "Verdict",
    "WaitingForEmail",
    "WaitingForIdentify",
    "WaitingForMerge",
    "WaitingForOrder",
    "WaitingForUser",
]


@dataclass(frozen=True, slots=True)
class Delivered:
    """Sailthru took the first `covers` events, by `call`. `notes`: the fields that they went out without, or with in
    part."""

    covers: int = 1
    cart_after: Cart | None = None
    merged: str | None = None
    last_identify: LastIdentify | None = None
    notes: tuple[Note, ...] = ()
    call: Call | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The first event can never be delivered as it is: a dead letter.

    call: the one that was refused, or that it would have become. sent: whether that call was made now.
    ambiguous: its last call may have been processed all the same.
    """

    reason: Reason
    detail: str
    call: Call | None = None
    status: int | None = None
    code: int | None = None
    duration_s: float = 0.0
    ambiguous: bool = False
    sent: bool = True


@dataclass(frozen=True, slots=True)
class Unfold:
    """A call for `covers` events was refused, or planning them together failed: they are tried one by
    one, so only the culprit dies."""

    covers: int


@dataclass(frozen=True, slots=True)
class AddressRefused:
    """Sailthru will not have this address, and the first event can do without it: it is planned anew."""

    email: str


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
    """Sailthru says too many calls: no process calls this bucket until `until` (Unix seconds)."""

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
    """A probe of a closed circuit failed, or this failure opens it. No attempt is used up.

    scope: what is down, a host or an endpoint.
    """

    scope: str
    detail: str
    call: Call
    ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class WaitingForEmail:
    """An order or cart without an email anywhere: looked at again in `wait_s`. asked: Sailthru was, just now."""

    wait_s: float
    asked: bool = False


@dataclass(frozen=True, slots=True)
class WaitingForUser:
    """Sailthru does not know this event's user yet: looked at again in `wait_s`. asked: the call was made now, and
    not for an event before it."""

    call: Call
    detail: str
    status: int | None = None
    code: int | None = None
    duration_s: float = 0.0
    wait_s: float = 0.0
    asked: bool = True


@dataclass(frozen=True, slots=True)
class WaitingForIdentify:
    """An earlier identify of the event's user comes first; looked at again in `wait_s` at the latest."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class WaitingForMerge:
    """The mailbox that this event merges away comes first; looked at again in `wait_s`."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class WaitingForOrder:
    """Another mailbox is about to post the same order: looked at again when that is settled, or in `wait_s`.

    reserved: which order it has reserved (`Reservation.reserved`).
    """

    wait_s: float
    reserved: str


@dataclass(frozen=True, slots=True)
class EmptyCart:
    """Something is to be removed from a cart that reads as empty: looked up once more in `wait_s`, past
    the read lag."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class OrderMissing:
    """A look-up of an order that may have been posted did not find it: looked up once more in `wait_s`."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class Postponed:
    """Nothing was tried. `due_in_s` None keeps the mailbox's place in the queue; `why` is for logs."""

    due_in_s: float | None = None
    why: str = ""


Outcome: TypeAlias = (
    Delivered
    | Ignored
    | Rejected
    | Unfold
    | AddressRefused
    | Retry
    | Throttled
    | Misconfigured
    | Outage
    | WaitingForEmail
    | WaitingForUser
    | WaitingForIdentify
    | WaitingForMerge
    | WaitingForOrder
    | EmptyCart
    | OrderMissing
    | Postponed
)


@dataclass(frozen=True, slots=True)
class LookedUp:
    """A look-up was answered: planning goes on with this profile."""

    profile: Profile


@dataclass(frozen=True, slots=True)
class PostAgain:
    """No look-up found the order that may have been posted: nothing speaks against posting it."""


Verdict: TypeAlias = Outcome | LookedUp | PostAgain
"""An outcome ends the turn; the turn goes on after the other two."""
