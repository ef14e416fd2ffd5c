"""Orders and refunds -> POST /purchase, POST /return."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from pipeline.events import Track
from pipeline.mapping.flatten import flat_vars
from pipeline.mapping.identity import ask_for_email, find_email
from pipeline.mapping.items import (
    find_item_id,
    is_web_url,
    item_price,
    item_quantity,
    item_url,
    purchase_item,
)
from pipeline.mapping.options import sailthru_bid, text_option
from pipeline.mapping.plan import Cart, Known, OrderIntent, Plan, Send
from pipeline.mapping.values import cents, cents_of, field, number, objects, refuse, scalar, text
from pipeline.sailthru.calls import Call
from pipeline.settings import AccountSettings

_ADJUSTED = {"shipping": 1, "tax": 1, "discount": -1}
"""What becomes an adjustment when none are given, and its sign."""
_NOT_VARS = frozenset(
    {"products", "adjustments", "order_id", "orderId", "email", "sailthru_bid", "send_template"}
    | {"reminder_template", "reminder_time", "reminderTemplate", "reminderTime"}
)


def plan_order(event: Track, known: Known, settings: AccountSettings) -> Plan:
    """POST /purchase, `incomplete: 0`. Never with reminder fields: it has been bought.

    Raises:
        Rejected: unmappable.
    """
    params = _order_params(event, known, settings)
    email = find_email(event, known, settings)
    if email is None:
        return ask_for_email(event, known, settings)
    return Send(
        Call("POST", "/purchase", {"email": email, **params}),
        intent=OrderIntent(params["purchase_keys"]["extid"]),
        cart_after=Cart(at=known.now),
    )


def plan_refund(event: Track, known: Known, settings: AccountSettings) -> Plan:
    """POST /return. A full refund names no products: it is one item priced at the total.

    Raises:
        Rejected: unmappable.
    """
    items = _returned_items(event, settings)
    email = find_email(event, known, settings)
    if email is None:
        return ask_for_email(event, known, settings)
    return Send(Call("POST", "/return", {"email": email, "items": items}))


def _order_params(event: Track, known: Known, settings: AccountSettings) -> dict[str, Any]:
    given = event.properties
    products = objects(given.get("products"), "properties.products")
    if not products:
        refuse("properties.products", "is missing or empty")
    items = [
        purchase_item(one, event.page_url, settings, f"properties.products.{n}")
        for n, one in enumerate(products)
    ]
    adjustments, used = _adjustments(given)
    extras = {
        "adjustments": adjustments,
        "date": _date(event, known),
        "message_id": sailthru_bid(event),
        "send_template": text_option(event, "send_template", or_property=True),
        "vars": flat_vars(given, settings, "properties", _NOT_VARS | used),
    }
    keys = {"extid": _order_id(event)}
    params: dict[str, Any] = {"items": items, "incomplete": 0, "purchase_keys": keys}
    return params | {name: value for name, value in extras.items() if value}


def _order_id(event: Track) -> str:
    """order_id, else checkout_id, else messageId (reference: segment 2.1)."""
    for name in ("order_id", "checkout_id"):
        found = text(field(event.properties, (name,))[1], f"properties.{name}")
        if found:
            return found
    return event.message_id or refuse("properties.order_id", "is missing, and messageId too")


def _adjustments(given: Mapping[str, Any]) -> tuple[list[dict[str, Any]], frozenset[str]]:
    """The order's adjustments, and the properties they were made from.

    Given ones are passed on as they are (reference: document 001): their prices are cents already.
    """
    where = "properties.adjustments"
    if given.get("adjustments") is not None:
        return [_as_given(one) for one in objects(given["adjustments"], where)], frozenset()
    built = []
    for name, sign in _ADJUSTED.items():
        price = _adjustment(given.get(name), sign, f"properties.{name}")
        if price:
            built.append({"title": name, "price": price})
    return built, frozenset(_ADJUSTED)


def _adjustment(value: object, sign: int, where: str) -> int:
    if value in (None, ""):
        return 0
    amount = number(value, where)
    # People write a discount of five as 5 and as -5.
    return sign * cents_of(amount.copy_abs() if sign < 0 else amount, where)


def _as_given(adjustment: Mapping[str, Any]) -> dict[str, Any]:
    where = "properties.adjustments"
    return {name: scalar(one, where) for name, one in adjustment.items() if one is not None}


def _date(event: Track, known: Known) -> str | None:
    """RFC 2822 with an offset, which is what Sailthru recommends (reference: sailthru-api 5)."""
    at = event.occurred_at
    if at is None and known.first_accepted_at is not None:
        at = datetime.fromtimestamp(known.first_accepted_at, UTC)
    return None if at is None else format_datetime(at)


def _returned_items(event: Track, settings: AccountSettings) -> list[dict[str, Any]]:
    given = event.properties
    order_id = text(field(given, ("order_id",))[1], "properties.order_id")
    of_order = {"order_id": order_id} if order_id else {}
    products = objects(given.get("products"), "properties.products")
    if not products:
        return [_whole_order(event, settings) | of_order]
    items = []
    for n, one in enumerate(products):
        where = f"properties.products.{n}"
        product_id = find_item_id(one, where)
        item: dict[str, Any] = {"id": product_id} if product_id else {}
        item |= {
            "qty": item_quantity(one, where),
            "price": item_price(one, where),
            "url": item_url(one, event.page_url, settings, where),
        }
        items.append(item | of_order)
    return items


def _whole_order(event: Track, settings: AccountSettings) -> dict[str, Any]:
    key, total = field(event.properties, ("total", "revenue", "value"))
    if total is None:
        refuse("properties.products", "is missing, and properties.total too")
    page = event.page_url
    url = page if page and is_web_url(page) else settings.product_base_url
    if url is None:
        refuse("context.page.url", "is missing, and PRODUCT_BASE_URL is not set")
    return {"qty": 1, "price": cents(total, f"properties.{key}"), "url": url}
