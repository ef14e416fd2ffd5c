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
_EMAIL_CHAR = r"@\s\x00-\x1f\x7f\ud800-\udfff\ufffd<>()\[\]\\,;:" + '"'
"""What is in no address: blanks, and what stands around one in a list, a link or a mail's header."""
_LABEL = f"[^.{_EMAIL_CHAR}]+"
_EMAIL = re.compile(f"[^{_EMAIL_CHAR}]{{1,64}}@(?=.{{1,255}}$){_LABEL}(?:\\.{_LABEL})+")


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


def is_email(text: str) -> bool:
    """Whether this looks like one deliverable address: there is a dot in its domain, and nothing around it.

    `ann+shop@example.com` and addresses in other scripts are fine; nothing is looked up.
    """
    return _EMAIL.fullmatch(text) is not None


def email_in(place: object) -> str | None:
    """`email` of an object, mended; None when it is no deliverable address, or the place no object."""
    return read_email(place.get("email")) if isinstance(place, Mapping) else None


def read_email(value: object) -> str | None:
    """A deliverable address as it was written, mended; None when it is nothing or none."""
    if not isinstance(value, str):
        return None
    mended = value.strip() if value.isprintable() else mend_id(value)
    return mended if is_email(mended) else None
