"""Reading untrusted JSON values: every function returns what Sailthru takes, or raises Rejected."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NoReturn

from pipeline.errors import Reason, Rejected
from pipeline.integrations import same_name
from pipeline.sailthru.text import clean_text

MAX_QUANTITY = 1_000_000
MAX_CENTS = 10**15
"""Ten million million in any currency: beyond it is a mistake, and a double still holds it."""
MAX_INT_BITS = 64

_CENT = Decimal("0.01")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_MAX_NUMBER_CHARS = 64


def refuse(where: str, what: str) -> NoReturn:
    """Raise Rejected `unmappable`. `where` and `what` name fields and rules, never values."""
    raise Rejected(Reason.UNMAPPABLE, f"{where} {what}")


def text(value: object, where: str) -> str | None:
    """A stripped string fit for UTF-8; a whole number as its digits; None when blank or null."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(scalar(value, where))
    if value is None:
        return None
    if not isinstance(value, str):
        refuse(where, "must be a string")
    return clean_text(value).strip() or None


def scalar(value: object, where: str) -> str | bool | int | float:
    """A JSON scalar that Sailthru can hold."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        if value.bit_length() > MAX_INT_BITS:
            refuse(where, "is too large a number")
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            refuse(where, "is too large a number")
        return value
    refuse(where, "must be a string, a number or a boolean")


def number(value: object, where: str) -> Decimal:
    """A JSON number or numeric string, exactly as it was written."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        refuse(where, "must be a number")
    if isinstance(value, int) and value.bit_length() > MAX_INT_BITS:
        refuse(where, "is too large a number")
    # repr: the shortest text of a float is what stood in the JSON, its exact value is not.
    literal = value.strip() if isinstance(value, str) else repr(value)
    if len(literal) > _MAX_NUMBER_CHARS or not _NUMBER.fullmatch(literal):
        refuse(where, "must be a number")
    return Decimal(literal)


def cents(value: object, where: str) -> int:
    """A price in integer cents, rounded half up: 18.99 is 1899 and 1.005 is 101."""
    return cents_of(number(value, where), where)


def cents_of(amount: Decimal, where: str) -> int:
    """An amount of money in integer cents."""
    if amount < 0:
        refuse(where, "must not be negative")
    if amount * 100 > MAX_CENTS:
        refuse(where, "is too large a price")
    return int(amount.quantize(_CENT, rounding=ROUND_HALF_UP).scaleb(2))


def quantity(value: object, where: str) -> int:
    """A count of items, 1 when null."""
    count = Decimal(1) if value is None else number(value, where)
    if not 1 <= count <= MAX_QUANTITY or count != count.to_integral_value():
        refuse(where, f"must be a whole number from 1 to {MAX_QUANTITY}")
    return int(count)


def objects(value: object, where: str) -> list[Mapping[str, Any]]:
    """A list of objects; empty when null."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        refuse(where, "must be a list of objects")
    return value


def field(source: Mapping[str, Any], names: Iterable[str]) -> tuple[str, object]:
    """The first of `names` that has a value in `source`, whatever its case style: (key, value).

    ("", None) when there is none.
    """
    for name in names:
        for key, value in source.items():
            if value not in (None, "") and same_name(key, name):
                return key, value
    return "", None
