"""What the mapping can say about the events that wait in a mailbox.

`plan()` is pure: it never looks anything up. What it lacks it asks for (`Need`), delivery fetches
it, puts it into `PlanContext` and asks again. Every answer speaks of the first `covers` events of the
batch. Delivery settles those and asks again for the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from pipeline.events.kinds import Ignored
from pipeline.fields import Note
from pipeline.sailthru.calls import Call

__all__ = [
    "Cart",
    "CartIntent",
    "Ignored",
    "Intent",
    "Item",
    "LastIdentify",
    "Need",
    "Note",
    "OrderIntent",
    "Owner",
    "Plan",
    "PlanContext",
    "Profile",
    "Send",
    "WaitForEmail",
    "answered",
]

Item: TypeAlias = Mapping[str, Any]
"""One cart or order item in Sailthru's words: id, title, qty, price (cents), url, ..."""


@dataclass(frozen=True, slots=True)
class Cart:
    """A user's cart. `at` is the time in seconds when it was last written; None when unknown.

    email: whose it is, of one that was written for an anonymousId: several people may use a device.
    """

    items: tuple[Item, ...] = ()
    at: float | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """What GET /user answered. `exists` is False when Sailthru does not know the user."""

    exists: bool
    email: str | None = None
    cart: Cart | None = None
    extid: str | None = None


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose profile has the email of an event: the answer to Need("owner").

    email: the one that was asked about, in lower case.
    exists: whether a profile has it.
    extid: that of the profile which has it; None when no profile has it, or one without an extid.
    learned: another id has shown this email to us; whose it is at Sailthru, reads may not tell yet.
    """

    email: str
    extid: str | None = None
    learned: bool = False
    exists: bool = False


@dataclass(frozen=True, slots=True)
class LastIdentify:
    """Where the latest identify of an anonymousId that showed an email went: its later events follow.

    email: the one it showed, in lower case. key, id: of the profile it was addressed to.
    """

    email: str
    key: str
    id: str


@dataclass(frozen=True, slots=True)
class PlanContext:
    """All that planning may rely on besides the events themselves.

    email: learned for this user from earlier events or from Sailthru.
    email_by_page: only a page has shown it: what Sailthru's profile has is asked for, and goes before it.
    refused: addresses of this user that Sailthru refused lately, as `address_key` writes them.
    cart: our own last written cart while it is authoritative (reads lag writes), or the base of an
        unsettled intent; it wins over `profile.cart`.
    cart_written_at: when we last wrote this user's cart or order; a looked-up cart that is older
        is ignored, or bought items would come back with a reminder mail.
    profile: answer to Need("cart") or Need("email"): GET /user by the user's extid.
    merge: answer to Need("merge"): GET /user by the anonymousId of the head event.
    merged: anonymousIds already merged into this user.
    owner: answer to Need("owner"): whose profile has the email that the head event shows.
    user_id: the userId learned for the anonymousId of an event that names none.
    last_identify: where the latest identify of an anonymousId without a learned userId went.
    accepted_at: when the head event was accepted, or replayed; its age is counted from then when it
        carries no time.
    first_accepted_at: when it was accepted, replayed or not; the date of an order that carries none.
    stopped_s: how long it has waited behind closed gates since; counts towards no deadline.

    Times are seconds since the epoch. `profile`, `merge` and `owner` answer for the head event: forget
    them once it is settled.
    """

    now: float
    email: str | None = None
    cart: Cart | None = None
    cart_written_at: float | None = None
    profile: Profile | None = None
    merge: Profile | None = None
    merged: frozenset[str] = field(default_factory=frozenset)
    owner: Owner | None = None
    user_id: str | None = None
    last_identify: LastIdentify | None = None
    accepted_at: float | None = None
    first_accepted_at: float | None = None
    stopped_s: float = 0.0
    refused: Collection[str] = ()
    email_by_page: bool = False


@dataclass(frozen=True, slots=True)
class OrderIntent:
    """An order is about to be posted: before another post it must be looked up by this extid.

    basket: what tells it from others of the same id (`basket_of`); '' when its id is not its own.
    """

    extid: str
    basket: str = ""


@dataclass(frozen=True, slots=True)
class CartIntent:
    """A cart is about to be posted: `base` is what the change was computed from."""

    base: tuple[Item, ...]


Intent: TypeAlias = OrderIntent | CartIntent


@dataclass(frozen=True, slots=True)
class Send:
    """Make this call; if it is accepted the first `covers` events are delivered.

    intent: what must be on record before the call leaves, or None when repeating is harmless.
    cart_after: the cart this call leaves behind (orders leave an empty one), or None.
    merged: the anonymousId that needs no look-up any more once this call is accepted: merged away
        by it, or found to have no profile.
    last_identify: to be remembered of the anonymousId once this call is accepted, or None.
    notes: optional fields of these events that the call leaves out, or has in part.
    """

    call: Call
    covers: int = 1
    intent: Intent | None = None
    cart_after: Cart | None = None
    merged: str | None = None
    last_identify: LastIdentify | None = None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Need:
    """Make this look-up and ask again.

    `call` is the GET. What it is for decides what a failure means: a failed cart look-up retries
    and dies as cart_lookup_failed; an email that is nowhere makes the event wait for one.
    """

    what: Literal["cart", "email", "merge", "owner"]
    call: Call
    covers: int = 1


@dataclass(frozen=True, slots=True)
class WaitForEmail:
    """The first `covers` events need an email, and neither they nor `PlanContext` nor Sailthru have one."""

    covers: int = 1


Plan: TypeAlias = Send | Need | WaitForEmail | Ignored
"""A refusal is the exception `pipeline.errors.MappingRejected`; it speaks of the first event alone."""


def answered(context: PlanContext, need: Need, found: Profile) -> PlanContext:
    """`context` with the profile that a look-up found."""
    match need.what:
        case "merge":
            return replace(context, merge=found)
        case "owner":
            email = str(need.call.params["id"]).lower()
            return replace(context, owner=Owner(email, found.extid, exists=found.exists))
        case _:
            return replace(context, profile=found)
