"""Which lane and mailbox a raw entry goes to, or why it dies or is ignored. No I/O."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.deadletters.letter import Header
from pipeline.errors import InvalidEvent, Reason
from pipeline.events.kinds import ORDERS, kind_of
from pipeline.events.models import Event, Lane, Track, parse_event, readable_id
from pipeline.events.routing import route
from pipeline.identity.placement import IdentityMap, Placement, place
from pipeline.json_text import read_json
from pipeline.mailbox.claim import MEMORY_KEEP_MS, Entry, shard_name
from pipeline.settings import DEFAULT_ACCOUNT, AccountSettings
from pipeline.storage import keys

_KEY = re.compile(r"-?[0-9]{1,19}")
_DEFAULTS = AccountSettings()


@dataclass(frozen=True, slots=True)
class RawEntry:
    """One entry of the raw stream. `sid` is its id, `ms-n`; `replay` the id of the dead letter it was, `key`
    that letter's dedupe key."""

    sid: str
    raw: bytes
    account: str = DEFAULT_ACCOUNT
    replay: str = ""
    key: str = ""

    @property
    def at_ms(self) -> int:
        return int(self.sid.partition("-")[0])


@dataclass(frozen=True, slots=True)
class Read:
    """An entry with its event, or with what is wrong with it.

    id: its letter's id, where it was one; else the messageId or the stream entry's id.
    key: what a repeat of it shares, see `dedupe_hash`.
    """

    entry: RawEntry
    event: Event | None
    problem: InvalidEvent | None
    message_id: str | None
    replay: bool
    id: str
    key: str


@dataclass(frozen=True, slots=True)
class RoutedEntry:
    """What split.lua is to do with one entry: its action, and the mailbox entry or dead letter."""

    sid: str
    action: dict[str, Any]
    blob: bytes

    @property
    def is_posted(self) -> bool:
        """Whether it waits in a mailbox now."""
        return bool(self.action["kind"] == "post")


@dataclass(slots=True)
class Account:
    """What routing needs of one account: settings, what is known, and each lane's stopped ms."""

    settings: AccountSettings
    known: IdentityMap
    stopped: Mapping[Lane, int] = field(default_factory=dict)

    def apart(self) -> Account:
        """The same, with a copy of the identity map."""
        return replace(self, known=self.known.copy())


def read_entry(sid: bytes, fields: Mapping[bytes, bytes]) -> RawEntry:
    """An entry as any producer may have written it; one without `event` is kept as it came."""
    raw = fields.get(b"event")
    if raw is None:
        raw = repr(dict(fields)).encode()
    account = fields.get(b"account", DEFAULT_ACCOUNT.encode()).decode("utf-8", "replace")
    replay = fields.get(b"replay", b"").decode("utf-8", "replace")
    key = fields.get(b"key", b"").decode("utf-8", "replace") if replay else ""
    return RawEntry(sid.decode(), raw, account, replay, key)


def read(entry: RawEntry) -> Read:
    """Parse one entry; what is wrong with it is part of the answer."""
    event, problem = None, None
    try:
        event = parse_event(entry.raw)
    except InvalidEvent as error:
        problem = error
    needs_body = problem is not None or b'"sailpipe"' in entry.raw
    body = _body(entry.raw) if needs_body else {}
    item = _refused(entry, problem, body) if event is None else _parsed(entry, event)
    ours = body.get("sailpipe")
    if not item.replay and isinstance(ours, dict) and ours.get("replay") is True:
        letter, key = _string(ours.get("letter")), _key(ours.get("key"))
        return replace(item, replay=True, id=letter or item.id, key=key or item.key)
    return item


def _parsed(entry: RawEntry, event: Event) -> Read:
    name = event.event if isinstance(event, Track) else ""
    own_id, key = _id_and_key(entry, event.message_id, event.type, name)
    return Read(entry, event, None, event.message_id, bool(entry.replay), own_id, key)


def _refused(entry: RawEntry, problem: InvalidEvent | None, body: Mapping[str, Any]) -> Read:
    """Of an event that cannot be parsed only the strings of its body are known."""
    message_id = readable_id(body.get("messageId"))
    kind, name = _string(body.get("type")), _string(body.get("event"))
    own_id, key = _id_and_key(entry, message_id, kind, name)
    return Read(entry, None, problem, message_id, bool(entry.replay), own_id, key)


def _id_and_key(entry: RawEntry, message_id: str | None, kind: str, event: str) -> tuple[str, str]:
    """Those of its letter, where it was one."""
    name = message_id or entry.replay or entry.sid
    return entry.replay or name, _key(entry.key) or dedupe_hash(name, kind, event)


def route_entry(item: Read, account: Account) -> RoutedEntry:
    """Decide what becomes of one entry and update `account.known` with it."""
    settings = account.settings
    if item.event is None:
        return _dead(item, item.problem or InvalidEvent(), settings.dedupe_window)
    placement = place(item.event, item.entry.sid, item.entry.at_ms, account.known, settings)
    lane = route(item.event, settings)
    action = _action(item, settings.dedupe_window) | _identity_updates(placement, item.entry.at_ms)
    if not isinstance(lane, Lane):
        action |= {"kind": "ignored", "reason": lane.reason}
        return RoutedEntry(item.entry.sid, action, b"")
    action |= {"kind": "post", "lane": lane, "box": _box(item, placement, lane, settings)}
    blob = _entry(item, placement, account.stopped.get(lane, 0)).encode()
    return RoutedEntry(item.entry.sid, action, blob)


def crashed(entry: RawEntry, error: Exception, owning_account: str) -> RoutedEntry:
    """The dead letter, kept in `owning_account`, for an entry that fails alone."""
    problem = InvalidEvent(Reason.CRASHED, f"the splitter failed: {type(error).__name__}")
    return _dead(_refused(entry, problem, _body(entry.raw)), problem, owning_account=owning_account)


def poisoned(entry: RawEntry, strikes: int, owning_account: str) -> RoutedEntry:
    """The dead letter, kept in `owning_account`, for an entry that ended each process that split it.

    Nothing of it is read: its id is that of the stream entry.
    """
    detail = f"{strikes} splits of it ended with a dead or hanging worker"
    problem = InvalidEvent(Reason.POISON, detail)
    return _dead(_refused(entry, problem, {}), problem, owning_account=owning_account)


def unknown_account(item: Read) -> RoutedEntry:
    """The dead letter, kept in the default account, for an account that is not configured.

    Its header names the account it asked for: replayed, it must not go to another brand's customers.
    """
    problem = InvalidEvent(Reason.INVALID_EVENT, "names an account that is not configured")
    return _dead(item, problem, owning_account=DEFAULT_ACCOUNT)


def dedupe_hash(message_id: str, kind: str, event: str) -> str:
    """The dedupe key: 64 bits as a signed decimal, which Redis keeps in eight bytes.

    A repeat has the same messageId, `kind` (the event's type) and `event` (its name, '' when it has
    none). An event of another kind or name is no repeat: a stranger who guesses the messageId of an
    order must not hide the order.
    """
    key = json.dumps([message_id, kind, event]).encode()
    digest = hashlib.blake2b(key, digest_size=8).digest()
    return str(int.from_bytes(digest, "big", signed=True))


def dedupe_key(item: Read, window_s: float) -> dict[str, Any]:
    """What the scripts tell a duplicate by: the part of an action that needs no routing."""
    asks_no_dedupe = item.replay or item.message_id is None
    return {
        "p": keys.account_prefix(item.entry.account),
        "id": item.id,
        "hash": item.key,
        "window": 0 if asks_no_dedupe else int(window_s * 1000),
        "replay": item.replay and not item.entry.replay,
    }


def _action(item: Read, window_s: float) -> dict[str, Any]:
    updates = {"emails": [], "aliases": [], "keep": MEMORY_KEEP_MS}
    return dedupe_key(item, window_s) | updates


def _identity_updates(placement: Placement, at_ms: int) -> dict[str, Any]:
    updates = placement.updates
    return {
        "emails": [
            [user, email, at_ms, json.dumps(seen) if seen else ""]
            for user, email, seen in updates.emails
        ],
        "aliases": [list(alias) for alias in updates.aliases],
    }


def _box(item: Read, placement: Placement, lane: Lane, settings: AccountSettings) -> str:
    if str(lane) in settings.ordered_lanes:
        return placement.user
    return shard_name(placement.user, int(item.key))


def _entry(item: Read, placement: Placement, stopped_ms: int) -> Entry:
    entry = item.entry
    return Entry(
        id=item.id,
        seq=entry.sid,
        at=entry.at_ms,
        clock=entry.at_ms - stopped_ms,
        user=placement.user,
        raw=entry.raw,
        key=item.key,
        shared_ids=",".join(placement.shared_ids),
    )


def _dead(
    item: Read, problem: InvalidEvent, window_s: float = 0.0, *, owning_account: str | None = None
) -> RoutedEntry:
    entry = item.entry
    header = Header(
        account=entry.account,
        reason=problem.reason,
        detail=problem.detail,
        first_seen_ms=entry.at_ms,
        died_at=entry.at_ms,
        key=item.key,
        order=item.event is not None and kind_of(item.event, _DEFAULTS) in ORDERS,
    )
    prefix = keys.account_prefix(owning_account or entry.account)
    action = _action(item, window_s) | {"kind": "dead", "p": prefix}
    return RoutedEntry(entry.sid, action, header.as_line().encode() + b"\n" + entry.raw)


def _body(raw: bytes) -> dict[str, Any]:
    try:
        body = read_json(raw)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _key(value: object) -> str:
    """A dedupe key as `dedupe_hash` writes it; '' for anything else."""
    return value if isinstance(value, str) and _KEY.fullmatch(value) else ""
