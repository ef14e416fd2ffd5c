"""Reading untrusted JSON values: every function returns what Sailthru takes, or raises Unreadable.

Where the field is read it is said whether the event needs it: `price = cents(value, path)` refuses the
event with the path, `notes.optional(cents, value, path)` leaves the field out with a note.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NoReturn

from pipeline.errors import Unreadable
from pipeline.events.integrations import folded
from pipeline.fields import Notes, as_whole, is_nothing
from pipeline.text import mend_id, mend_line, mend_prose

MAX_QUANTITY = 1_000_000
MAX_CENTS = 10**15
"""Ten million million in any currency: beyond it is a mistake, and a double still holds it."""
MAX_INT_BITS = 64

_CENT = Decimal("0.01")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_MAX_NUMBER_CHARS = 64
_MAX_POSITION_CHARS = 9


def reject(where: str, what: str) -> NoReturn:
    """Raise Unreadable. `where` and `what` name fields and rules, never values."""
    raise Unreadable(where, what)


def text(value: object, where: str) -> str | None:
    """One mended line, stripped; a whole number as its digits; None when it is nothing."""
    given = _text(value, where)
    return None if given is None else mend_line(given).strip() or None


def identifier(value: object, where: str) -> str | None:
    """As `text`, for ids and addresses: a tab or line break in them is no space."""
    given = _text(value, where)
    return None if given is None else mend_id(given) or None


def _text(value: object, where: str) -> str | None:
    if isinstance(value, str):
        return value
    if is_nothing(value):
        return None
    whole = as_whole(value)
    if not isinstance(whole, int) or isinstance(whole, bool):
        reject(where, "must be a string")
    return str(scalar(whole, where))


def scalar(value: object, where: str) -> str | bool | int | float:
    """A JSON scalar that Sailthru can hold. False is a value: it says that a user left an audience."""
    if isinstance(value, str):
        return mend_prose(value)
    value = as_whole(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        if value.bit_length() > MAX_INT_BITS:
            reject(where, "is too large a number")
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            reject(where, "is too large a number")
        return value
    reject(where, "must be a string, a number or a boolean")


def number(value: object, where: str) -> Decimal:
    """A JSON number or numeric string, exactly as it was written."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        reject(where, "must be a number")
    if isinstance(value, int) and value.bit_length() > MAX_INT_BITS:
        reject(where, "is too large a number")
    # repr: the shortest text of a float is what stood in the JSON, its exact value is not.
    literal = value.strip() if isinstance(value, str) else repr(value)
    if len(literal) > _MAX_NUMBER_CHARS or not _NUMBER.fullmatch(literal):
        reject(where, "must be a number")
    return Decimal(literal)


def cents(value: object, where: str) -> int:
    """A price in integer cents, rounded half up: 18.99 is 1899 and 1.005 is 101."""
    return cents_of(number(value, where), where)


def cents_of(amount: Decimal, where: str) -> int:
    """An amount of money in integer cents."""
    if amount < 0:
        reject(where, "must not be negative")
    if amount * 100 > MAX_CENTS:
        reject(where, "is too large a price")
    return int(amount.quantize(_CENT, rounding=ROUND_HALF_UP).scaleb(2))


def quantity(value: object, where: str) -> int:
    """A count of items, 1 when it is nothing."""
    count = Decimal(1) if is_nothing(value) else number(value, where)
    if not 1 <= count <= MAX_QUANTITY or count != count.to_integral_value():
        reject(where, f"must be a whole number from 1 to {MAX_QUANTITY}")
    return int(count)


def elements(value: object, where: str) -> list[tuple[str, Any]]:
    """The elements of a list, each with its place; none when it is nothing.

    PHP writes a list with a hole in it as an object whose names are numbers.
    """
    if is_nothing(value):
        return []
    if isinstance(value, Mapping) and all(_is_position(name) for name in value):
        return [(f"{where}.{name}", value[name]) for name in sorted(value, key=int)]
    if not isinstance(value, list):
        reject(where, "must be a list")
    return [(f"{where}.{n}", one) for n, one in enumerate(value)]


def _is_position(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) <= _MAX_POSITION_CHARS


def objects(value: object, where: str, notes: Notes) -> list[tuple[str, Mapping[str, Any]]]:
    """A list of objects, each with its place. One that is nothing is left out with a note."""
    found = []
    for place, one in elements(value, where):
        if is_nothing(one):
            notes.add(place, "must be an object")
        elif isinstance(one, Mapping):
            found.append((place, one))
        else:
            reject(place, "must be an object")
    return found


def texts(value: object, where: str, notes: Notes) -> list[str]:
    """A list of texts. What cannot be read of it is left out with a note."""
    listed = notes.optional(elements, value, where) or []
    found = (notes.optional(text, one, place) for place, one in listed)
    return [one for one in found if one]


def field(source: Mapping[str, Any], names: Iterable[str]) -> tuple[str, object]:
    """The first of `names` that is not nothing in `source`, whatever its case style: (key, value).

    ("", None) when there is none.
    """
    for name in names:
        wanted = folded(name)
        for key, value in source.items():
            if folded(key) == wanted and not is_nothing(value):
                return key, value
    return "", None


def empty_keys(source: Mapping[str, Any], names: Collection[str]) -> frozenset[str]:
    """The keys of `source` that are one of `names`, in any case style, and hold nothing."""
    wanted = {folded(name) for name in names}
    return frozenset(
        key for key, value in source.items() if folded(key) in wanted and is_nothing(value)
    )
