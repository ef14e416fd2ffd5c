"""What goes wrong on such a day, and what is not for Sailthru."""

from __future__ import annotations

from typing import Any

from examples.shop_day.catalogue import SHOP, products
from examples.shop_day.stories import basket
from examples.shop_day.visits import Day, Visit

VIEW = {"type": "track", "event": "Product Viewed"}

MALFORMED: tuple[dict[str, Any], ...] = (
    {"type": "trak", "userId": "u-1", "event": "Product Viewed"},
    {"userId": "u-1", "event": "Product Viewed"},
    {"type": "track", "userId": "u-1"},
    {"type": "track", "userId": "u-1", "event": 42},
    {"type": "track", "userId": "u-1", "event": "   "},
    {**VIEW, "userId": {"id": "u-1"}},
    {"type": "alias", "userId": "u-1"},
)
"""Objects, but no events: each has a wrong or a missing type somewhere."""

SLOPPY: tuple[dict[str, Any], ...] = (
    {"type": "identify", "userId": "u-1", "traits": ["email"]},
    {**VIEW, "userId": "u-1", "properties": "none"},
    {**VIEW, "userId": "u-1", "context": 7},
)
"""Events with an optional part that cannot be read: they are delivered without it."""


def malformed(day: Day) -> None:
    """A broken snippet here and there."""
    for event in MALFORMED:
        day.visit().send(event, "dead:invalid_event")
    for event in SLOPPY:
        day.visit().send(event)
    day.visit(userId="u-1").track("Product Viewed", "dead:too_large", notes="x" * 33_000)


def without_any_id(day: Day) -> None:
    """Events without any id, or with a shared one only, where an id is needed."""
    dead = "dead:missing_user_id"
    day.visit().track("Product Viewed", dead)
    day.visit(userId="", anonymousId="  ").track("Cart Viewed", dead)
    day.visit(userId="guest").track("Product Viewed", dead)
    day.visit(userId="GUEST").add({}, dead)
    day.visit(anonymousId=day.new_id()).add({}, dead)


def buyers_without_email(day: Day) -> None:
    """Orders that no email will ever come for; `guest` must not give them another guest's."""
    day.visit(userId="guest").order(basket(day), "dead:missing_email")
    day.visit(anonymousId=day.new_id()).order(basket(day), "dead:missing_email")


def strangers(day: Day) -> None:
    """Users who are never identified: Sailthru knows no such user."""
    for _ in range(10):
        day.visit(userId=day.person().id).track("Product Viewed", "dead:unknown_user")


def refused(day: Day) -> None:
    """Well-formed events of known people that no call to Sailthru can be made of."""
    known(day).track("Open", "dead:reserved_event")
    known(day).track("click", "dead:reserved_event")
    ware = products()[0]
    known(day).track("Product Added", "dead:unmappable", **ware, quantity=1.5)
    known(day).track("Product Added", "dead:unmappable", **ware, quantity=-2)
    order: dict[str, Any] = {"order_id": "o-free", "products": [{**ware, "price": "free"}]}
    known(day).track("Order Completed", "dead:unmappable", **order)
    known(day).track("Order Completed", "dead:unmappable", order_id="o-empty", products=[])
    known(day).identify(email="not an address")


def nothing_to_remove(day: Day) -> None:
    """Removals from carts that are empty: never filled, or bought a moment ago."""
    ware = products()[3]
    for _ in range(3):
        known(day).track("Product Removed", "dead:nothing_to_remove", **ware)
    visit = known(day)
    visit.order(basket(day))
    visit.track("Product Removed", "dead:nothing_to_remove", **ware)
    visit.add({})


def not_for_sailthru(day: Day) -> None:
    """Events that are counted and go nowhere, and one that is meant for Sailthru alone."""
    for _ in range(6):
        visit = known(day)
        visit.send({"type": "group", "groupId": "g-wholesale"}, "ignored:unsupported_type")
        visit.send({"type": "screen", "name": "Home"}, "ignored:screen_without_url")
        visit.send({**VIEW, "integrations": {"All": False}}, "ignored:integrations_off")
        visit.send({**VIEW, "integrations": {"All": False, "Sailthru": True}})
        page = {"type": "screen", "name": "Offers", "properties": {"url": f"{SHOP}/offers"}}
        visit.send(page, "ignored:screens_off")
    known(day).track("User Deleted", "ignored:user_delete_off")


def known(day: Day) -> Visit:
    """A user who has just signed up with an email."""
    person = day.person()
    visit = day.visit(userId=person.id)
    visit.sign_up(person, email=person.email)
    return visit
