"""Customers whose events all arrive, except those whose email never comes."""

from __future__ import annotations

from examples.shop_day.catalogue import products
from examples.shop_day.visits import Day, Visit


def shopper(day: Day) -> None:
    """Signs up, looks around, fills a cart and empties some of it; every second one buys."""
    person = day.person()
    visit = day.visit()
    if day.chance.random() < 0.3:
        visit.ids = {"anonymousId": day.new_id()}
        visit.browse(day.chance.randint(1, 3))
    visit.ids = visit.ids | {"userId": person.id}
    visit.sign_up(person, email=person.email)
    visit.ids = {"userId": person.id}
    visit.browse(day.chance.randint(0, 2))
    visit.view(day.chance.randint(0, 2))
    cart: dict[str, int] = {}
    fill(visit, cart)
    if cart and day.chance.random() < 0.6:
        bought = visit.order(cart)
        if day.chance.random() < 0.08:
            visit.track("Order Refunded", **bought, email=person.email)
        if day.chance.random() < 0.3:
            visit.add(cart)
    if day.chance.random() < 0.15:
        visit.identify(email=person.email, newsletter=day.chance.random() < 0.5)


def fill(visit: Visit, cart: dict[str, int]) -> None:
    """A few cart changes, of which some take out what is there."""
    for _ in range(visit.day.chance.randint(0, 5)):
        if cart and visit.day.chance.random() < 0.3:
            visit.take_out(cart)
        else:
            visit.add(cart)


def shopper_without_email(day: Day) -> None:
    """A member whose email never comes: the order and the cart wait in vain."""
    person = day.person()
    visit = day.visit(userId=person.id)
    visit.sign_up(person)
    visit.view(1)
    cart: dict[str, int] = {}
    visit.add(cart, "dead:missing_email")
    if day.chance.random() < 0.7:
        visit.order(cart, "dead:missing_email")


def shopper_with_late_email(day: Day) -> None:
    """Buys first and says who they are later: the order waits and then goes out."""
    person = day.person()
    visit = day.visit(userId=person.id)
    visit.order(basket(day))
    visit.browse(1)
    visit.at += day.chance.uniform(60, 3600)
    visit.identify(email=person.email, firstName=person.first_name)


def shopper_with_email_in_order(day: Day) -> None:
    """A member whose email stands in the order alone."""
    person = day.person()
    visit = day.visit(userId=person.id)
    visit.sign_up(person)
    visit.order(basket(day), email=person.email)


def basket(day: Day) -> dict[str, int]:
    """A cart whose filling left no events."""
    return {
        ware["product_id"]: day.chance.randint(1, 2) for ware in day.chance.sample(products(), 2)
    }


def window_shopper(day: Day) -> None:
    """Looks around and leaves without a name."""
    day.visit(anonymousId=day.new_id()).browse(day.chance.randint(1, 3))


def newcomer(day: Day) -> None:
    """Leaves something about themselves before they sign up: two profiles become one."""
    person = day.person()
    anonymous = day.new_id()
    visit = day.visit(anonymousId=anonymous)
    visit.identify(favourite=day.chance.choice(("tea", "coffee")))
    visit.browse(1)
    if day.chance.random() < 0.6:
        visit.ids = {"anonymousId": anonymous, "userId": person.id}
        visit.sign_up(person, email=person.email)
    else:
        visit.ids = {"userId": person.id}
        visit.sign_up(person, email=person.email)
        visit.send({"type": "alias", "previousId": anonymous})


def reader(day: Day) -> None:
    """Known by email alone: subscribes, and writes a review."""
    person = day.person()
    visit = day.visit()
    visit.identify(email=person.email, firstName=person.first_name)
    visit.track("Subscribed", email=person.email, list="Tea Letter")
    visit.track("Review Written", email=person.email, stars=day.chance.randint(1, 5))


def guest(day: Day) -> None:
    """`guest` is a shared id: only what the event itself says counts."""
    person = day.person()
    day.visit(userId="guest").order(basket(day), email=person.email)
