"""Whose mailbox an event belongs in, and what it teaches about who is who. Pure.

The mailbox is named after the userId, else the userId learned for this anonymousId or email, else
the anonymousId, else the email. Ids that are nobody (a shop sends `guest` for everyone) neither
name a mailbox nor teach anything, or one stranger's order would go to another's address.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from pipeline.emails import address, owned_email, shown_email
from pipeline.events import Alias, Event
from pipeline.kinds import Kind, kind_of
from pipeline.settings import AccountSettings

NOBODY = "~"
"""First character of the mailbox of an event that names nobody: each has its own."""
DAY_MS = 86_400_000
EMAILS_A_DAY = 3
"""An id that comes with more emails than this in a day is shared by several people."""

Seen = dict[str, int]
"""The emails an id came with, and when last (ms)."""


@dataclass(slots=True)
class Directory:
    """What is known while a batch is split: read from Redis before, added to event by event."""

    anon: dict[str, str] = field(default_factory=dict)
    email: dict[str, str] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)

    def today(self, name: str, at_ms: int) -> Seen:
        """The emails an id came with in the day before `at_ms`."""
        return {email: at for email, at in self.seen.get(name, {}).items() if at > at_ms - DAY_MS}

    def copy(self) -> Directory:
        """One that learns apart from this; sightings are replaced, never changed, so they are shared."""
        return Directory(dict(self.anon), dict(self.email), dict(self.seen))


@dataclass(frozen=True, slots=True)
class _View:
    """The directory at one event's time, without those who are nobody."""

    known: Directory
    at_ms: int
    shared: Collection[str]

    def is_nobody(self, name: str) -> bool:
        crowd = self.known.today(name, self.at_ms)
        return name.casefold() in self.shared or len(crowd) > EMAILS_A_DAY

    def owner(self, learned: dict[str, str], name: str) -> str | None:
        """The userId that was learned for an id or email, unless it turned out to be shared."""
        user = learned.get(name)
        return None if user is None or self.is_nobody(user) else user


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one event teaches.

    emails: (user, email, emails seen today) to remember; the email is '' when only the sighting
    counts. aliases: (`anon:ID` or `email:E`, userId).
    """

    emails: tuple[tuple[str, str, Seen], ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an event goes: `user` names its mailbox; `nobody` are id fields to leave out."""

    user: str
    nobody: tuple[str, ...]
    lesson: Lesson


def without_nobody(event: Event, nobody: Collection[str]) -> Event:
    """The event without the ids that name nobody."""
    return event.model_copy(update=dict.fromkeys(nobody)) if nobody else event


def place(
    event: Event, seq: str, at_ms: int, known: Directory, settings: AccountSettings
) -> Placement:
    """Place one event and update `known` with what it teaches.

    The mailbox of an event that names nobody at all is its own.
    """
    kind = kind_of(event, settings)
    view = _View(known, at_ms, settings.shared_ids)
    sightings = _sightings(event, _lower(shown_email(event, kind)), view)
    nobody = _nobody(event, view)
    clean = without_nobody(event, nobody)
    lesson = _learn(clean, kind, sightings, view)
    return Placement(_mailbox(clean, _lower(address(clean, kind)), seq, view), nobody, lesson)


def ids_of(event: Event) -> tuple[str, ...]:
    """The ids that could name or teach: userId and anonymousId, and an alias's previousId."""
    previous = event.previous_id if isinstance(event, Alias) else None
    return tuple(name for name in (event.user_id, event.anonymous_id, previous) if name)


def emails_of(event: Event, settings: AccountSettings) -> tuple[str, ...]:
    """The emails, in lower case, that could name or teach."""
    kind = kind_of(event, settings)
    found = (shown_email(event, kind), owned_email(event, kind), address(event, kind))
    return tuple(dict.fromkeys(email.lower() for email in found if email))


def teaches(event: Event, settings: AccountSettings) -> bool:
    """Whether it may teach anything: it takes two names to say that they are one person's."""
    kind = kind_of(event, settings)
    email = shown_email(event, kind) or owned_email(event, kind)
    return len(ids_of(event)) + bool(email) > 1


def _lower(email: str | None) -> str | None:
    return email.lower() if email else None


def _sightings(event: Event, shown: str | None, view: _View) -> dict[str, Seen]:
    """Note the event's email beside each of its ids; returns what changed."""
    changed: dict[str, Seen] = {}
    if shown is None:
        return changed
    for name in (event.user_id, event.anonymous_id):
        if not name or name.casefold() in view.shared:
            continue
        today = view.known.today(name, view.at_ms)
        if len(today) > EMAILS_A_DAY and shown not in today:
            today.pop(min(today, key=today.__getitem__))
        view.known.seen[name] = changed[name] = today | {shown: view.at_ms}
    return changed


def _nobody(event: Event, view: _View) -> tuple[str, ...]:
    fields = ["user_id", "anonymous_id", *(["previous_id"] if isinstance(event, Alias) else [])]
    return tuple(
        name for name in fields if (value := getattr(event, name)) and view.is_nobody(value)
    )


def _learn(event: Event, kind: Kind, sightings: dict[str, Seen], view: _View) -> Lesson:
    known, email = view.known, shown_email(event, kind)
    ids = [name for name in (event.user_id, event.anonymous_id) if name]
    emails = [(name, email or "", sightings.get(name, {})) for name in ids if email]
    emails += [(name, "", seen) for name, seen in sightings.items() if name not in ids]
    aliases: list[tuple[str, str]] = []
    if event.user_id:
        if event.anonymous_id and event.anonymous_id != event.user_id:
            aliases.append((f"anon:{event.anonymous_id}", event.user_id))
            known.anon[event.anonymous_id] = event.user_id
        if isinstance(event, Alias) and event.previous_id:
            aliases.append((f"anon:{event.previous_id}", event.user_id))
            known.anon[event.previous_id] = event.user_id
        owned = _lower(owned_email(event, kind))
        if owned:
            aliases.append((f"email:{owned}", event.user_id))
            known.email[owned] = event.user_id
    elif event.anonymous_id and email and (user := view.owner(known.anon, event.anonymous_id)):
        emails.append((user, email, {}))
    return Lesson(tuple(emails), tuple(aliases))


def _mailbox(event: Event, address: str | None, seq: str, view: _View) -> str:
    if event.user_id:
        return event.user_id
    if event.anonymous_id:
        return view.owner(view.known.anon, event.anonymous_id) or event.anonymous_id
    if address:
        return view.owner(view.known.email, address) or address
    return NOBODY + seq
