"""The events that are measured. Every user's email is `USER@example.com`."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

Event: TypeAlias = dict[str, Any]

WARES: Sequence[Mapping[str, Any]] = [
    {
        "product_id": f"p-{number:03}",
        "name": f"Teapot No. {number}",
        "price": 9.9 + number,
        "url": f"https://shop.example.com/teapots/{number}",
        "category": "Teapots",
    }
    for number in range(40)
]


def identify(user: str, **traits: Any) -> Event:
    known = {"email": f"{user}@example.com", "firstName": "Ada", "lastName": "Lovelace"}
    return {"type": "identify", "userId": user, "traits": {**known, "plan": "gold", **traits}}


def custom(user: str) -> Event:
    seen = {"product_id": "p-001", "name": "Teapot No. 1", "price": 10.9, "list": "Best of spring"}
    return {"type": "track", "event": "Product Viewed", "userId": user, "properties": seen}


def page(user: str, number: int = 1) -> Event:
    shown = {"url": f"https://shop.example.com/teapots/{number}", "title": f"Teapot No. {number}"}
    return {"type": "page", "userId": user, "properties": shown}


def cart_change(user: str, ware: Mapping[str, Any], *, adds: bool = True) -> Event:
    name = "Product Added" if adds else "Product Removed"
    return {**_of(user), "event": name, "properties": {**ware, "quantity": 1}}


def order(user: str, number: str, wares: Sequence[Mapping[str, Any]]) -> Event:
    bought = [{**ware, "quantity": 1} for ware in wares]
    total = round(sum(ware["price"] for ware in wares), 2)
    properties = {"order_id": number, "total": total, "currency": "EUR", "products": bought}
    return {**_of(user), "event": "Order Completed", "properties": properties}


def _of(user: str) -> Event:
    traits = {"email": f"{user}@example.com"}
    return {"type": "track", "userId": user, "context": {"traits": traits}}


def identifies(count: int, prefix: str = "u") -> list[Event]:
    """As many users."""
    return [identify(f"{prefix}{number}") for number in range(count)]


def mixed_day(users: int, seed: int = 7) -> list[Event]:
    """A shop's visitors: who they are, two pages, a custom event, two cart changes; every third buys.

    What one user does keeps its order; users come side by side.
    """
    chance = random.Random(seed)
    visits = [list(_visit(f"m{number}", number, chance)) for number in range(users)]
    return interleaved(visits, chance)


def _visit(user: str, number: int, chance: random.Random) -> Iterator[Event]:
    yield identify(user)
    yield page(user, number)
    yield custom(user)
    first, second = chance.sample(WARES, 2)
    yield cart_change(user, first)
    yield page(user, number + 1)
    yield cart_change(user, second)
    if number % 3 == 0:
        yield order(user, f"o-{number}", [first, second])


def burst(count: int, seed: int = 7) -> list[Event]:
    """Identifies and custom events in the proportion of their limits, 300 to 40, each of another user."""
    chance = random.Random(seed)
    customs = count * 40 // 340
    found = [custom(f"c{number}") for number in range(customs)]
    found += identifies(count - customs)
    chance.shuffle(found)
    return found


def cart_storm(users: int, changes: int, seed: int = 7) -> list[Event]:
    """`changes` of each user's cart; a fifth takes something out that is in it."""
    chance = random.Random(seed)
    return interleaved(
        [_cart_changes(f"s{number}", changes, chance) for number in range(users)], chance
    )


def _cart_changes(user: str, changes: int, chance: random.Random) -> list[Event]:
    inside: list[Mapping[str, Any]] = []
    made = []
    for _ in range(changes):
        adds = len(inside) < 2 or chance.random() > 0.2
        ware = chance.choice(WARES[:8]) if adds else inside.pop(chance.randrange(len(inside)))
        if adds:
            inside.append(ware)
        made.append(cart_change(user, ware, adds=adds))
    return made


def cart_after(changes: Sequence[Event]) -> dict[str, int]:
    """Quantity by product after these changes of one cart: what both sides must arrive at."""
    cart: dict[str, int] = {}
    for change in changes:
        ware, step = change["properties"]["product_id"], change["event"] == "Product Added" or -1
        cart[ware] = cart.get(ware, 0) + int(step)
    return {ware: quantity for ware, quantity in cart.items() if quantity > 0}


def identify_burst(users: int, each: int, seed: int = 7) -> list[Event]:
    """`each` identifies of every user, which add and overwrite traits."""
    chance = random.Random(seed)
    visits = [
        [identify(f"i{number}", **{f"score{step % 5}": step}) for step in range(each)]
        for number in range(users)
    ]
    return interleaved(visits, chance)


def interleaved(visits: Sequence[list[Event]], chance: random.Random) -> list[Event]:
    """All visits' events mixed, each visit's own order kept."""
    turns = [number for number, visit in enumerate(visits) for _ in visit]
    chance.shuffle(turns)
    left = [iter(visit) for visit in visits]
    return [next(left[number]) for number in turns]
