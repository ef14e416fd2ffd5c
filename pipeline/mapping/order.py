"""Orders -> POST /purchase."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from typing import Any

from pipeline.events.models import Track
from pipeline.fields import Notes, is_nothing
from pipeline.mapping.basket import basket_of, is_placeholder
from pipeline.mapping.flatten import flat_vars, keys_named
from pipeline.mapping.identity import ask_for_email, find_email, user_id
from pipeline.mapping.items import (
    Reading,
    item_quantity,
    item_title,
    purchase_item,
    reading_of,
    signed_price,
)
from pipeline.mapping.numbers import not_negative
from pipeline.mapping.options import sailthru_bid, text_option
from pipeline.mapping.passed import OF_ORDER, passed_on, priced
from pipeline.mapping.plan import Cart, OrderIntent, Plan, PlanContext, Send
from pipeline.mapping.values import (
    elements,
    empty_keys,
    field,
    identifier,
    objects,
    reject,
)
from pipeline.sailthru.calls import Call
from pipeline.settings import AccountSettings
from pipeline.times import READABLE

_ADJUSTED = {"shipping": 1, "tax": 1, "discount": -1}
"""What becomes an adjustment when none are given, and its sign."""
_NOT_VARS = frozenset({"products", "email"})
_OPTIONS = frozenset({"orderid", "sailthrubid", "sendtemplate", "remindertemplate", "remindertime"})
"""In any spelling. No reminder goes out for what has been bought, so an order only loses these."""


def plan_order(event: Track, context: PlanContext, settings: AccountSettings) -> Plan:
    """POST /purchase, `incomplete: 0`. Never with reminder fields: it has been bought.

    Raises:
        MappingRejected: unmappable.
    """
    notes = Notes()
    reading = reading_of(event, settings, notes)
    own_id = _own_id(event, notes)
    params = _order_params(event, context, own_id, reading)
    email = find_email(event, context, settings)
    if email is None:
        return ask_for_email(event, context, settings)
    is_visitors = user_id(event, context, settings) is None
    basket = basket_of(email, params, event.properties, reading) if own_id else ""
    return Send(
        Call("POST", "/purchase", {"email": email, **params}),
        intent=OrderIntent(params["purchase_keys"]["extid"], basket),
        cart_after=Cart(at=context.now, email=email if is_visitors else None),
        notes=tuple(notes),
    )


def _order_params(
    event: Track, context: PlanContext, own_id: str | None, reading: Reading
) -> dict[str, Any]:
    given, notes, settings = event.properties, reading.notes, reading.settings
    products = objects(given.get("products"), "properties.products", notes)
    if not products:
        reject("properties.products", "is missing or empty")
    items, taken_off = _lines(products, reading)
    extid = (
        own_id or event.message_id or reject("properties.order_id", "is missing, and messageId too")
    )
    keys = {"extid": extid}
    adjustments, used = _adjustments(given, reading)
    passed, passed_keys = passed_on(event, OF_ORDER, notes)
    not_vars = _NOT_VARS | used | passed_keys | keys_named(given, _OPTIONS)
    not_vars |= empty_keys(given, ("checkout_id",))
    extras = {
        "adjustments": adjustments + taken_off,
        "date": _date(event, context),
        "message_id": sailthru_bid(event, notes),
        "send_template": text_option(event, "send_template", notes, or_property=True),
        "vars": flat_vars(given, settings, "properties", notes, not_vars),
    }
    params: dict[str, Any] = {"items": items, "incomplete": 0, "purchase_keys": keys} | passed
    return params | {name: value for name, value in extras.items() if value}


def _lines(
    products: list[tuple[str, Mapping[str, Any]]], reading: Reading
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The items, and the adjustments that lines with a negative price are: Sailthru has no such items."""
    items, adjustments = [], []
    for where, one in products:
        price = signed_price(one, where, reading)
        if price >= 0:
            items.append(purchase_item(one, where, reading))
            continue
        reading.notes.add(f"{where}.price", "is negative: the line is sent as an adjustment")
        title = item_title(one, where, reading.notes) or "discount"
        adjustments.append({"title": title, "price": price * item_quantity(one, where)})
    if not items:
        reject("properties.products", "has no line whose price is zero or more")
    return items, adjustments


def _own_id(event: Track, notes: Notes) -> str | None:
    """order_id, else checkout_id; without either the messageId stands for them (reference: segment 2.1)."""
    for name in ("order_id", "checkout_id"):
        found = optional_id(event.properties, name, notes)
        if found and is_placeholder(found):
            notes.add(f"properties.{name}", "is a placeholder and not the id of one order")
        elif found:
            return found
    return None


def optional_id(given: Mapping[str, Any], name: str, notes: Notes) -> str | None:
    """The order's id that the property `name` holds, if it can be read."""
    return notes.optional(identifier, field(given, (name,))[1], f"properties.{name}")


def _adjustments(
    given: Mapping[str, Any], reading: Reading
) -> tuple[list[dict[str, Any]], frozenset[str]]:
    """The order's adjustments, and the properties they were made from. The classic destination had none.

    Given ones are passed on as they are (reference: document 001): their prices are cents already.
    """
    if reading.is_classic:
        return [], frozenset()
    notes, made_of = reading.notes, frozenset({"adjustments"})
    listed = notes.optional(elements, given.get("adjustments"), "properties.adjustments")
    ready = [notes.optional(priced, one, where) for where, one in listed or []]
    if any(ready):
        return [one for one in ready if one], made_of
    built = []
    for name, sign in _ADJUSTED.items():
        read = partial(_adjustment, sign, reading)
        price = notes.optional(read, given.get(name), f"properties.{name}")
        if price:
            built.append({"title": name, "price": price})
    return built, made_of | frozenset(_ADJUSTED)


def _adjustment(sign: int, reading: Reading, value: object, where: str) -> int:
    if is_nothing(value):
        return 0
    amount = reading.signed(value, where)
    # People write a discount of five as 5 and as -5.
    return -abs(amount) if sign < 0 else not_negative(amount, where)


def _date(event: Track, context: PlanContext) -> str | None:
    """RFC 2822 with an offset, which is what Sailthru recommends (reference: sailthru-api 5).

    Required where it is given: a purchase cannot be edited, and one of years ago would be today's.
    """
    at = event.occurred_at
    if at is None and not is_nothing(event.timestamp):
        reject("timestamp", READABLE)
    if at is None and context.first_accepted_at is not None:
        at = datetime.fromtimestamp(context.first_accepted_at, UTC)
    return None if at is None else format_datetime(at)
