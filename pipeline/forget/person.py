"""The person who is meant, and whether something is theirs. No I/O."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any

from pipeline.errors import InvalidEvent
from pipeline.events.models import Event, parse_event, readable_id
from pipeline.events.people import owner_of
from pipeline.json_text import read_json
from pipeline.tombstones import person_key
from pipeline.trace.names import person_name
from pipeline.trace.records import Record

REDACTED = "***"


class Whose(Enum):
    """THEIRS: it goes with the person. NAMED: it is another's, and names the person. NEITHER: anything else."""

    THEIRS = "theirs"
    NAMED = "named"
    NEITHER = "neither"


@dataclass(frozen=True)
class Person:
    """ids: all ids and emails that are the person's, as they are spelled; the first names their mailboxes."""

    ids: tuple[str, ...]
    shared_ids: Collection[str] = field(default=frozenset())

    @cached_property
    def keys(self) -> frozenset[str]:
        """The ids as they are compared."""
        return frozenset(map(person_key, self.ids))

    @cached_property
    def emails(self) -> tuple[str, ...]:
        """Those of them that are addresses."""
        return tuple(sorted(one for one in self.keys if "@" in one))

    @cached_property
    def names(self) -> frozenset[bytes]:
        """What the log of outcomes knows the person by."""
        return frozenset(map(person_name, self.ids))

    def is_named(self, identity: str | None) -> bool:
        """Whether this is an id of theirs."""
        return bool(identity) and person_key(str(identity)) in self.keys

    def whose(self, raw: bytes) -> Whose:
        """Whose an event is, by what it says itself."""
        if self._names_nobody(raw):
            return Whose.NEITHER
        try:
            event = parse_event(raw)
        except InvalidEvent:
            return self._whose_unread(raw)
        if self.is_named(owner_of(event, self.shared_ids)):
            return Whose.THEIRS
        return Whose.NAMED if self._is_in(event) or self.is_said(raw) else Whose.NEITHER

    def has(self, record: Record) -> bool:
        """Whether a record of the log of outcomes is theirs."""
        if record.user:
            return self.is_named(record.user)
        return not self.names.isdisjoint(record.names)

    def is_said(self, raw: bytes) -> bool:
        """Whether an address of theirs stands anywhere in a JSON text; in any other, an id in quotes as well."""
        try:
            texts = _texts(read_json(raw))
        except ValueError:
            text = raw.decode("utf-8", "replace").lower()
            quoted = (f'"{one.lower()}"' for one in self.keys)
            return any(one in text for one in (*self.emails, *quoted))
        return any(email in text.lower() for text in texts for email in self.emails)

    def redact(self, text: str) -> str:
        """What a person wrote, without these ids."""
        return self._pattern.sub(REDACTED, text)

    def _whose_unread(self, raw: bytes) -> Whose:
        """Of what is no valid event."""
        try:
            body = read_json(raw)
        except ValueError:
            body = None
        if isinstance(body, dict):
            ids = (readable_id(body.get(name)) for name in ("userId", "anonymousId"))
            owner = next(filter(None, ids), None)
            if owner is not None:
                said = Whose.NAMED if self.is_said(raw) else Whose.NEITHER
                return Whose.THEIRS if self.is_named(owner) else said
        return Whose.THEIRS if self.is_said(raw) else Whose.NEITHER

    def _is_in(self, event: Event) -> bool:
        ids = (event.user_id, event.anonymous_id, getattr(event, "previous_id", None))
        return any(map(self.is_named, ids))

    def _names_nobody(self, raw: bytes) -> bool:
        """Whether that can be told without reading the event: most are others', and reading one takes long."""
        if not raw.isascii() or b"\\" in raw or not self._is_plain:
            return False
        text = raw.decode("ascii").lower()
        return not any(one.lower() in text for one in self.keys)

    @cached_property
    def _is_plain(self) -> bool:
        return all(one.isascii() for one in self.ids)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(map(re.escape, self.ids), key=len, reverse=True)
        return re.compile(rf"(?<![\w.@+-])({'|'.join(longest_first)})(?![\w@+-])", re.IGNORECASE)


def spelled(ids: Iterable[str]) -> list[str]:
    """Ids and emails as keys may have them: as they are, and an email in lower case, too."""
    return list(dict.fromkeys(form for one in ids for form in (one, person_key(one))))


def _texts(body: Any) -> Iterator[str]:
    """All texts in a JSON value, names among them."""
    left = [body]
    while left:
        one = left.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            left += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            left += one
