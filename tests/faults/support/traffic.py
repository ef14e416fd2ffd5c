"""Mixed events of many users, each with its user and its place in that user's order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.faults.support.sandbox import PAGES

DUPLICATES, INVALID = 0.02, 0.01
"""Shares of events that repeat an earlier messageId, and that no mapping can ever take."""


@dataclass
class _Shopper:
    """One user: what was sent so far, and what lies in the cart."""

    who: str
    random: Random
    seq: int = 0
    cart: dict[int, int] = field(default_factory=dict)

    def next_event(self) -> dict[str, Any]:
        """The first is an identify with the email; what follows is mixed."""
        self.seq += 1
        if self.seq == 1:
            return self.identify()
        kinds = (self.identify, self.played, self.page, self.add, self.remove, self.order)
        [make] = self.random.choices(kinds, (10, 40, 10, 25, 7, 8))
        return make()

    def identify(self) -> dict[str, Any]:
        traits = {"email": f"{self.who}@example.com", "who": self.who, "seq": self.seq}
        return {"type": "identify", "traits": traits}

    def played(self) -> dict[str, Any]:
        return self._track("Played", {"who": self.who, "seq": self.seq})

    def page(self) -> dict[str, Any]:
        return {"type": "page", "properties": {"url": f"{PAGES}{self.who}/{self.seq}"}}

    def add(self) -> dict[str, Any]:
        number = self.random.randrange(4)
        self.cart[number] = self.cart.get(number, 0) + 1
        return self._track("Product Added", product(number))

    def remove(self) -> dict[str, Any]:
        if not self.cart:
            return self.add()
        number = self.random.choice(sorted(self.cart))
        self.cart[number] -= 1
        if not self.cart[number]:
            del self.cart[number]
        return self._track("Product Removed", product(number))

    def order(self) -> dict[str, Any]:
        self.cart.clear()
        order_id = f"o-{self.who}-{self.seq}"
        bought = {"order_id": order_id, "products": [product(self.random.randrange(4))]}
        return self._track("Order Completed", bought)

    def _track(self, name: str, properties: dict[str, Any]) -> dict[str, Any]:
        return {"type": "track", "event": name, "properties": properties}


def product(number: int, quantity: int = 1) -> dict[str, Any]:
    """One product as Segment's ecommerce events have it."""
    return {
        "product_id": f"p-{number}",
        "name": f"Tea {number}",
        "price": 1.5 + number,
        "quantity": quantity,
        "url": f"https://shop.example.com/p/{number}",
    }


def traffic(events: int, users: int, seed: int) -> list[bytes]:
    """`events` raw events of `users` users, the same for the same seed."""
    return list(_traffic(events, users, Random(seed)))


def _traffic(events: int, users: int, random: Random) -> Iterator[bytes]:
    shoppers = [_Shopper(f"u{number}", random) for number in range(users)]
    sent: list[bytes] = []
    for number in range(events):
        dice = random.random()
        if sent and dice < DUPLICATES:
            raw = random.choice(sent[-50:])
        elif dice < DUPLICATES + INVALID:
            raw = json.dumps({"type": "track", "messageId": f"m{number}"}).encode()
        else:
            shopper = shoppers[number] if number < users else random.choice(shoppers)
            event = shopper.next_event()
            raw = json.dumps({**event, "userId": shopper.who, "messageId": f"m{number}"}).encode()
        sent.append(raw)
        yield raw
