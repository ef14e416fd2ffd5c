"""Which mailbox an event belongs in, and which ids and emails it links to one user. No I/O.

The mailbox is named after the userId, else the user whom this anonymousId or email leads to, else the
anonymousId, else the email. A shared id (a shop sends `guest` for everyone) neither names a mailbox
nor updates the identity map. Otherwise one stranger's order would go to another's address.

An anonymousId leads to a userId by evidence (an event that names both, an alias), or by the email of an
identify or Subscribed without a userId: that goes to the user who owns the email, and what this visitor
does afterwards goes there, too. The newest of both counts.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from pipeline.events.emails import CARRIES_KEY, address, owned_email, shown_email
from pipeline.events.kinds import Kind, kind_of
from pipeline.events.models import Alias, Event
from pipeline.settings import AccountSettings

UNIDENTIFIED = "~"
"""First character of the mailbox of an event without any id of its own: each such event has its own."""
DAY_MS = 86_400_000
EMAILS_A_DAY = 3
"""An id that comes with more emails than this in a day is shared by several people."""

Seen = dict[str, int]
"""The emails an id came with, and when last (ms), the newest last."""


@dataclass(slots=True)
class IdentityMap:
    """Which user an anonymousId or email belongs to, while a batch is split: read from Redis before, and
    updated event by event.

    anon: anonymousId -> userId, by evidence.
    email: email -> the userId that owns it.
    seen: id -> the emails it came with.
    follows: anonymousId -> the id its events go to, since an email led there. Its own, once its latest
        identify led nowhere else.
    visitor: email -> the first anonymousId that identified with it while no userId owned it.
    """

    anon: dict[str, str] = field(default_factory=dict)
    email: dict[str, str] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)
    follows: dict[str, str] = field(default_factory=dict)
    visitor: dict[str, str] = field(default_factory=dict)

    def today(self, name: str, at_ms: int) -> Seen:
        """The emails an id came with in the day before `at_ms`."""
        return {email: at for email, at in self.seen.get(name, {}).items() if at > at_ms - DAY_MS}

    def latest(self, name: str) -> str | None:
        """The email an id came with last."""
        return next(reversed(self.seen.get(name, {})), None)

    def learned(self, kind: str) -> dict[str, str]:
        """What names of one kind lead to; the kind as it stands in the aliases of a `IdentityUpdates`."""
        return {
            "anon": self.anon,
            "email": self.email,
            "follows": self.follows,
            "visitor": self.visitor,
        }[kind]

    def copy(self) -> IdentityMap:
        """A copy that is updated apart from this; sightings are replaced, never changed, so they are shared."""
        return IdentityMap(
            dict(self.anon),
            dict(self.email),
            dict(self.seen),
            dict(self.follows),
            dict(self.visitor),
        )


@dataclass(frozen=True, slots=True)
class _View:
    """The identity map at one event's time, without shared ids."""

    known: IdentityMap
    at_ms: int
    shared: Collection[str]

    def is_shared(self, name: str) -> bool:
        crowd = self.known.today(name, self.at_ms)
        return name.casefold() in self.shared or len(crowd) > EMAILS_A_DAY

    def owner(self, learned: dict[str, str], name: str) -> str | None:
        """The userId that was learned for an id or email, unless it turned out to be shared."""
        user = learned.get(name)
        return None if user is None or self.is_shared(user) else user

    def leads_to(self, anonymous_id: str) -> str:
        """The id that the events of a visitor go to: a user's, or the visitor's own."""
        followed = self.owner(self.known.follows, anonymous_id)
        return followed or self.owner(self.known.anon, anonymous_id) or anonymous_id


@dataclass(frozen=True, slots=True)
class IdentityUpdates:
    """What one event says about who is who.

    emails: (user, email, emails seen today) to remember; the email is '' when only the sighting
    counts. aliases: (`anon:ID`, `email:E`, `follows:ID` or `visitor:E`, id), as in `IdentityMap`.
    """

    emails: tuple[tuple[str, str, Seen], ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an event goes: `user` names its mailbox; `shared_ids` are the id fields to leave out."""

    user: str
    shared_ids: tuple[str, ...]
    updates: IdentityUpdates


def without_shared_ids(event: Event, shared_ids: Collection[str]) -> Event:
    """The event without its shared ids."""
    return event.model_copy(update=dict.fromkeys(shared_ids)) if shared_ids else event


def place(
    event: Event, seq: str, at_ms: int, known: IdentityMap, settings: AccountSettings
) -> Placement:
    """Place one event and update `known` with the ids it links.

    An event without any id of its own gets a mailbox of its own.
    """
    kind = kind_of(event, settings)
    view = _View(known, at_ms, settings.shared_ids)
    sightings = _sightings(event, _lower(shown_email(event, kind)), view)
    shared_ids = _shared_ids(event, view)
    clean = without_shared_ids(event, shared_ids)
    updates = _UpdateBuilder(clean, kind, view, sightings).build()
    return Placement(_mailbox(clean, _lower(address(clean, kind)), seq, view), shared_ids, updates)


def ids_of(event: Event) -> tuple[str, ...]:
    """The ids that could name a mailbox or be linked: userId and anonymousId, and an alias's previousId."""
    return tuple(name for name in (event.user_id, *visitors_of(event)) if name)


def visitors_of(event: Event) -> tuple[str, ...]:
    """Those of its ids that may lead to another: the anonymousId, and an alias's previousId."""
    previous = event.previous_id if isinstance(event, Alias) else None
    return tuple(name for name in (event.anonymous_id, previous) if name)


def emails_of(event: Event, settings: AccountSettings) -> tuple[str, ...]:
    """The emails, in lower case, that could name or teach."""
    kind = kind_of(event, settings)
    found = (shown_email(event, kind), owned_email(event, kind), address(event, kind))
    return tuple(dict.fromkeys(email.lower() for email in found if email))


def links_ids(event: Event, settings: AccountSettings) -> bool:
    """Whether it may link ids: it takes two names to say that they are one person's."""
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
        if today.pop(shown, None) is None and len(today) > EMAILS_A_DAY:
            today.pop(min(today, key=today.__getitem__))
        view.known.seen[name] = changed[name] = today | {shown: view.at_ms}
    return changed


def _shared_ids(event: Event, view: _View) -> tuple[str, ...]:
    fields = ["user_id", "anonymous_id", *(["previous_id"] if isinstance(event, Alias) else [])]
    return tuple(
        name for name in fields if (value := getattr(event, name)) and view.is_shared(value)
    )


class _UpdateBuilder:
    """Collects what one event says of who is who. The directory knows it at once."""

    def __init__(self, event: Event, kind: Kind, view: _View, sightings: dict[str, Seen]) -> None:
        self._event = event
        self._kind = kind
        self._view = view
        self._known = view.known
        self._sightings = sightings
        self._aliases: list[tuple[str, str]] = []

    def build(self) -> IdentityUpdates:
        event = self._event
        email = shown_email(event, self._kind)
        ids = [name for name in (event.user_id, event.anonymous_id) if name]
        emails = [(name, email or "", self._sightings.get(name, {})) for name in ids if email]
        emails += [(name, "", seen) for name, seen in self._sightings.items() if name not in ids]
        if event.user_id:
            self._link(event.user_id)
        elif event.anonymous_id and email:
            user = self._visit(event.anonymous_id, email.lower())
            emails += [(user, email, {})] if user else []
        return IdentityUpdates(tuple(emails), tuple(self._aliases))

    def _link(self, user_id: str) -> None:
        """Link the ids of an event that names a user, and its email, to that user."""
        for name in visitors_of(self._event):
            if name == user_id:
                continue
            self._set("anon", name, user_id)
            if self._known.follows.get(name, user_id) != user_id:
                self._set("follows", name, user_id)
        owned = owned_email(self._event, self._kind)
        if owned:
            self._own(owned.lower(), user_id)

    def _visit(self, anonymous_id: str, email: str) -> str | None:
        """Link a visitor who shows an email. Returns the userId that the email is to be learned of, if any."""
        known, view = self._known, self._view
        user = view.owner(known.anon, anonymous_id)
        if self._kind not in CARRIES_KEY:
            return user
        owner = view.owner(known.email, email)
        self._follow(anonymous_id, owner or user or anonymous_id)
        if owner is None and user is not None:
            self._own(email, user)
        elif owner is None and known.visitor.get(email, anonymous_id) == anonymous_id:
            self._set("visitor", email, anonymous_id)
        return user if owner in (None, user) else None

    def _own(self, email: str, user_id: str) -> None:
        """Make the email this user's. The visitor who showed it first, and last, follows the user."""
        known = self._known
        self._set("email", email, user_id)
        visitor = known.visitor.get(email)
        if visitor is None or visitor in known.anon or self._view.is_shared(visitor):
            return
        if known.latest(visitor) == email and known.follows.get(visitor, visitor) == visitor:
            self._follow(visitor, user_id)

    def _follow(self, anonymous_id: str, target: str) -> None:
        known = self._known
        if anonymous_id in known.follows or known.anon.get(anonymous_id, anonymous_id) != target:
            self._set("follows", anonymous_id, target)

    def _set(self, kind: str, name: str, value: str) -> None:
        self._known.learned(kind)[name] = value
        self._aliases.append((f"{kind}:{name}", value))


def _mailbox(event: Event, address: str | None, seq: str, view: _View) -> str:
    if event.user_id:
        return event.user_id
    if event.anonymous_id:
        return view.leads_to(event.anonymous_id)
    if address:
        return view.owner(view.known.email, address) or address
    return UNIDENTIFIED + seq
