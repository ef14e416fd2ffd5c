"""Sailthru's request signature (reference: sailthru-api 1).

`sig` is the MD5 of the shared secret followed by all other parameter values, sorted. It is computed
on the values as the server will read them, before URL encoding; with the `json` style that is
exactly three: the key, the word `json`, and the JSON text.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from typing import Any


def to_json(params: Mapping[str, Any]) -> str:
    """The JSON text that is signed and sent, in ASCII, so that no proxy can change its bytes.

    Raises:
        ValueError: a float is not finite; no JSON number stands for it.
    """
    return json.dumps(params, separators=(",", ":"), allow_nan=False)


def signature(secret: str, values: Mapping[str, object]) -> str:
    """32 lower-case hex digits over every value of `values`; nested ones count leaf by leaf."""
    text = secret + "".join(sorted(_leaves(values)))
    # Surrogates can only come from a forged request; they must not match, nor crash.
    return hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def signed(params: Mapping[str, Any], api_key: str, secret: str) -> dict[str, str]:
    """The four parameters of a call: api_key, format, json, sig."""
    return signed_text(to_json(params), api_key, secret)


def signed_text(text: str, api_key: str, secret: str, reply_format: str = "json") -> dict[str, str]:
    """The same, of a call whose JSON text is there already. reply_format: `json` or `xml`."""
    fields = {"api_key": api_key, "format": reply_format, "json": text}
    return {**fields, "sig": signature(secret, fields)}


def is_signed(fields: Mapping[str, object], secret: str) -> bool:
    """Whether `fields["sig"]` was made with `secret`: for postbacks and Sailthru-style requests."""
    claimed = str(fields.get("sig", "")).encode("utf-8", "surrogatepass")
    others = {name: value for name, value in fields.items() if name != "sig"}
    return hmac.compare_digest(claimed, signature(secret, others).encode())


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for child in value.values():
            yield from _leaves(child)
    elif isinstance(value, list | tuple):
        for child in value:
            yield from _leaves(child)
    else:
        yield str(value)
