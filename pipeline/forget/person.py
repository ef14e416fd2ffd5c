"""The person who is meant, and whether something is theirs. No I/O."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, fields
from enum import Enum
from functools import cached_property
from typing import Any

from pipeline.deadletters.filters import Filter
from pipeline.errors import InvalidEvent, Reason
from pipeline.events.models import Event, Lane, parse_event, readable_id
from pipeline.events.people import owner_of
from pipeline.json_text import read_json
from pipeline.tombstones import person_key
from pipeline.trace.names import person_name
from pipeline.trace.records import Record

REDACTED = "***"
_TERMS = frozenset(
    {*map(str, Lane), *map(str, Reason), *(one.name for one in fields(Filter)), "since", "until"}
)
"""What stands in filters and reasons, and names no person."""
_NOTHING = r"(?!)"
_SEARCHED = re.compile(r"(?:^|, )match ")
"""Behind it stands the text that was looked for; it is a filter's last part."""


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
        """What a person wrote, without these ids. A number, a lane, a reason or a filter's name stays: as an id
        of the person it would deface what was written of others."""
        return self._in_prose.sub(REDACTED, text)

    def redact_filter(self, text: str) -> str:
        """A filter in words (`Filter.in_words`), without these ids: where a filter that names a person has one, and emails."""
        named = self._of_text.sub(rf"\1{REDACTED}", self._of_user.sub(rf"\1{REDACTED}", text))
        searched = _SEARCHED.search(named)
        at = searched.end() if searched else len(named)
        return self._emails_in.sub(REDACTED, named[:at]) + self.redact(named[at:])

    def is_meant_by(self, searched: str) -> bool:
        """Whether what a filter looks for is, or has in it, an id of theirs."""
        return self.redact_filter(f"match {searched}") != f"match {searched}"

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
    def _in_prose(self) -> re.Pattern[str]:
        return _any_of(one for one in self.ids if not one.isdecimal() and not _is_term(one))

    @cached_property
    def _emails_in(self) -> re.Pattern[str]:
        return _any_of(self.emails)

    @cached_property
    def _of_user(self) -> re.Pattern[str]:
        """A user's id is one whatever it looks like."""
        return _any_of(self.ids, "user |letter ")

    @cached_property
    def _of_text(self) -> re.Pattern[str]:
        return _any_of((one for one in self.ids if not _is_term(one)), "order |match ")


def _any_of(ids: Iterable[str], after: str = "") -> re.Pattern[str]:
    """Each of these as a whole word, in any letter case, behind what is the first group."""
    longest_first = sorted(map(re.escape, ids), key=len, reverse=True)
    said = "|".join(longest_first) or _NOTHING
    return re.compile(rf"(?<![\w.@+-])({after})(?:{said})(?![\w@+-])", re.IGNORECASE)


def _is_term(identity: str) -> bool:
    return identity.lower() in _TERMS


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
