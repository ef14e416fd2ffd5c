"""Reading JSON that another program wrote: strict in its form, lenient with the texts in it.

Shops cut texts in the middle of an emoji, and one such text must cost neither its event nor the batch
around it: an SDK throws a refused batch away.
"""

from __future__ import annotations

import json
from typing import Any

import pydantic_core

from pipeline.text import clean_json, clean_text

MAX_DEPTH = 201
"""Levels of nesting, as many as pydantic_core reads; JSON can be written to far greater depth."""
_MAX_DIGITS = 4300
"""Of a whole number, as many as pydantic_core reads. Reading one takes quadratic time."""


def read_json(raw: bytes) -> Any:
    """The value that `raw` holds. NaN and Infinity are no JSON; a large exponent reads as infinity.

    Mended: half surrogate pairs and bytes that are not UTF-8 become U+FFFD, in names as well; a byte
    order mark in front is dropped; control characters inside a text need no escape.

    Raises:
        ValueError: it is no JSON, or nested too deeply. The message says where and quotes nothing.
    """
    try:
        return pydantic_core.from_json(raw, allow_inf_nan=False)
    except ValueError:
        return read_mended(raw)


def decode_text(raw: bytes) -> str:
    """UTF-8 as text; what is none becomes U+FFFD. Pairs of surrogates (CESU-8) become characters."""
    try:
        return clean_text(raw.decode("utf-8", "surrogatepass"))
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace")


def read_mended(raw: bytes) -> Any:
    """As `read_json`, for text that is no strict JSON: the slow half of it."""
    try:
        value = _LENIENT.decode(decode_text(raw).removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        msg = f"{error.msg} at line {error.lineno} column {error.colno}"
        raise ValueError(msg) from None
    except RecursionError:
        msg = "nested too deeply"
        raise ValueError(msg) from None
    return clean_json(value, deepest=MAX_DEPTH)


def _whole_number(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        msg = f"a number has more than {_MAX_DIGITS} digits"
        raise ValueError(msg)
    return int(digits)


def _refuse_constant(_: str) -> Any:
    msg = "NaN and Infinity are no JSON"
    raise ValueError(msg)


_LENIENT = json.JSONDecoder(strict=False, parse_constant=_refuse_constant, parse_int=_whole_number)
