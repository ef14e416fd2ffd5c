"""Text that is UTF-8 whatever JSON it came from. Pure."""

from __future__ import annotations

from typing import Any


def clean_text(value: str) -> str:
    """Half a surrogate pair (a cut emoji) becomes U+FFFD: neither Sailthru nor a script of ours takes it."""
    if value.isascii():
        return value
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def clean_json(value: Any, *, deepest: int) -> Any:
    """A parsed JSON value with every text in it clean, names included.

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
    return {clean_text(name): clean_json(one, deepest=deepest - 1) for name, one in value.items()}
