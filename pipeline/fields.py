"""What counts as nothing or as a whole number, and the notes about fields that an event goes out without. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from pipeline.errors import Unreadable
from pipeline.text import mend_id

T = TypeVar("T")
_MAX_EXACT = 2**53
"""From here on a float may stand for several whole numbers."""


def is_nothing(value: object) -> bool:
    """Whether a field with this value is an absent one: null, false, blank text, `[]` or `{}`.

    PHP writes `false` where there is no picture, and `[]` for an empty object.
    """
    if isinstance(value, str):
        return not mend_id(value)
    if isinstance(value, list | Mapping):
        return not value
    return value is None or value is False


def as_whole(value: object) -> object:
    """10423.0, which spreadsheets and loose JSON writers make of 10423, as the latter."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _MAX_EXACT:
        return int(value)
    return value


@dataclass(frozen=True, slots=True)
class Note:
    """An optional field was left out, or read in part, since it cannot be read as it is.

    path: where it stands in the event: `properties.products.0.image_url`.
    problem: what would be right. Neither quotes the value.
    """

    path: str
    problem: str


class Notes(dict[Note, None]):
    """Collects the notes of one plan, each once, in the order in which they were found: `tuple(notes)`.

    It is made by the planner and handed to every reader.
    """

    def add(self, path: str, problem: str) -> None:
        """Note it, once."""
        self[Note(path, problem)] = None

    def optional(self, read: Callable[[object, str], T], value: object, path: str) -> T | None:
        """What `read(value, path)` returns; a note and None where it raises Unreadable."""
        try:
            return read(value, path)
        except Unreadable as error:
            self.add(error.path, error.problem)
            return None
