"""What Sailthru takes beside a purchase's items and is passed on when it is given (reference: sailthru-api 2.3).

Each may be an option or a property. A property that cannot be read as one stays a var, with a note: a shop
may call something of its own `channel`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from email.utils import format_datetime
from typing import Any

from pipeline.events.integrations import folded
from pipeline.events.models import Track
from pipeline.fields import Notes
from pipeline.mapping.numbers import MAX_CENTS, number
from pipeline.mapping.options import find_option, may_give
from pipeline.mapping.values import elements, empty_keys, identifier, reject, text, whole_object
from pipeline.times import READABLE, read_time

CHANNELS = ("online", "app", "offline")
_PROPERTIES = "properties."


def passed_on(
    event: Track, names: tuple[str, ...], notes: Notes
) -> tuple[dict[str, Any], frozenset[str]]:
    """The params called `names` that the event gives, and the properties that are no vars therefore."""
    if not may_give(event, _PLAIN_NAMES):
        return {}, frozenset()
    params: dict[str, Any] = {}
    used = set(empty_keys(event.properties, names))
    for name in names:
        path, value = find_option(event, name, _READERS[name], notes, or_property=True)
        if value:
            params[name] = value
        if path.startswith(_PROPERTIES):
            used.add(path.removeprefix(_PROPERTIES))
    return params, frozenset(used)


def priced(given: object, where: str) -> dict[str, Any]:
    """An adjustment or tender as it is, its price in cents already, as a number.

    Whole or not at all: half of one would change what the order came to.
    """
    found = whole_object(given, where)
    if "price" in found:
        price = number(found["price"], f"{where}.price")
        if abs(price) > MAX_CENTS:
            reject(f"{where}.price", "is too large a price")
        found["price"] = int(price) if price == price.to_integral_value() else float(price)
    return found


def _tenders(value: object, where: str) -> list[dict[str, Any]]:
    return [found for place, one in elements(value, where) if (found := priced(one, place))]


def _channel(value: object, where: str) -> str | None:
    given = (text(value, where) or "").casefold()
    return given if given in CHANNELS else reject(where, f"must be {' or '.join(CHANNELS)}")


def _date(value: object, where: str) -> str:
    at = read_time(value)
    return reject(where, READABLE) if at is None else format_datetime(at)


_READERS: Mapping[str, Callable[[object, str], Any]] = {
    "tenders": _tenders,
    "channel": _channel,
    "app_id": identifier,
    "device_id": identifier,
    "user_agent": text,
    "cookies": whole_object,
    "date": _date,
}
_PLAIN_NAMES = frozenset(map(folded, _READERS))
OF_CART = ("channel", "app_id", "device_id", "user_agent", "cookies", "date")
OF_ORDER = ("tenders", "channel", "app_id", "device_id", "user_agent", "cookies")
"""The date of an order is its timestamp."""
