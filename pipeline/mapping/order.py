"""Orders and refunds -> POST /purchase, POST /return."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from typing import Any

from pipeline.events.models import Track
from pipeline.fields import Notes, is_nothing
from pipeline.mapping.flatten import flat_vars
from pipeline.mapping.identity import ask_for_email, find_email
from pipeline.mapping.items import (
    is_web_url,
    item_price,
    item_quantity,
    item_url,
    optional_item_id,
    purchase_item,
)
from pipeline.mapping.options import page_url, sailthru_bid, text_option
from pipeline.mapping.plan import Cart, OrderIntent, Plan, PlanContext, Send
from pipeline.mapping.values import (
    cents,
    cents_of,
    elements,
    empty_keys,
    field,
    identifier,
    number,
    objects,
    reject,
    scalar,
)
from pipeline.sailthru.calls import Call
from pipeline.settings import AccountSettings

_ADJUSTED = {"shipping": 1, "tax": 1, "discount": -1}
"""What becomes an adjustment when none are given, and its sign."""
_NOT_VARS = frozenset(
    {"products", "adjustments", "order_id", "orderId", "email", "sailthru_bid", "send_template"}
    | {"reminder_template", "reminder_time", "reminderTemplate", "reminderTime"}
)


def plan_order(event: Track, context: PlanContext, settings: AccountSettings) -> Plan:
    """POST /purchase, `incomplete: 0`. Never with reminder fields: it has been bought.

    Raises:
        MappingRejected: unmappable.
    """
    notes = Notes()
    params = _order_params(event, context, settings, notes)
    email = find_email(event, context, settings)
    if email is None:
        return ask_for_email(event, context, settings)
    return Send(
        Call("POST", "/purchase", {"email": email, **params}),
        intent=OrderIntent(params["purchase_keys"]["extid"]),
        cart_after=Cart(at=context.now),
        notes=tuple(notes),
    )


def plan_refund(event: Track, context: PlanContext, settings: AccountSettings) -> Plan:
    """POST /return. A full refund names no products: it is one item priced at the total.

    Raises:
        MappingRejected: unmappable.
    """
    notes = Notes()
    items = _returned_items(event, settings, notes)
    email = find_email(event, context, settings)
    if email is None:
        return ask_for_email(event, context, settings)
    return Send(Call("POST", "/return", {"email": email, "items": items}), notes=tuple(notes))


def _order_params(
    event: Track, context: PlanContext, settings: AccountSettings, notes: Notes
) -> dict[str, Any]:
    given = event.properties
    products = objects(given.get("products"), "properties.products", notes)
    if not products:
        reject("properties.products", "is missing or empty")
    page = page_url(event, notes)
    items = [purchase_item(one, page, settings, where, notes) for where, one in products]
    keys = {"extid": _order_id(event, notes)}
    adjustments, used = _adjustments(given, notes)
    not_vars = _NOT_VARS | used | empty_keys(given, ("checkout_id",))
    extras = {
        "adjustments": adjustments,
        "date": _date(event, context),
        "message_id": sailthru_bid(event, notes),
        "send_template": text_option(event, "send_template", notes, or_property=True),
        "vars": flat_vars(given, settings, "properties", notes, not_vars),
    }
    params: dict[str, Any] = {"items": items, "incomplete": 0, "purchase_keys": keys}
    return params | {name: value for name, value in extras.items() if value}


def _order_id(event: Track, notes: Notes) -> str:
    """order_id, else checkout_id, else messageId (reference: segment 2.1)."""
    for name in ("order_id", "checkout_id"):
        found = _optional_id(event.properties, name, notes)
        if found:
            return found
    return event.message_id or reject("properties.order_id", "is missing, and messageId too")


def _optional_id(given: Mapping[str, Any], name: str, notes: Notes) -> str | None:
    return notes.optional(identifier, field(given, (name,))[1], f"properties.{name}")


def _adjustments(
    given: Mapping[str, Any], notes: Notes
) -> tuple[list[dict[str, Any]], frozenset[str]]:
    """The order's adjustments, and the properties they were made from.

    Given ones are passed on as they are (reference: document 001): their prices are cents already.
    """
    listed = notes.optional(elements, given.get("adjustments"), "properties.adjustments")
    ready = [notes.optional(_as_given, one, where) for where, one in listed or []]
    if any(ready):
        return [one for one in ready if one], frozenset()
    built = []
    for name, sign in _ADJUSTED.items():
        read = partial(_adjustment, sign)
        price = notes.optional(read, given.get(name), f"properties.{name}")
        if price:
            built.append({"title": name, "price": price})
    return built, frozenset(_ADJUSTED)


def _adjustment(sign: int, value: object, where: str) -> int:
    if is_nothing(value):
        return 0
    amount = number(value, where)
    # People write a discount of five as 5 and as -5.
    return sign * cents_of(amount.copy_abs() if sign < 0 else amount, where)


def _as_given(adjustment: object, where: str) -> dict[str, Any]:
    """Whole or not at all: half an adjustment would change what the order came to."""
    if not isinstance(adjustment, Mapping):
        reject(where, "must be an object")
    if not is_nothing(adjustment.get("price")):
        number(adjustment["price"], f"{where}.price")
    return {
        name: scalar(one, f"{where}.{name}")
        for name, one in adjustment.items()
        if not is_nothing(one)
    }


def _date(event: Track, context: PlanContext) -> str | None:
    """RFC 2822 with an offset, which is what Sailthru recommends (reference: sailthru-api 5)."""
    at = event.occurred_at
    if at is None and context.first_accepted_at is not None:
        at = datetime.fromtimestamp(context.first_accepted_at, UTC)
    return None if at is None else format_datetime(at)


def _returned_items(event: Track, settings: AccountSettings, notes: Notes) -> list[dict[str, Any]]:
    order_id = _optional_id(event.properties, "order_id", notes)
    of_order = {"order_id": order_id} if order_id else {}
    page = page_url(event, notes)
    products = objects(event.properties.get("products"), "properties.products", notes)
    if not products:
        return [_whole_order(event, page, settings) | of_order]
    items = []
    for where, one in products:
        product_id = optional_item_id(one, where, notes)
        item: dict[str, Any] = {"id": product_id} if product_id else {}
        item |= {
            "qty": item_quantity(one, where),
            "price": item_price(one, where),
            "url": item_url(one, page, settings, where, notes),
        }
        items.append(item | of_order)
    return items


def _whole_order(event: Track, page: str | None, settings: AccountSettings) -> dict[str, Any]:
    key, total = field(event.properties, ("total", "revenue", "value"))
    if total is None:
        reject("properties.products", "is missing, and properties.total too")
    url = page if page and is_web_url(page) else settings.product_base_url
    if url is None:
        reject("context.page.url", "is missing, and PRODUCT_BASE_URL is not set")
    return {"qty": 1, "price": cents(total, f"properties.{key}"), "url": url}
