"""Intents as they lie in a mailbox while their outcome is unknown.

Sailthru cannot fence us, so before a cart or order POST its owner writes down what it is about to
do. Whoever finds such a mark unsettled never trusts a fresh look-up of the cart, and looks an order
up by its extid, twice, before posting it again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

from pipeline.mapping.plan import CartIntent, Intent, Item
from pipeline.sailthru.calls import Call

MISSES_TO_POST_AGAIN = 2
LATEST_START_S = 5.0
"""How long after its mark a call may still begin: a slot (2 s) and a renewal (3 s) are waited for."""


@dataclass(frozen=True, slots=True)
class OrderMark:
    """An order may have been posted, no later than `until` (Unix s); `misses` look-ups since then did
    not find it."""

    extid: str
    until: float
    misses: int = 0
    looked_at: float = 0.0

    def look_at(self, read_lag: float) -> float:
        """When the next look-up means something: the call has ended and reads have caught up."""
        return (self.looked_at if self.misses else self.until) + read_lag

    def missed(self, now: float) -> OrderMark:
        return replace(self, misses=self.misses + 1, looked_at=now)

    @property
    def lookup(self) -> Call:
        """GET /purchase by extid (reference: sailthru-api 2.3)."""
        return Call("GET", "/purchase", {"purchase_id": self.extid, "purchase_key": "extid"})


@dataclass(frozen=True, slots=True)
class CartMark:
    """A cart may have been posted at `at`; `base` is what its change was computed from."""

    base: tuple[Item, ...]
    at: float


Mark: TypeAlias = OrderMark | CartMark


def mark_of(intent: Intent, now: float, http_timeout: float) -> Mark:
    """The mark to leave before a call with this intent."""
    if isinstance(intent, CartIntent):
        return CartMark(intent.base, now)
    return OrderMark(intent.extid, now + LATEST_START_S + http_timeout)


def ended(text: str, now: float) -> str:
    """The mark, once its call has ended `now` without an answer."""
    mark = read_mark(text)
    if isinstance(mark, OrderMark):
        return write_mark(replace(mark, until=max(mark.until, now)))
    return text


def write_mark(mark: Mark) -> str:
    return json.dumps({"kind": type(mark).__name__, **asdict(mark)}, separators=(",", ":"))


def read_mark(text: str) -> Mark | None:
    """The mark in a mailbox; None when there is none ('')."""
    if not text:
        return None
    fields: dict[str, Any] = json.loads(text)
    if fields.pop("kind") == "OrderMark":
        return OrderMark(**fields)
    return CartMark(tuple(fields["base"]), fields["at"])
