"""Reading untrusted JSON values: every function returns what Sailthru takes, or raises Unreadable.

Where the field is read it is said whether the event needs it: `price = cents(value, path)` refuses the
event with the path, `notes.optional(cents, value, path)` leaves the field out with a note.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NoReturn

from pipeline.errors import Unreadable
from pipeline.events.integrations import folded
from pipeline.fields import Notes, as_whole, is_nothing
from pipeline.json_text import read_json
from pipeline.text import mend_id, mend_line, mend_prose

MAX_INT_BITS = 64

_MAX_POSITION_CHARS = 9
_ON = (True, "1", "true", "yes", "on")
_OFF = (False, "0", "false", "no", "off")


def reject(where: str, what: str) -> NoReturn:
    """Raise Unreadable. `where` and `what` name fields and rules, never values."""
    raise Unreadable(where, what)


def text(value: object, where: str) -> str | None:
    """One mended line, stripped; a whole number as its digits; None when it is nothing."""
    given = _text(value, where)
    return None if given is None else mend_line(given).strip() or None


def identifier(value: object, where: str) -> str | None:
    """As `text`, for ids and addresses: a tab or line break in them is no space."""
    given = _text(value, where)
    return None if given is None else mend_id(given) or None


def _text(value: object, where: str) -> str | None:
    if isinstance(value, str):
        return value
    if is_nothing(value):
        return None
    whole = as_whole(value)
    if not isinstance(whole, int) or isinstance(whole, bool):
        reject(where, "must be a string")
    return str(scalar(whole, where))


def scalar(value: object, where: str) -> str | bool | int | float:
    """A JSON scalar that Sailthru can hold. False is a value: it says that a user left an audience."""
    if isinstance(value, str):
        return mend_prose(value)
    value = as_whole(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        if value.bit_length() > MAX_INT_BITS:
            reject(where, "is too large a number")
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            reject(where, "is too large a number")
        return value
    reject(where, "must be a string, a number or a boolean")


def unpacked(value: object) -> object:
    """What the JSON text of a list or object says; anything else as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in {"[", "{"}:
        return value
    try:
        return read_json(value.encode())
    except ValueError:
        return value


def switch(value: object, where: str) -> bool:
    """A truth value, also as 0 or 1 and as text."""
    given = value.strip().casefold() if isinstance(value, str) else value
    if given in _ON:
        return True
    return False if given in _OFF else reject(where, "must be true or false")


def whole_object(value: object, where: str) -> dict[str, Any]:
    """An object of values that Sailthru can hold, all of them or none; what is nothing is left out."""
    if not isinstance(value, Mapping):
        reject(where, "must be an object")
    given = {name: one for name, one in value.items() if not is_nothing(one)}
    return {name: scalar(one, f"{where}.{name}") for name, one in given.items()}


def elements(value: object, where: str) -> list[tuple[str, Any]]:
    """The elements of a list, each with its place; none when it is nothing.

    PHP writes a list with a hole in it as an object whose names are numbers, and templates write a list
    as its JSON text.
    """
    value = unpacked(value)
    if is_nothing(value):
        return []
    if isinstance(value, Mapping) and all(_is_position(name) for name in value):
        return [(f"{where}.{name}", value[name]) for name in sorted(value, key=int)]
    if not isinstance(value, list):
        reject(where, "must be a list")
    return [(f"{where}.{n}", one) for n, one in enumerate(value)]


def objects(value: object, where: str, notes: Notes) -> list[tuple[str, Mapping[str, Any]]]:
    """A list of objects, each with its place. One that is nothing is left out with a note.

    An object whose values are objects is a list that its names number; any other is the only element.
    """
    found = []
    for place, one in _object_elements(unpacked(value), where):
        read = unpacked(one)
        if is_nothing(read):
            notes.add(place, "must be an object")
        elif isinstance(read, Mapping):
            found.append((place, read))
        else:
            reject(place, "must be an object")
    return found


def _object_elements(value: object, where: str) -> list[tuple[str, Any]]:
    if not isinstance(value, Mapping) or all(_is_position(name) for name in value):
        return elements(value, where)
    if all(isinstance(one, Mapping) or is_nothing(one) for one in value.values()):
        return [(f"{where}.{name}", one) for name, one in value.items()]
    return [(where, value)]


def _is_position(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) <= _MAX_POSITION_CHARS


def texts(value: object, where: str, notes: Notes) -> list[str]:
    """A list of texts. What cannot be read of it is left out with a note."""
    listed = notes.optional(elements, value, where) or []
    found = (notes.optional(text, one, place) for place, one in listed)
    return [one for one in found if one]


def field(source: Mapping[str, Any], names: Iterable[str]) -> tuple[str, object]:
    """The first of `names` that is not nothing in `source`: (key, value); ("", None) when there is none.

    In whatever case style; a name that is written just so comes before its other spellings.
    """
    for name in names:
        if not is_nothing(given := source.get(name)):
            return name, given
        plain = folded(name)
        for key, value in source.items():
            if folded(key) == plain and not is_nothing(value):
                return key, value
    return "", None


def empty_keys(source: Mapping[str, Any], names: Collection[str]) -> frozenset[str]:
    """The keys of `source` that are one of `names`, in any case style, and hold nothing."""
    empty = [key for key, value in source.items() if is_nothing(value)]
    plain_names = frozenset(map(folded, names)) if empty else ()
    return frozenset(key for key in empty if folded(key) in plain_names)
