"""Error texts without the customer in them.

Sailthru's messages echo what was sent ("Invalid email: zoe@..."). What may be logged, and what dead
letters are grouped by, is the same text with every value taken out.
"""

from __future__ import annotations

import re

MAX_CHARS = 200
"""Longer texts are cut."""

_EMAIL = re.compile(r"[^\s\"'<>:,;()]+@[^\s\"'<>,;()]+")
_QUOTED = re.compile(r"\"[^\"]*(\"|$)|(?<!\w)'.*'(?!\w)|`[^`]*`")
_WITH_DIGIT = re.compile(r"[^\s<>]*\d[^\s<>]*")
_ECHO = re.compile(r":\s+(?P<rest>.+)$")

_API_WORDS = frozenset({
    "a", "an", "and", "are", "bad", "be", "cannot", "date", "email", "empty", "event", "extid",
    "field", "fields", "format", "id", "in", "incomplete", "invalid", "is", "item", "items",
    "items[]", "json", "key", "keys", "list", "lists", "message_id", "method", "missing",
    "must", "name", "no", "not", "of", "optout_email", "or", "param", "parameter", "parameters",
    "price", "purchase_id", "purchase_key", "qty", "required", "reminder_template",
    "reminder_time", "sid", "sms", "supplied", "template", "the", "time", "title", "to",
    "unknown", "url", "value", "vars", "with",
})  # fmt: skip
"""Words that may follow a colon and still be Sailthru's own, not an echo of what was sent."""


def mask(text: str) -> str:
    """Take emails, quoted values, anything with a digit and what follows a colon out of `text`."""
    text = " ".join(text[: 4 * MAX_CHARS].split())
    text = _EMAIL.sub("<email>", text)
    text = _QUOTED.sub("<value>", text)
    text = _ECHO.sub(_mask_echo, text)
    text = _WITH_DIGIT.sub("<value>", text)
    return text[:MAX_CHARS]


def _mask_echo(match: re.Match[str]) -> str:
    rest = match["rest"]
    words = [word.strip(".,;:()") for word in rest.split()]
    known = all(word.lower() in _API_WORDS or word in {"<email>", "<value>"} for word in words)
    return f": {rest}" if known else ": <value>"
