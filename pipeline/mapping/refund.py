"""Refunds -> POST /return."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.events.models import Track
from pipeline.fields import Notes
from pipeline.mapping.identity import ask_for_email, find_email
from pipeline.mapping.items import Reading, is_web_url, item_url, optional_item_id, reading_of
from pipeline.mapping.numbers import quantity
from pipeline.mapping.order import optional_id
from pipeline.mapping.plan import Plan, PlanContext, Send
from pipeline.mapping.values import field, objects, reject
from pipeline.sailthru.calls import Call
from pipeline.settings import AccountSettings

_TOTAL = ("total", "revenue", "value")
_LINE_TOTAL = ("total", "line_total", "subtotal", "amount")


def plan_refund(event: Track, context: PlanContext, settings: AccountSettings) -> Plan:
    """POST /return. A full refund names no products: it is one item priced at the total.

    Some shops write what they pay back as a negative amount or a negative quantity. It is the same refund.

    Raises:
        Unreadable: an amount, quantity or address is missing or absurd.
    """
    notes = Notes()
    items = _returned_items(event, reading_of(event, settings, notes))
    email = find_email(event, context, settings)
    if email is None:
        return ask_for_email(event, context, settings)
    return Send(Call("POST", "/return", {"email": email, "items": items}), notes=tuple(notes))


def _returned_items(event: Track, reading: Reading) -> list[dict[str, Any]]:
    given = event.properties
    order_id = optional_id(given, "order_id", reading.notes)
    of_order = {"order_id": order_id} if order_id else {}
    products = objects(given.get("products"), "properties.products", reading.notes)
    if not products:
        return [_whole_order(given, reading) | of_order]
    return [item | of_order for where, one in products for item in _line(one, where, reading)]


def _line(product: Mapping[str, Any], where: str, reading: Reading) -> list[dict[str, Any]]:
    product_id = optional_item_id(product, where, reading.notes)
    named = {"id": product_id} if product_id else {}
    url = item_url(product, where, reading)
    count = quantity(field(product, ("quantity",))[1], f"{where}.quantity", either_sign=True)
    return [
        named | {"qty": n, "price": price, "url": url}
        for n, price in _parts(product, where, count, reading)
    ]


def _parts(
    product: Mapping[str, Any], where: str, count: int, reading: Reading
) -> list[tuple[int, int]]:
    """(quantity, unit price in cents): one part, or two when the line's total is no multiple of its quantity."""
    _, price = field(product, ("price",))
    if price is not None:
        return [(count, abs(reading.signed(price, f"{where}.price")))]
    key, total = field(product, _LINE_TOTAL)
    if total is None:
        reject(f"{where}.price", "is missing, and total too")
    each, dearer = divmod(abs(reading.signed(total, f"{where}.{key}")), count)
    parts = ((count - dearer, each), (dearer, each + 1))
    return [part for part in parts if part[0]]


def _whole_order(given: Mapping[str, Any], reading: Reading) -> dict[str, Any]:
    key, total = field(given, _TOTAL)
    if total is None:
        reject("properties.products", "is missing, and properties.total too")
    page, base = reading.page, reading.settings.product_base_url
    url = page if page and is_web_url(page) else base
    if url is None:
        reject("context.page.url", "is missing, and PRODUCT_BASE_URL is not set")
    return {"qty": 1, "price": abs(reading.signed(total, f"properties.{key}")), "url": url}
