"""GET /user replies, as Sailthru's PHP really writes them (reference: sailthru-api 2.1)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from typing import Any

from pipeline.errors import MappingRejected
from pipeline.mapping.items import normal_images
from pipeline.mapping.numbers import quantity
from pipeline.mapping.plan import Cart, Item, Profile
from pipeline.mapping.values import text
from pipeline.text import is_email


def read_profile(status_ok: bool, body: Mapping[str, Any]) -> Profile:
    """What a reply says about the user.

    status_ok: False when Sailthru answered that it does not know the user.

    An empty object may come as [] or null, the cart as an object or a list of one, its images and
    numbers as strings. What cannot be read is left out.
    """
    if not status_ok or "error" in body or "errormsg" in body:
        return Profile(exists=False)
    given = body.get("keys")
    keys = given if isinstance(given, Mapping) else {}
    email = keys.get("email")
    return Profile(
        exists=True,
        email=email if isinstance(email, str) and is_email(email) else None,
        cart=_cart(body.get("purchase_incomplete")),
        extid=_extid(keys.get("extid")),
    )


def profile_name(key: str, identity: str) -> str:
    """What a profile is remembered by without naming its person: the hash of a key of Sailthru's and an id."""
    return blake2b(f"{key} {identity}".encode(), digest_size=16).hexdigest()


def read_time(value: object) -> float | None:
    """An RFC 2822 time in seconds since the epoch; None when it is none."""
    if not isinstance(value, str):
        return None
    try:
        at = parsedate_to_datetime(value)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def read_items(value: object) -> tuple[Item, ...]:
    """The items of a cart as POST takes them back, without those that cannot be told apart or counted."""
    items = map(_item, value) if isinstance(value, list) else ()
    return tuple(item for item in items if item)


def _extid(value: object) -> str | None:
    """PHP may write an extid of digits as a number."""
    try:
        return text(value, "keys.extid")
    except MappingRejected:
        return None


def _cart(value: object) -> Cart | None:
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, Mapping) or not value:
        return None
    return Cart(read_items(value.get("items")), read_time(value.get("time")))


def _item(value: object) -> Item | None:
    """One item as POST takes it back; None when it has no id or no quantity to count with."""
    if not isinstance(value, Mapping):
        return None
    try:
        read = {"id": text(value.get("id"), "id"), "qty": quantity(value.get("qty"), "qty")}
    except MappingRejected:
        return None
    if read["id"] is None:
        return None
    item = {**value, **read, "images": normal_images(value.get("images"))}
    return {name: one for name, one in item.items() if one not in ([], {}, None)}
