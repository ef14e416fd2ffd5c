"""Changes of an event's fields: set, unset, rename, cast. No I/O.

A path is names with dots between them: `properties.products.0.price`. A number is a place in a list, `*` every place.
A dot that belongs to a name is written `\\.`, a backslash `\\\\`.
"""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pipeline.errors import SailpipeError
from pipeline.json_text import read_json

EVERY = "*"
FLAG = "sailpipe"
"""The field of the replay flag, which no person edits."""
MAX_FILL = 1
"""By how many places a list may grow at once."""
Path: TypeAlias = tuple[str, ...]


class BadChange(SailpipeError):
    """A change cannot be read, or cannot be made in this event. The message says why and quotes no value."""


@dataclass(frozen=True, slots=True)
class Set:
    """Write a value; objects that are missing on the way are made."""

    path: Path
    value: Any


@dataclass(frozen=True, slots=True)
class Unset:
    """Remove a field, if it is there."""

    path: Path


@dataclass(frozen=True, slots=True)
class Rename:
    """Move a field, if it is there, to another path. Neither path has `*`."""

    path: Path
    to: Path


@dataclass(frozen=True, slots=True)
class Cast:
    """Make a field, if it is there, a number, whole number, text or truth value: `number int text bool`."""

    path: Path
    kind: str


Change: TypeAlias = Set | Unset | Rename | Cast


def read_path(text: str) -> Path:
    """Raises BadChange when there is no name, or an empty one, or the replay flag's."""
    names, name, escaped = [], "", False
    for char in text:
        if escaped or char not in ".\\":
            name, escaped = name + char, False
        elif char == "\\":
            escaped = True
        else:
            names.append(name)
            name = ""
    path = (*names, name)
    if not all(path):
        raise BadChange(f"{text!r} is no path: write properties.email, say.")
    if path[0] == FLAG:
        raise BadChange(f"{FLAG} is sailpipe's own field.")
    return path


def read_set(text: str) -> Set:
    """`path=value`; the value is JSON if it can be read as such, else text. Raises BadChange."""
    path, equals, value = text.partition("=")
    if not equals:
        raise BadChange(f"{text!r} is no path=value.")
    try:
        return Set(read_path(path), read_json(value.encode()))
    except ValueError:
        return Set(read_path(path), value)


def read_rename(text: str) -> Rename:
    """`old=new`. Raises BadChange."""
    old, equals, new = text.partition("=")
    if not equals:
        raise BadChange(f"{text!r} is no old=new.")
    paths = read_path(old), read_path(new)
    if EVERY in (*paths[0], *paths[1]):
        raise BadChange("A field that is renamed has no * in its path.")
    return Rename(*paths)


def read_cast(text: str) -> Cast:
    """`path=number`, or int, text, bool. Raises BadChange."""
    path, equals, kind = text.partition("=")
    if not equals or kind not in _CASTS:
        raise BadChange(f"{text!r} is no path=KIND, where KIND is one of {', '.join(_CASTS)}.")
    return Cast(read_path(path), kind)


def apply(body: Mapping[str, Any], changes: Iterable[Change]) -> dict[str, Any]:
    """The event after these changes, in order; `body` stays as it is.

    Raises BadChange when one cannot be made: a value is in the way of a path, or cannot be cast.
    """
    made: dict[str, Any] = copy.deepcopy(dict(body))
    for change in changes:
        _apply(made, change)
    return made


def describe(changes: Iterable[Change]) -> str:
    """For the audit trail: what is done to which field, without the values."""
    return ", ".join(_describe(change) for change in changes)


def diff(before: Any, after: Any, path: Path = ()) -> list[str]:
    """What differs, a line each: `- path: value`, `+ path: value`, as JSON, in order of the paths."""
    if before == after and type(before) is type(after):
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        names = sorted(before.keys() | after.keys())
        return [
            line
            for name in names
            for line in diff(before.get(name, _ABSENT), after.get(name, _ABSENT), (*path, name))
        ]
    if isinstance(before, list) and isinstance(after, list):
        pairs = [
            (_at(before, place), _at(after, place)) for place in range(max(len(before), len(after)))
        ]
        return [line for n, pair in enumerate(pairs) for line in diff(*pair, (*path, str(n)))]
    where = write_path(path) or "event"
    lines = [f"- {where}: {_json(before)}"] if before is not _ABSENT else []
    return lines + ([f"+ {where}: {_json(after)}"] if after is not _ABSENT else [])


def write_path(path: Path) -> str:
    """As `read_path` reads it."""
    return ".".join(re.sub(r"([.\\])", r"\\\1", name) for name in path)


_ABSENT = object()


def _at(values: Sequence[Any], place: int) -> Any:
    return values[place] if place < len(values) else _ABSENT


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _describe(change: Change) -> str:
    where = write_path(change.path)
    match change:
        case Set():
            return f"set {where}"
        case Unset():
            return f"unset {where}"
        case Rename(to=to):
            return f"rename {where} to {write_path(to)}"
        case Cast(kind=kind):
            return f"cast {where} to {kind}"


def _apply(body: dict[str, Any], change: Change) -> None:
    match change:
        case Set(path, value):
            for parent, name in _parents(body, path, make=True):
                _put(parent, name, copy.deepcopy(value), path)
        case Unset(path):
            for parent, name in reversed(list(_parents(body, path))):
                del parent[name]
        case Rename(path, to):
            for parent, name in list(_parents(body, path)):
                value = parent.pop(name)
                for target, new in _parents(body, to, make=True):
                    _put(target, new, value, to)
        case Cast(path, kind):
            for parent, name in _parents(body, path):
                parent[name] = _cast(parent[name], kind, path)


def _parents(body: Any, path: Path, *, make: bool = False) -> list[tuple[Any, Any]]:
    """Every (object or list, name or place in it) that a path means.

    make: also where there is nothing yet; without it, only what is there.
    """
    found = [(body, name) for name in _names(body, path[0], path, make=make)]
    for depth, name in enumerate(path[1:], 1):
        inner = [(_inner(parent, at, path[: depth + 1], make=make)) for parent, at in found]
        found = [(one, at) for one in inner for at in _names(one, name, path, make=make)]
    return found


def _inner(parent: Any, at: Any, path: Path, *, make: bool) -> Any:
    """What is at one step of a path; an object is made where there is nothing."""
    missing = at not in parent if isinstance(parent, dict) else at >= len(parent)
    if make and (missing or parent[at] is None):
        _put(parent, at, {}, path)
    return parent[at]


def _names(parent: Any, name: str, path: Path, *, make: bool) -> list[Any]:
    """The names or places that one part of a path means in an object or list."""
    if isinstance(parent, list):
        if name == EVERY:
            return list(range(len(parent)))
        if (
            name.isascii()
            and name.isdigit()
            and int(name) < len(parent) + (MAX_FILL if make else 0)
        ):
            return [int(name)]
    elif isinstance(parent, dict):
        return [name] if make or name in parent else []
    if make:
        raise BadChange(
            f"{write_path(path)} cannot be written: what is before {name!r} holds no such place."
        )
    return []


def _put(parent: Any, at: Any, value: Any, path: Path) -> None:
    if isinstance(parent, list) and at == len(parent):
        parent.append(value)
        return
    if isinstance(parent, dict) and at == EVERY:
        raise BadChange(f"{write_path(path)} cannot be written: * means the places of a list.")
    parent[at] = value


def _cast(value: Any, kind: str, path: Path) -> Any:
    try:
        return _CASTS[kind](value)
    except (ValueError, TypeError, OverflowError):
        raise BadChange(f"{write_path(path)} cannot be read as {kind}.") from None


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError
    if isinstance(value, (int, float)):
        return value
    text = value.strip()
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text, re.ASCII):
        raise ValueError
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return int(text) if re.fullmatch(r"[+-]?\d+", text, re.ASCII) else number


def _whole(value: Any) -> int:
    number = _number(value)
    if number != int(number):
        raise ValueError
    return int(number)


def _text(value: Any) -> str:
    if isinstance(value, (dict, list)) or value is None:
        raise TypeError
    return value if isinstance(value, str) else _json(value)


def _truth(value: Any) -> bool:
    text = value.strip().casefold() if isinstance(value, str) else value
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError


_TRUE: tuple[Any, ...] = (True, 1, "true", "1", "yes", "on")
_FALSE: tuple[Any, ...] = (False, 0, "false", "0", "no", "off")
_CASTS: Mapping[str, Callable[[Any], Any]] = {
    "number": _number,
    "int": _whole,
    "text": _text,
    "bool": _truth,
}
