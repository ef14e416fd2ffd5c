"""A day's lines, and the visitors who make them."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from typing import Any

from examples.shop_day.catalogue import (
    CITIES,
    FIRST_NAMES,
    LAST_NAMES,
    REFERRERS,
    products,
    ware_of,
)

DAY_S = 24 * 3600.0
DELIVERED = "delivered"
NO_ID_SHARE = 0.05
"""Share of lines without a messageId: `sailpipe enqueue` names them by file hash and line."""

REMINDED_SHARE = 0.3
REMINDER = {"reminder_template": "abandoned cart", "reminder_time": "60 minutes"}


@dataclass(frozen=True)
class Line:
    """One event, when it arrives in seconds of the day, and its outcome: delivered, duplicate,
    `ignored:REASON` or `dead:REASON`."""

    at: float
    event: dict[str, Any]
    outcome: str


@dataclass
class Day:
    """The lines so far, and where chance comes from."""

    chance: random.Random
    lines: list[Line] = field(default_factory=list)
    people: int = 0

    def visit(self, earliest: float = 0.0, **ids: str) -> Visit:
        return Visit(self, ids, self.chance.uniform(earliest, earliest + DAY_S / 2))

    def person(self) -> Person:
        self.people += 1
        number = self.people
        first, last = self.chance.choice(FIRST_NAMES), self.chance.choice(LAST_NAMES)
        return Person(f"u-{1000 + number}", f"customer{number}@example.com", first, last)

    def new_id(self) -> str:
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))


@dataclass(frozen=True)
class Person:
    """A customer; whether the pipeline learns the email is up to their story."""

    id: str
    email: str
    first_name: str
    last_name: str


@dataclass
class Visit:
    """What one visitor does, in order; `ids` go into every event."""

    day: Day
    ids: dict[str, str]
    at: float

    def send(self, event: dict[str, Any], outcome: str = DELIVERED, pause_s: float = 120.0) -> None:
        """Add a line a moment after the last one. Few of the delivered ones lack a messageId."""
        self.at += self.day.chance.uniform(0.0, pause_s)
        nameless = outcome == DELIVERED and self.day.chance.random() < NO_ID_SHARE
        name = {} if nameless else {"messageId": self.day.new_id()}
        self.day.lines.append(Line(self.at, {**event, **name, **self.ids}, outcome))

    def identify(self, outcome: str = DELIVERED, /, **traits: Any) -> None:
        self.send({"type": "identify", "traits": traits}, outcome)

    def track(self, name: str, outcome: str = DELIVERED, /, **properties: Any) -> None:
        self.send({"type": "track", "event": name, "properties": properties}, outcome)

    def sign_up(self, person: Person, **traits: Any) -> None:
        """The identify, and at once the event that needs its profile."""
        known = {"firstName": person.first_name, "lastName": person.last_name}
        city = self.day.chance.choice(CITIES)
        self.identify(**known, address={"city": city}, **traits)
        self.send(
            {
                "type": "track",
                "event": "Registered",
                "properties": {"via": self.day.chance.choice(REFERRERS)},
            },
            pause_s=0.05,
        )

    def browse(self, pages: int) -> None:
        for _ in range(pages):
            ware = self.day.chance.choice(products())
            page = {"url": ware["url"], "title": ware["name"]}
            keywords = [ware["category"].lower()]
            self.send(
                {"type": "page", "name": "Product", "properties": {**page, "keywords": keywords}}
            )

    def view(self, times: int) -> None:
        for _ in range(times):
            ware = self.day.chance.choice(products())
            self.track("Product Viewed", product_id=ware["product_id"], price=ware["price"])

    def add(self, cart: dict[str, int], outcome: str = DELIVERED) -> None:
        ware = self.day.chance.choice(products())
        quantity = self.day.chance.choice((1, 1, 1, 2, 3))
        cart[ware["product_id"]] = cart.get(ware["product_id"], 0) + quantity
        event: dict[str, Any] = {"type": "track", "event": "Product Added"}
        event |= {"properties": {**ware, "quantity": quantity}}
        if self.day.chance.random() < REMINDED_SHARE:
            event |= {"integrations": {"Sailthru": REMINDER}}
        self.send(event, outcome)

    def take_out(self, cart: dict[str, int]) -> None:
        """Some or all of one ware that is in the cart."""
        chosen = self.day.chance.choice(sorted(cart))
        quantity = self.day.chance.randint(1, cart[chosen])
        cart[chosen] -= quantity
        if not cart[chosen]:
            del cart[chosen]
        self.track("Product Removed", **ware_of(chosen), quantity=quantity)

    def order(self, cart: dict[str, int], outcome: str = DELIVERED, **extra: Any) -> dict[str, Any]:
        """Buy the cart, which is empty afterwards. Returns the order's properties."""
        bought = [{**ware_of(name), "quantity": quantity} for name, quantity in cart.items()]
        cart.clear()
        total = sum(round(ware["price"] * 100) * ware["quantity"] for ware in bought) / 100
        number = self.day.chance.randrange(10**9)
        properties = {"order_id": f"o-{number:09}", "total": total, "currency": "EUR"}
        properties |= {"shipping": 4.9, "products": bought, **extra}
        self.track("Order Completed", outcome, **properties)
        return properties
