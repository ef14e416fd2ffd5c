"""Whose mailbox an event belongs in, and what it teaches about who is who. Pure.

The mailbox is named after the userId, else the userId learned for this anonymousId or email, else
the anonymousId, else the email. Ids that are nobody (a shop sends `guest` for everyone) neither
name a mailbox nor teach anything, or one stranger's order would go to another's address.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from pipeline.events import Alias, Event

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
    event: Event, seq: str, at_ms: int, known: Directory, shared: Collection[str]
) -> Placement:
    """Place one event and update `known` with what it teaches.

    `shared` holds casefolded ids. The mailbox of an event that names nobody at all is its own.
    """
    email = event.email
    address = email.lower() if email else None
    sightings = _sightings(event, address, at_ms, known, shared)
    nobody = _nobody(event, known, shared)
    clean = without_nobody(event, nobody)
    lesson = _learn(clean, email, sightings, known)
    return Placement(_mailbox(clean, address, seq, known), nobody, lesson)


def ids_of(event: Event) -> tuple[str, ...]:
    """The ids that could name or teach: userId and anonymousId, and an alias's previousId."""
    previous = event.previous_id if isinstance(event, Alias) else None
    return tuple(name for name in (event.user_id, event.anonymous_id, previous) if name)


def _sightings(
    event: Event, address: str | None, at_ms: int, known: Directory, shared: Collection[str]
) -> dict[str, Seen]:
    """Note the event's email beside each of its ids; returns what changed."""
    changed: dict[str, Seen] = {}
    if address is None:
        return changed
    for name in (event.user_id, event.anonymous_id):
        if not name or name.casefold() in shared:
            continue
        today = {mail: at for mail, at in known.seen.get(name, {}).items() if at > at_ms - DAY_MS}
        if len(today) > EMAILS_A_DAY and address not in today:
            today.pop(min(today, key=today.__getitem__))
        known.seen[name] = changed[name] = today | {address: at_ms}
    return changed


def _nobody(event: Event, known: Directory, shared: Collection[str]) -> tuple[str, ...]:
    fields = ["user_id", "anonymous_id", *(["previous_id"] if isinstance(event, Alias) else [])]
    return tuple(
        name
        for name in fields
        if (value := getattr(event, name))
        and (value.casefold() in shared or len(known.seen.get(value, {})) > EMAILS_A_DAY)
    )


def _learn(event: Event, email: str | None, sightings: dict[str, Seen], known: Directory) -> Lesson:
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
        if email:
            aliases.append((f"email:{email.lower()}", event.user_id))
            known.email[email.lower()] = event.user_id
    elif event.anonymous_id and email and (user := known.anon.get(event.anonymous_id)):
        emails.append((user, email, {}))
    return Lesson(tuple(emails), tuple(aliases))


def _mailbox(event: Event, address: str | None, seq: str, known: Directory) -> str:
    if event.user_id:
        return event.user_id
    if event.anonymous_id:
        return known.anon.get(event.anonymous_id, event.anonymous_id)
    if address:
        return known.email.get(address, address)
    return NOBODY + seq
