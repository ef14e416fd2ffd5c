"""Text that can be stored, compared and sent, whatever JSON it came from. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_UNWANTED = re.compile("[\x00-\x1f\x7f-\x9f\u200b\u2060\ufeff]")
"""Control characters, and what is copied along unseen: the byte order mark, and blanks without a width."""
_UNWANTED_IN_PROSE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff]")
"""The same but for tabs, line breaks and blanks without a width, which break a long line."""
_BREAK = re.compile("[\t\n\x0b\x0c\r\x85]+")


def clean_text(value: str) -> str:
    """Half a surrogate pair (a cut emoji) becomes U+FFFD: neither Sailthru nor a script of ours takes it."""
    if value.isascii():
        return value
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def clean_json(value: Any, *, deepest: int) -> Any:
    """A parsed JSON value with every text in it clean, names included.

    Two names of an object that become one by it are told apart by further U+FFFD: no value is lost.

    Raises:
        ValueError: lists and objects are nested more than `deepest` times.
    """
    if isinstance(value, str):
        return clean_text(value)
    if not isinstance(value, list | dict):
        return value
    if deepest == 0:
        msg = "nested too deeply"
        raise ValueError(msg)
    if isinstance(value, list):
        return [clean_json(one, deepest=deepest - 1) for one in value]
    clean: dict[str, Any] = {}
    for name, one in value.items():
        clean[_free_name(clean_text(name), clean)] = clean_json(one, deepest=deepest - 1)
    return clean


def _free_name(name: str, taken: Mapping[str, Any]) -> str:
    while name in taken:
        name += "\ufffd"
    return name


def mend_prose(value: str) -> str:
    """Clean text without byte order marks and control characters; tabs and line breaks stay."""
    if value.isprintable():
        return value
    return _UNWANTED_IN_PROSE.sub("", clean_text(value))


def mend_line(value: str) -> str:
    """As `mend_prose`, on one line: a tab or line break (or several) is a space."""
    if value.isprintable():
        return value
    return mend_prose(_BREAK.sub(" ", value))


def mend_id(value: str) -> str:
    """As `mend_prose`, for ids and addresses: trimmed, and tabs and line breaks are removed, too."""
    if value.isprintable():
        return value.strip()
    return _UNWANTED.sub("", clean_text(value)).strip()
