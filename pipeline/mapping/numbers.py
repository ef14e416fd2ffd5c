"""Numbers, amounts of money and counts, as JSON numbers or as text the way shops write it.

As in `pipeline.mapping.values`, a reader returns what Sailthru takes, or raises Unreadable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal

from pipeline.fields import is_nothing
from pipeline.mapping.values import MAX_INT_BITS, field, reject

MAX_QUANTITY = 1_000_000
MAX_CENTS = 10**15
"""Ten million million in any currency: beyond it is a mistake, and a double still holds it."""

ZERO_DECIMAL = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW"}
    | {"PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"}
)
"""Currencies without a smaller unit (ISO 4217)."""

_PLAIN = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_EITHER = re.compile(r"[+-]?[1-9][0-9]{0,2}[.,][0-9]{3}")
"""Thousands, or a fraction with three digits."""
_SPELLINGS = str.maketrans(
    dict.fromkeys("\u00a0\u2009\u202f", " ") | {"\u2019": "'", "\u2212": "-"}
)
_MAX_CHARS = 64


def number(value: object, where: str) -> Decimal:
    """A JSON number exactly as it was written, or a number as text.

    In text the last of two kinds of separators is the decimal one, and one that repeats separates
    thousands, as blanks and apostrophes do: `1,299.50`, `1.299,50`, `1 299,50`. Text in which its
    only comma or point may be either (`1,299`) is refused.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        reject(where, "must be a number")
    if isinstance(value, int) and value.bit_length() > MAX_INT_BITS:
        reject(where, "is too large a number")
    # repr: the shortest text of a float is what stood in the JSON, its exact value is not.
    literal = _with_a_point(value, where) if isinstance(value, str) else repr(value)
    if len(literal) > _MAX_CHARS or not _PLAIN.fullmatch(literal):
        reject(where, "must be a number")
    return Decimal(literal)


def decimals(properties: Mapping[str, Any], zero_decimal: Literal["hundredths", "whole"]) -> int:
    """How many decimals of a price are sent: two, and none where the event's currency has none, if such
    prices are to be sent `whole`."""
    if zero_decimal == "hundredths":
        return 2
    _, currency = field(properties, ("currency",))
    return 0 if isinstance(currency, str) and currency.strip().upper() in ZERO_DECIMAL else 2


def cents(value: object, where: str, decimals: int = 2) -> int:
    """A price in integer cents, rounded half up: 18.99 is 1899 and 1.005 is 101."""
    return not_negative(signed_cents(value, where, decimals), where)


def signed_cents(value: object, where: str, decimals: int = 2) -> int:
    """As `cents`, of an amount that may be negative."""
    amount = number(value, where)
    if abs(amount) * 100 > MAX_CENTS:
        reject(where, "is too large a price")
    smallest = Decimal(1).scaleb(-decimals)
    return int(amount.quantize(smallest, rounding=ROUND_HALF_UP).scaleb(decimals))


def not_negative(amount: int, where: str) -> int:
    """The amount. Raises Unreadable where it is below zero."""
    return amount if amount >= 0 else reject(where, "must not be negative")


def quantity(value: object, where: str, *, either_sign: bool = False) -> int:
    """A count of items, 1 when it is nothing; with `either_sign` -2 is 2."""
    count = Decimal(1) if is_nothing(value) else number(value, where)
    count = count.copy_abs() if either_sign else count
    if not 1 <= count <= MAX_QUANTITY or count != count.to_integral_value():
        reject(where, f"must be a whole number from 1 to {MAX_QUANTITY}")
    return int(count)


def _with_a_point(text: str, where: str) -> str:
    """The text of a number without separators of thousands, and with a point for the decimal one."""
    literal = text.strip()
    if len(literal) > _MAX_CHARS or literal.isdecimal():
        return literal
    literal = literal.translate(_SPELLINGS)
    if _EITHER.fullmatch(literal):
        reject(where, "may be thousands or a fraction: write a JSON number, or two decimals")
    last = max(literal.rfind("."), literal.rfind(","))
    if last < 0 or literal.count(literal[last]) > 1:
        return _ungrouped(literal)
    return f"{_ungrouped(literal[:last])}.{literal[last + 1 :]}"


def _ungrouped(whole: str) -> str:
    """`1,299,000` and `1 299` without what separates their groups; anything else as it is."""
    sign = whole[:1] if whole[:1] in {"+", "-"} else ""
    marks = set(whole[len(sign) :]) & set(",.' ")
    if len(marks) != 1:
        return whole
    first, *middle, end = whole[len(sign) :].split(marks.pop())
    # In India groups above the first thousand have two digits.
    fits = 1 <= len(first) <= 3 == len(end) and all(2 <= len(group) <= 3 for group in middle)
    return sign + "".join((first, *middle, end)) if fits else whole
