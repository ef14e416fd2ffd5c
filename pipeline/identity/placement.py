"""Which mailbox an event belongs in, and which ids and emails it links to one user. No I/O.

The mailbox is named after the userId, else the user whom this anonymousId or email leads to, else the
anonymousId, else the email. A shared id (a shop sends `guest` for everyone) neither names a mailbox
nor updates the identity map. Otherwise one stranger's order would go to another's address.

An anonymousId leads to a userId by evidence (an event that names both, an alias), or by the email of an
identify or Subscribed without a userId: that goes to the user who owns the email, and what this visitor
does afterwards goes there, too. The newest of both counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.events.emails import CARRIES_KEY, EMAILS_A_DAY, SharedBy
from pipeline.events.models import Alias, Event
from pipeline.events.routing import Facts
from pipeline.roles import Role
from pipeline.settings import AccountSettings
from pipeline.storage.numbers import DAY_MS

UNIDENTIFIED = "~"
"""First character of the mailbox of an event without any id of its own: each such event has its own."""

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
    showed: one of those -> the email that is remembered of it, when its sightings are over.
    """

    anon: dict[str, str] = field(default_factory=dict)
    email: dict[str, str] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)
    follows: dict[str, str] = field(default_factory=dict)
    visitor: dict[str, str] = field(default_factory=dict)
    showed: dict[str, str] = field(default_factory=dict)

    def today(self, name: str, at_ms: int) -> Seen:
        """The emails an id came with in the day before `at_ms`."""
        return {email: at for email, at in self.seen.get(name, {}).items() if at > at_ms - DAY_MS}

    def latest(self, name: str) -> str | None:
        """The email an id came with last."""
        return next(reversed(self.seen.get(name, {})), self.showed.get(name))

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
            self.showed,
        )


@dataclass(frozen=True, slots=True)
class _View:
    """The identity map at one event's time, without shared ids."""

    known: IdentityMap
    at_ms: int
    shared: Collection[str]

    def is_shared(self, name: str) -> bool:
        if name.casefold() in self.shared:
            return True
        seen = self.known.seen.get(name, ())
        return len(seen) > EMAILS_A_DAY and len(self.known.today(name, self.at_ms)) > EMAILS_A_DAY

    def shared_by(self, name: str) -> SharedBy:
        """What makes an id a shared one that is."""
        return SharedBy.SETTING if name.casefold() in self.shared else SharedBy.MANY_EMAILS

    def owner(self, learned: dict[str, str], name: str) -> str | None:
        """The userId that was learned for an id or email, unless it turned out to be shared."""
        user = learned.get(name)
        return None if user is None or self.is_shared(user) else user

    def leads_to(self, anonymous_id: str) -> str:
        """The id that the events of a visitor go to: a user's, or the visitor's own."""
        followed = self.owner(self.known.follows, anonymous_id)
        return followed or self.owner(self.known.anon, anonymous_id) or anonymous_id


class IdentityUpdates(NamedTuple):
    """What one event says about who is who.

    emails: (user, email, emails seen today, whether this id's events go to another user) to remember; the email is ''
    when only the sighting counts. aliases: (`anon:ID`, `email:E`, `follows:ID` or `visitor:E`, id), as in `IdentityMap`.
    """

    emails: tuple[tuple[str, str, Seen, bool], ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()


class Placement(NamedTuple):
    """Where an event goes: `user` names its mailbox; `shared_ids` are the id fields to leave out, `shared_by` what
    makes those ids shared ones, each cause once."""

    user: str
    shared_ids: tuple[str, ...]
    updates: IdentityUpdates
    shared_by: frozenset[SharedBy] = frozenset()


class _Ids(NamedTuple):
    """The ids of an event that are no shared ones."""

    user: str | None
    anonymous: str | None
    previous: str | None


def without_shared_ids(event: Event, shared_ids: Collection[str]) -> Event:
    """The event without its shared ids."""
    return event.without(shared_ids) if shared_ids else event


def place(
    event: Event, facts: Facts, seq: str, at_ms: int, known: IdentityMap, settings: AccountSettings
) -> Placement:
    """Place one event and update `known` with the ids it links.

    An event without any id of its own gets a mailbox of its own.
    """
    view = _View(known, at_ms, settings.shared_ids)
    shown = facts.emails.shown
    # A page's sightings do not count: or any visitor could make an id a shared one.
    counts = event.role is Role.SERVER
    sightings = _sightings(event, shown.lower(), view) if shown and counts else {}
    previous = event.previous_id if isinstance(event, Alias) else None
    ids = _Ids(event.user_id, event.anonymous_id, previous)
    shared_ids: tuple[str, ...] = ()
    causes: frozenset[SharedBy] = frozenset()
    if any(map(view.is_shared, facts.ids)):
        ids, shared_ids = _without_shared(ids, view)
        causes = frozenset(map(view.shared_by, filter(view.is_shared, facts.ids)))
    updates = _UpdateBuilder(ids, facts, view, sightings, event.role).build()
    return Placement(_mailbox(ids, facts.emails.address, seq, view), shared_ids, updates, causes)


def _sightings(event: Event, shown: str, view: _View) -> dict[str, Seen]:
    """Note the event's email beside each of its ids; returns what changed."""
    changed: dict[str, Seen] = {}
    for name in (event.user_id, event.anonymous_id):
        if not name or name.casefold() in view.shared:
            continue
        seen = view.known.today(name, view.at_ms)
        today = {email: at for email, at in seen.items() if not _is_half_typed(email, shown)}
        if len(today) > EMAILS_A_DAY:
            today.pop(min(today, key=today.__getitem__))
        view.known.seen[name] = changed[name] = today | {shown: view.at_ms}
    return changed


def _is_half_typed(one: str, other: str) -> bool:
    """Whether one may be what a person had typed of the other when a page sent it: they count once."""
    return one.startswith(other) or other.startswith(one)


def _without_shared(ids: _Ids, view: _View) -> tuple[_Ids, tuple[str, ...]]:
    """The ids that are left, and the names of the fields that are left out."""
    clean = _Ids(*(None if name and view.is_shared(name) else name for name in ids))
    fields = ("user_id", "anonymous_id", "previous_id")
    return clean, tuple(
        name for name, was, left in zip(fields, ids, clean, strict=True) if was and not left
    )


class _UpdateBuilder:
    """Collects what one event says of who is who. The identity map knows it at once."""

    def __init__(
        self, ids: _Ids, facts: Facts, view: _View, sightings: dict[str, Seen], role: Role
    ) -> None:
        self._ids = ids
        self._role = role
        self._facts = facts
        self._view = view
        self._known = view.known
        self._sightings = sightings
        self._aliases: list[tuple[str, str]] = []

    def build(self) -> IdentityUpdates:
        user, anonymous, _ = self._ids
        email, owner = self._facts.emails.shown, None
        if user:
            self._link(user)
        elif anonymous and email:
            owner = self._visit(anonymous, email.lower())
        emails = list(self._shown(email)) if email else []
        emails += [(owner, email, {}, False)] if owner and email else []
        return IdentityUpdates(tuple(emails), tuple(self._aliases))

    def _shown(self, email: str) -> Iterator[tuple[str, str, Seen, bool]]:
        """The email beside each id of the event, and sightings of shared ones. A visitor's is its user's to remember."""
        user, anonymous, _ = self._ids
        sightings = dict(self._sightings)
        if user:
            yield user, email, sightings.pop(user, {}), False
        if anonymous and anonymous != user:
            has_owner = user is not None or self._view.leads_to(anonymous) != anonymous
            yield anonymous, email, sightings.pop(anonymous, {}), has_owner
        for name, seen in sightings.items():
            yield name, "", seen, False

    def _link(self, user_id: str) -> None:
        """Link the ids of an event that names a user, and its email, to that user."""
        for name in (self._ids.anonymous, self._ids.previous):
            if not name or name == user_id or self._is_taken(name, user_id):
                continue
            self._set("anon", name, user_id)
            if self._known.follows.get(name, user_id) != user_id:
                self._set("follows", name, user_id)
        if self._facts.emails.owned:
            self._own(self._facts.emails.owned.lower(), user_id)

    def _is_taken(self, name: str, user_id: str) -> bool:
        """Whether this event may not link the id, since it is another's: a reader of a page's key could call any id
        theirs."""
        return self._role is Role.BROWSER and self._known.anon.get(name, user_id) != user_id

    def _visit(self, anonymous_id: str, email: str) -> str | None:
        """Link a visitor who shows an email. Returns the userId that the email is to be learned of, if any."""
        known, view = self._known, self._view
        user = view.owner(known.anon, anonymous_id)
        if self._facts.kind not in CARRIES_KEY:
            return user
        owner = view.owner(known.email, email)
        self._follow(anonymous_id, owner or user or anonymous_id)
        if owner is None and self._facts.emails.owned:
            if user is not None:
                self._own(email, user)
            elif known.visitor.get(email, anonymous_id) == anonymous_id:
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


def _mailbox(ids: _Ids, address: str | None, seq: str, view: _View) -> str:
    if ids.user:
        return ids.user
    if ids.anonymous:
        return view.leads_to(ids.anonymous)
    if address:
        return view.owner(view.known.email, address.lower()) or address.lower()
    return UNIDENTIFIED + seq
