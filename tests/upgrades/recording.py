"""What lies in a Redis as a file that can be read, and back into another Redis, with its times moved to today.

A recording is JSON, sorted by key: {"version", "format", "recorded_at" (Unix ms), "story" (what a test expects of it),
"keys": {KEY: {"type", "ttl_ms", "value"}}}. Text stands as it is; what is no UTF-8 stands as {"base64": ...}.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import redis

from pipeline.storage import keys
from pipeline.storage.numbers import DEDUPE_SLICES, HOUR_MS
from tests.support.key_table import row_of

Json: TypeAlias = dict[str, Any]
FOLDER = Path(__file__).parent / "recorded"
SLICE_MS = 24 * HOUR_MS // DEDUPE_SLICES
"""Times are moved by whole slices of the dedupe window, whose number is part of a key's name."""
NEAR_MS = 40 * 24 * HOUR_MS
"""A number is a time if it lies this near to the recording."""
LEFT_OUT = frozenset(
    {
        *(keys.PROCESSES, keys.LAST_SEEN, keys.SPLITTER, keys.SPLITTER_FALLEN, keys.SLOTS_BEGAN),
        *(keys.ALERTS_TURN, keys.VERDICT, keys.CONSOLE_KEY),
    }
)
"""What speaks of processes that have ended, or of the server; and a secret."""
_NUMBER = re.compile(r"(?<![\w.])(\d{10}|\d{13}|\d{16})(?![\d])")
_UNIT_MS = {10: 1000.0, 13: 1.0, 16: 0.001}


@dataclass(frozen=True, slots=True)
class Recording:
    """One version's Redis. `story`: names of events by what is expected of them, see story.py."""

    version: str
    format: int
    recorded_at: int
    story: Json
    keys: Mapping[str, Json]

    @classmethod
    def read(cls, path: Path) -> Recording:
        """From a file."""
        found = json.loads(path.read_text(encoding="utf-8"))
        return cls(**found)

    def write(self, path: Path) -> None:
        """To a file, the same for the same contents."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        text = json.dumps(fields, indent=1, sort_keys=True, ensure_ascii=False)
        path.write_text(f"{text}\n", encoding="utf-8")

    def load(self, client: redis.Redis, now_ms: int) -> None:
        """Put it into an empty Redis, as if it had been recorded less than a slice before `now_ms`."""
        by = (now_ms - self.recorded_at) // SLICE_MS * SLICE_MS
        move = partial(_moved, by=by, around=self.recorded_at)
        for name, key in self.keys.items():
            target = _moved_name(name, by)
            _restore(client, target, key, partial(_move_text, move=move, name=name, by=by))
            if key["ttl_ms"] is not None:
                client.pexpire(target, key["ttl_ms"])

    def shape(self) -> set[str]:
        """Which kinds of keys there are, and which fields what lies in them has: what a change of format changes."""
        return {line for name, key in self.keys.items() for line in _shape(name, key)}


def record(client: redis.Redis, version: str, now_ms: int, story: Json) -> Recording:
    """What lies in this Redis."""
    names: list[Any] = sorted(client.scan_iter())
    found = {one.decode(): _dump(client, one) for one in names if one.decode() not in LEFT_OUT}
    return Recording(version, keys.FORMAT_NUMBER, now_ms, story, found)


def _dump(client: redis.Redis, name: bytes) -> Json:
    kind: Any = client.type(name)
    kind, ttl = kind.decode(), client.pttl(name)
    return {"type": kind, "ttl_ms": ttl if ttl >= 0 else None, "value": _READ[kind](client, name)}


def _text(value: bytes) -> Any:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _bytes(value: Any, move: Callable[[str], str]) -> bytes:
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else move(value).encode()


_READ: Mapping[str, Callable[[Any, bytes], Any]] = {
    "string": lambda client, name: _text(client.get(name)),
    "list": lambda client, name: [_text(one) for one in client.lrange(name, 0, -1)],
    "set": lambda client, name: sorted(_text(one) for one in client.smembers(name)),
    "zset": lambda client, name: [
        [_text(one), int(score)] for one, score in client.zrange(name, 0, -1, withscores=True)
    ],
    "hash": lambda client, name: {
        field.decode(): _text(one) for field, one in sorted(client.hgetall(name).items())
    },
    "stream": lambda client, name: [
        [at.decode(), *([field.decode(), _text(one)] for field, one in entry.items())]
        for at, entry in client.xrange(name)
    ],
}


def _restore(client: redis.Redis, name: str, key: Json, move: Callable[[str], str]) -> None:
    value = key["value"]
    match key["type"]:
        case "string":
            client.set(name, _bytes(value, move))
        case "list":
            client.rpush(name, *(_bytes(one, move) for one in value))
        case "set":
            client.sadd(name, *(_bytes(one, move) for one in value))
        case "zset":
            client.zadd(name, {_bytes(one, move): int(move(str(score))) for one, score in value})
        case "hash":
            client.hset(
                name, mapping={move(field): _bytes(one, move) for field, one in value.items()}
            )
        case "stream":
            for at, *entry in value:
                ms, _, number = at.partition("-")
                fields: Any = {field: _bytes(one, move) for field, one in entry}
                client.xadd(name, fields, id=f"{move(ms)}-{number}")


def _moved(text: str, by: int, around: int) -> str:
    """Every time in a text, moved. In seconds, milliseconds or microseconds."""

    def move(found: re.Match[str]) -> str:
        unit = _UNIT_MS[len(found[0])]
        is_time = abs(int(found[0]) * unit - around) < NEAR_MS
        return str(int(int(found[0]) + by / unit)) if is_time else found[0]

    return _NUMBER.sub(move, text)


def _moved_name(name: str, by: int) -> str:
    return re.sub(
        r"(?<=:dedupe:)\d+", lambda found: str(int(found[0]) + by // SLICE_MS), name, count=1
    )


def _move_text(text: str, move: Callable[[str], str], name: str, by: int) -> str:
    """A value's times; some tables count in hours since 1970."""
    if re.search(r":(aliases:\d+|dead:groups)$", name):
        return re.sub(r"^\d{6}(?= )", lambda found: str(int(found[0]) + by // HOUR_MS), text)
    return move(text)


def _shape(name: str, key: Json) -> Iterator[str]:
    row = row_of(name.encode())
    template = row.template if row else name
    yield f"{template}: {key['type']}"
    fields = _fields_of(template, key["type"], key["value"])
    yield from (f"{template}: .{field}" for field in fields)


_TABLES = re.compile(r":(state|user|lane|suspect|trace|jobs:job)(:|$)")
"""Hashes with fields of their own; in others they are data, such as the baskets of an order."""


def _fields_of(template: str, kind: str, value: Any) -> Iterable[str]:
    if kind == "stream":
        return {field for _, *entry in value for field, _ in entry}
    is_table = kind == "hash" and _TABLES.search(template)
    named = {re.sub(r"[\d.-]+$", "N", field) for field in value} if is_table else set[str]()
    texts = value.values() if kind == "hash" else value if kind == "list" else [value]
    heads = [one.partition("\n")[0] for one in texts if isinstance(one, str) and one[:1] == "{"]
    told = {field for head in heads for field in json.loads(head)}
    return named | {field for field in told if "@" not in field}  # those are people
