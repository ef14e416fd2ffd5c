"""Input that is wrong in some way: raw entries, each with the outcomes it may have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pipeline.errors import Reason
from tests.faults.support.traffic import product

DELIVERED = "delivered"
"""The outcome of entries that look strange and can be mapped all the same."""
TAKEN = frozenset({DELIVERED, "ignored"})
INVALID = frozenset({Reason.INVALID_JSON, Reason.INVALID_EVENT, Reason.MISSING_USER_ID})
REFUSED = INVALID | {Reason.TOO_LARGE, Reason.UNMAPPABLE, Reason.RESERVED_EVENT}
WRONG_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 10**30, "", " ", "\x00", "x" * 10_000, "Ünï", "\u202e",
    [], [[]], [None], {}, {"a": 1}, {"__proto__": 1},
)  # fmt: skip
NOT_JSON: tuple[bytes, ...] = (
    b"", b" ", b"{", b"}", b"null", b"true", b"1", b'"x"', b"[]", b"[{}]", b"{'a': 1}", b"\x00",
    b"\xff\xfe", b'{"a": \xff}', b'{"a": 1,}', b'{"a" 1}', b"{}{}", b"<html></html>",
    b"[" * 1000 + b"]" * 1000, b'{"a":' * 1000 + b"1" + b"}" * 1000,
)  # fmt: skip
NO_JSON, NO_NUMBER = frozenset({Reason.INVALID_JSON}), frozenset({Reason.UNMAPPABLE})
NUMBERS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("NaN", "Infinity", "-Infinity"), NO_JSON),
    **dict.fromkeys(("1e400", "-1e400"), NO_NUMBER),
    **dict.fromkeys(("1e-400", "-0", "9" * 40), REFUSED | TAKEN),
}
TIMES = ("", "yesterday", "0000-00-00", "9999-99-99", "1969-12-31T23:59:59Z", "3000-01-01", "1e10")


def bad_entries() -> list[tuple[bytes, frozenset[str]]]:
    """Every kind, with what may become of it; JSON objects carry a messageId of their own."""
    return [*((raw, INVALID) for raw in NOT_JSON), *_objects()]


def _objects() -> Iterator[tuple[bytes, frozenset[str]]]:
    for number, (text, outcomes) in enumerate(_texts()):
        yield (
            (f'{{"messageId": "bad-{number}", ' + text[1:]).encode("utf-8", "surrogatepass"),
            outcomes,
        )


def _texts() -> Iterator[tuple[str, frozenset[str]]]:
    either = REFUSED | TAKEN
    for value in WRONG_VALUES:
        for name in ("type", "userId", "anonymousId", "traits", "context", "timestamp", "sailpipe"):
            yield json.dumps({**_identify(), name: value}), either
        for name in ("event", "properties"):
            yield json.dumps({**_track("Played"), name: value}), either
        for name in ("products", "order_id", "total", "discount"):
            yield _order(**{name: value}), either
    yield from _products()
    yield from _literals()
    for half in ("\\ud83d", "\\udc00"):
        yield f'{{"type": "identify", "userId": "u{half}"}}', frozenset({Reason.INVALID_EVENT})
        yield f'{{"type": "identify", "userId": "u1", "traits": {{"{half}": "x{half}"}}}}', TAKEN
    yield json.dumps(_identify())[:-1] + ', "x": "cut \ud83d\x01 and\nbroken"}', TAKEN
    big = json.dumps({**_identify(), "traits": {"big": "x" * 33_000}})
    yield big, frozenset({Reason.TOO_LARGE})
    for name in ("__proto__", "constructor", "vars", "id", "key", "$where", "a.b", " ", "x" * 300):
        yield json.dumps({**_identify(), "traits": {name: "1"}}), either
    for name in ("send", "open", "click", "purchase", "daily"):
        yield json.dumps(_track(name)), frozenset({Reason.RESERVED_EVENT})
    for user in ("undefined", "null", "0", "guest"):
        yield json.dumps({**_track("Played"), "userId": user}), either


def _products() -> Iterator[tuple[str, frozenset[str]]]:
    for value in WRONG_VALUES:
        for name in ("product_id", "price", "quantity", "name", "url"):
            yield _order(products=[{**product(1), name: value}]), REFUSED | TAKEN


def _literals() -> Iterator[tuple[str, frozenset[str]]]:
    for literal, outcomes in NUMBERS.items():
        for name in ("price", "quantity"):
            text = _order(products=[{**product(1), name: "@"}])
            yield text.replace('"@"', literal), outcomes
    for time in TIMES:
        yield json.dumps({**_identify(), "timestamp": time}), REFUSED | TAKEN


def _identify() -> dict[str, Any]:
    return {"type": "identify", "userId": "odd", "traits": {"email": "odd@example.com"}}


def _track(name: str) -> dict[str, Any]:
    return {"type": "track", "event": name, "userId": "odd", "properties": {"x": 1}}


def _order(**wrong: Any) -> str:
    bought = {"order_id": "o-odd", "products": [product(1)], "email": "odd@example.com", **wrong}
    return json.dumps({**_track("Order Completed"), "properties": bought})
