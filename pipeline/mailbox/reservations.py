"""The id of an order, which one mailbox reserves for one basket: values, as intent.lua reads and writes them. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple


class Reservation(NamedTuple):
    """The id of an order, to be reserved for one basket before its call is made.

    keep_ms: how long it is known (ORDER_WINDOW). verified: Unix s until when calls of this order may have been
    made that were looked up in vain; None when there were none.
    """

    order: str
    basket: str
    keep_ms: int
    verified: float | None = None

    @property
    def reserved(self) -> str:
        """As a mailbox's state names it (`reserved` in lib.lua)."""
        return f"{self.basket} {self.order}"


@dataclass(frozen=True, slots=True)
class Taken:
    """Why an order is not posted now: another event has its id and basket.

    how: `held`, the other is about to post it; `posted`; `unanswered`, it died, and `intent` (JSON) says how its call
        is looked up. reserved: which order, as a mailbox's state names it.
    """

    how: Literal["held", "posted", "unanswered"]
    reserved: str
    intent: str = ""
