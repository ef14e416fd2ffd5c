"""Masks fields of events and calls before they are shown (REDACT). No I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

import pydantic_core

from pipeline.json_text import read_json
from pipeline.settings import Settings

MASK: Final = "•••"
UNREADABLE: Final = "(not shown: it is not JSON, so that the fields of REDACT cannot be masked)"


class Masking:
    """What is shown of events, with the fields of REDACT masked."""

    def __init__(self, settings: Settings) -> None:
        self._fields = frozenset(name.casefold() for name in settings.redact)

    def value(self, value: Any) -> Any:
        """A JSON value with the fields masked, however deep they are."""
        if not self._fields:
            return value
        if isinstance(value, dict):
            if value.get("key") == "email" and "email" in self._fields and "id" in value:
                value = {**value, "id": MASK}  # a call names its person by email
            return {
                name: MASK if str(name).casefold() in self._fields else self.value(inner)
                for name, inner in value.items()
            }
        return [self.value(one) for one in value] if isinstance(value, list) else value

    def identity(self, identity: str) -> str:
        """An id as it is shown: one that is an email is masked as a field `email` is."""
        return str(self.value({"email": identity})["email"]) if "@" in identity else identity

    def text(self, raw: str) -> str:
        """An event as it came; once a field is masked, or a name stands twice in an object, as JSON of the same content."""
        if not self._fields:
            return raw
        try:
            found = read_json(raw.encode("utf-8", "replace"))
        except ValueError:
            return UNREADABLE
        masked = self.value(found)
        is_whole = masked == found and not _has_name_twice(raw)
        return raw if is_whole else pydantic_core.to_json(masked).decode()

    def letter(self, shown: dict[str, Any]) -> dict[str, Any]:
        """A dead letter as `Letter.as_json` shows it."""
        masked = {"raw": self.text(shown["raw"]), "calls": self._calls(shown["calls"])}
        return {**shown, **masked}

    def _calls(self, calls: Iterable[Any]) -> list[Any]:
        return [self.value(call) for call in calls]


def _has_name_twice(raw: str) -> bool:
    """Whether reading it has left something out: of a name that stands twice in an object, the last one counts."""
    found = []

    def note(pairs: list[tuple[str, Any]]) -> None:
        found.append(len(pairs) > len({name for name, _ in pairs}))

    json.loads(raw, object_pairs_hook=note)
    return any(found)
