"""The pending order or cart of a mailbox: what its owner was about to post while the outcome is unknown.

Sailthru cannot fence us, so before a cart or order POST its owner writes down what it is about to
do. An owner that finds such an intent unsettled never trusts a fresh look-up of the cart, and looks
an order up by its extid, twice, before it posts the order again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

from pipeline.mailbox.reservations import Reservation
from pipeline.mapping.plan import CartIntent, Intent, Item
from pipeline.sailthru.calls import Call
from pipeline.settings import AccountSettings

MISSES_TO_POST_AGAIN = 2
MAX_START_DELAY_S = 5.0
"""How long after its intent a call may still begin: a slot (2 s) and a renewal (3 s) are waited for."""


@dataclass(frozen=True, slots=True)
class PendingOrder:
    """An order may have been posted, no later than `until` (Unix s); `misses` look-ups since then did
    not find it."""

    extid: str
    until: float
    misses: int = 0
    looked_at: float = 0.0

    def look_at(self, read_lag: float) -> float:
        """When the next look-up means something: the call has ended and reads have caught up."""
        return (self.looked_at if self.misses else self.until) + read_lag

    @property
    def call(self) -> Call:
        """The look-up: GET /purchase by extid (reference: sailthru-api 2.3)."""
        return Call("GET", "/purchase", {"purchase_id": self.extid, "purchase_key": "extid"})


@dataclass(frozen=True, slots=True)
class PendingCart:
    """A cart may have been posted at `at`; `base` is what its change was computed from."""

    base: tuple[Item, ...]
    at: float


Pending: TypeAlias = PendingOrder | PendingCart
_KINDS: dict[type, str] = {PendingOrder: "order", PendingCart: "cart"}


@dataclass(frozen=True, slots=True)
class IntentLog:
    """What is pending in a mailbox, as its claim found it and as the present turn has changed it.

    pending: what is on record in Redis, or will be with the turn's settlement.
    begun: this turn has recorded `pending`; `before` is what it replaced.
    """

    pending: Pending | None = None
    before: Pending | None = None
    begun: bool = False

    @classmethod
    def read(cls, text: str) -> IntentLog:
        """The log from what a mailbox or a dead letter holds; '' when nothing is pending."""
        if not text:
            return NOTHING_PENDING
        fields: dict[str, Any] = json.loads(text)
        if fields.pop("kind") == _KINDS[PendingOrder]:
            return cls(PendingOrder(**fields))
        return cls(PendingCart(tuple(fields["base"]), fields["at"]))

    def encode(self) -> str:
        """What `read` reads."""
        if self.pending is None:
            return ""
        fields = {"kind": _KINDS[type(self.pending)], **asdict(self.pending)}
        return json.dumps(fields, separators=(",", ":"))

    @property
    def unverified(self) -> PendingOrder | None:
        """The order that has to be looked up before anything is posted."""
        order = self.pending
        if isinstance(order, PendingOrder) and order.misses < MISSES_TO_POST_AGAIN:
            return order
        return None

    @property
    def verified(self) -> float | None:
        """Until when (Unix s) calls of the pending order may have been made that were looked up in vain."""
        order = self.pending
        if not isinstance(order, PendingOrder) or self.unverified is not None:
            return None
        return order.until

    def begin(self, intent: Intent, now: float, http_timeout: float) -> IntentLog:
        """A call with this intent is about to be made, at `now` (Unix s); to be recorded before it is."""
        pending: Pending
        if isinstance(intent, CartIntent):
            pending = PendingCart(intent.base, now)
        else:
            pending = PendingOrder(intent.extid, now + MAX_START_DELAY_S + http_timeout)
        return IntentLog(pending, self.pending, begun=True)

    def ended(self, now: float, *, unanswered: bool) -> IntentLog:
        """The call that was begun is over. Left unanswered, it may have done its work until `now`; else
        it did nothing, and what was on record before it is again."""
        if not self.begun:
            return self
        if not unanswered:
            return IntentLog(self.before)
        pending = self.pending
        if isinstance(pending, PendingOrder):
            pending = replace(pending, until=max(pending.until, now))
        return IntentLog(pending)

    def missed(self, now: float) -> IntentLog:
        """A look-up at `now` did not find the pending order."""
        order = self.pending
        if not isinstance(order, PendingOrder):
            return self
        return IntentLog(replace(order, misses=order.misses + 1, looked_at=now))


NOTHING_PENDING = IntentLog()


def reservation_of(intent: Intent, log: IntentLog, settings: AccountSettings) -> Reservation | None:
    """The order whose id is reserved before a call with this intent; None without an id of its own, or where
    ORDER_WINDOW is off."""
    if isinstance(intent, CartIntent) or not intent.basket or settings.order_window is None:
        return None
    keep_ms = int(settings.order_window * 1000)
    return Reservation(intent.extid, intent.basket, keep_ms, log.verified)
