"""What tells two orders of one id apart: whose they are, their lines and their total. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from pipeline.errors import Unreadable
from pipeline.fields import is_nothing
from pipeline.mapping.items import Reading
from pipeline.settings.values import SHARED_IDS


def is_placeholder(order_id: str) -> bool:
    """Whether this is what a broken snippet sends for every order, `undefined` say."""
    return order_id.casefold() in SHARED_IDS


def basket_of(
    email: str, params: Mapping[str, Any], given: Mapping[str, Any], reading: Reading
) -> str:
    """What two events of one purchase share, whichever program sent them: 16 hexadecimal digits.

    email: that of the call. params: the call's `items` and `adjustments`. given: the event's properties.

    Titles, pictures and addresses do not count: a page and a server write them differently.
    """
    items = params["items"]
    lines = sorted((one["id"], one["qty"], one["price"]) for one in items)
    total = _total(given, reading)
    if total is None:
        total = sum(one["qty"] * one["price"] for one in items)
        total += sum(one.get("price", 0) for one in params.get("adjustments", ()))
    text = json.dumps([email.lower(), lines, total])
    return blake2b(text.encode(), digest_size=8).hexdigest()


def _total(given: Mapping[str, Any], reading: Reading) -> int | None:
    """What the event says that was paid; None where it says nothing that can be read."""
    total = given.get("total")
    try:
        return None if is_nothing(total) else reading.signed(total, "properties.total")
    except Unreadable:
        return None
