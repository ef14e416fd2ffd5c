"""Which lane and mailbox a raw entry goes to, or why it dies or is ignored. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from json.encoder import encode_basestring_ascii as _quoted
from types import MappingProxyType
from typing import Any

from pydantic_core import to_json

from pipeline.errors import InvalidEvent, Reason, RefusedByRole
from pipeline.events.kinds import Ignored, IgnoreReason
from pipeline.events.models import UNREAD, Lane, NativeCall, Track, parse_event, readable_id
from pipeline.events.people import owner_of
from pipeline.events.rights import restricted
from pipeline.events.routing import Facts, read_facts
from pipeline.identity.placement import UNIDENTIFIED, IdentityMap, Placement, place
from pipeline.json_text import read_json
from pipeline.mailbox.claim import Entry, OptOutFlag
from pipeline.roles import Role
from pipeline.settings import DEFAULT_ACCOUNT, AccountSettings
from pipeline.splitter.deaths import dead_letter
from pipeline.splitter.entries import (
    ActionKind,
    Configured,
    DedupeKey,
    RawEntry,
    Read,
    RoutedEntry,
    SplitAction,
)
from pipeline.storage import keys
from pipeline.tombstones import Tombstones
from pipeline.ways_in import KNOWN_WAYS, WayIn

GIVEN_UP = b"over"
"""The field `held` of a raw entry that is to wait for its account no longer (release.lua)."""
_KEY = re.compile(r"-?[0-9]{1,19}")
_NO_FLAG: Mapping[str, Any] = MappingProxyType({})


@dataclass(slots=True)
class Account:
    """What routing needs of one account: settings, what is known, each lane's stopped ms, and who was erased."""

    settings: AccountSettings
    known: IdentityMap
    stopped: Mapping[str, int] = field(default_factory=dict)
    forgotten: Tombstones = field(default_factory=Tombstones)

    def apart(self) -> Account:
        """The same, with a copy of the identity map."""
        return replace(self, known=self.known.copy())


class Duplicates:
    """What is a duplicate by now, as the batch goes on.

    A duplicate must not tell the events behind it who is who: an SDK's retry says what was so when it
    was first sent. Redis says what it knows of the batch, and what the batch does to that is noted here.
    """

    def __init__(self, known: Iterable[DedupeKey]) -> None:
        """`known`: those that Redis calls duplicates."""
        self._known = {_identity(key) for key in known}

    def has(self, key: DedupeKey) -> bool:
        """Whether this one is a duplicate."""
        return _identity(key) in self._known

    def record(self, action: SplitAction) -> None:
        """This action comes next. One that dies leaves a letter, whose exported copy may come (again)."""
        key = action.key
        identity = _identity(key)
        if identity in self._known or action.kind in {ActionKind.HELD, ActionKind.REMOVED}:
            return
        if key.window or key.replay:
            self._known.add(identity)
        if action.kind is ActionKind.DEAD:
            self._known.discard((key.p, key.id, key.hash))


def _identity(key: DedupeKey) -> tuple[str, str, str]:
    """The id counts only for a replay: it names a letter."""
    return key.p, key.id if key.replay else "", key.hash


def read_entry(sid: bytes, fields: Mapping[bytes, bytes]) -> RawEntry:
    """An entry as any producer may have written it; one without `event` is kept as it came."""
    raw = fields.get(b"event")
    at_ms = int(sid.partition(b"-")[0])
    if raw is None:
        raw = repr(dict(fields)).encode()
    elif len(fields) == 1:
        return RawEntry(sid.decode(), at_ms, raw, DEFAULT_ACCOUNT)
    via = KNOWN_WAYS.get(fields.get(b"via"), WayIn.REDIS)
    if len(fields) == 2 and b"event" in fields and via is not WayIn.REDIS:  # most of them
        return RawEntry(sid.decode(), at_ms, raw, DEFAULT_ACCOUNT, via=via)
    account = fields.get(b"account", DEFAULT_ACCOUNT.encode()).decode("utf-8", "replace")
    replay, key, role = (
        fields.get(name, b"").decode("utf-8", "replace") for name in (b"replay", b"key", b"role")
    )
    bulk, key = fields.get(b"class") == b"bulk", key if replay else ""
    via = WayIn.REPLAY if replay else via
    more = bulk, Role.read(role), fields.get(b"held") == GIVEN_UP, via
    return RawEntry(sid.decode(), at_ms, raw, account, replay, key, *more)


def read(entry: RawEntry, accounts: Mapping[str, Configured]) -> Read:
    """Parse one entry; what is wrong with it is part of the answer."""
    account = accounts.get(entry.account)
    flag = _replay_flag(entry) if b'"sailpipe"' in entry.raw else _NO_FLAG
    if flag:
        entry = entry._replace(via=WayIn.REPLAY)
    if "role" in flag:  # the letter's, whatever key it comes by now
        entry = entry._replace(role=Role.read(_string(flag["role"])))
    try:
        event = parse_event(entry.raw)
        if entry.role is not Role.SERVER:
            event = restricted(event, entry.role)
    except InvalidEvent as problem:
        return refused(entry, problem, _body(entry.raw), flag, account)
    facts = read_facts(event, account.settings) if account else None
    name = event.event if isinstance(event, Track) else ""
    if isinstance(event, NativeCall):
        name = event.endpoint
    key = _dedupe_key(entry, (event.message_id, event.type, name), flag, account)
    optout = _exported_optout(flag) if key.replay else ""
    return Read(entry, key, event, facts, None, optout, f"{entry.via}:{event.type}")


def refused(
    entry: RawEntry,
    problem: InvalidEvent,
    body: Mapping[str, Any],
    flag: Mapping[str, Any] = _NO_FLAG,
    account: Configured | None = None,
) -> Read:
    """An entry whose event cannot be parsed: only the strings of its body are known, and the flag of a letter."""
    parts = (
        readable_id(body.get("messageId")),
        _string(body.get("type")),
        _string(body.get("event")),
    )
    key = _dedupe_key(entry, parts, flag, account)
    return Read(entry, key, None, None, problem, came=f"{entry.via}:{UNREAD}")


def route_batch(
    items: Sequence[Read], accounts: Mapping[str, Account], known_duplicates: Iterable[DedupeKey]
) -> list[RoutedEntry]:
    """Route the entries of a batch, in order. What one links counts for those behind it.

    known_duplicates: those that Redis calls duplicates.
    """
    duplicates, routed = Duplicates(known_duplicates), []
    for item in items:
        account = accounts.get(item.entry.account)
        if isinstance(item.problem, RefusedByRole):
            one = _refused_by_role(item)
        elif account is None:
            one = _unknown_account(item)
        elif account.forgotten.until and _is_forgotten(item, account):
            one = _removed(item)
        elif duplicates.has(item.key):
            # A duplicate must not update the identity map, so it is routed against a copy. Its action is
            # still complete: split.lua re-checks the dedupe window, which may have expired meanwhile.
            one = route_entry(item, account.apart())
        else:
            one = route_entry(item, account)
        if account is not None and account.forgotten.until and _is_box_forgotten(one, account):
            one = _removed(item)
        duplicates.record(one.action)
        routed.append(one)
    return routed


def route_entry(item: Read, account: Account) -> RoutedEntry:
    """Decide what becomes of one entry and update `account.known` with it."""
    entry, _, event, facts, problem, _, came = item
    if event is None or facts is None:
        return dead_letter(item, problem or InvalidEvent(), entry.account)
    settings = account.settings
    placement = place(event, facts, entry.sid, entry.at_ms, account.known, settings)
    emails = _emails(placement, facts, entry.at_ms) if placement.updates.emails else ()
    way = facts.way if item.optout != "only" else Lane.USER
    optout = _optout(item, facts, placement, account) if facts.optout is not None else ()
    keep = int(settings.memory_keep * 1000)
    more = placement.shared_by, entry.bulk, entry.role is Role.SERVER, keep, came
    rest = emails, placement.updates.aliases, optout, *more
    if isinstance(way, Ignored):
        ignored = SplitAction(item.key, ActionKind.IGNORED, "", "", way.reason, *rest)
        return RoutedEntry(entry.sid, ignored, b"\n" + entry.raw if optout else b"")
    post = SplitAction(item.key, ActionKind.POST, way, placement.user, "", *rest)
    waiting = _entry(item, placement, account.stopped.get(way, 0))
    if optout and not waiting.optout:
        waiting = replace(waiting, optout="seen to")
    return RoutedEntry(entry.sid, post, waiting.encode())


def _optout(
    item: Read, facts: Facts, placement: Placement, account: Account
) -> tuple[()] | tuple[str, str, str]:
    """As in `SplitAction`: what the event's optoutValue asks of its user's mailbox."""
    if item.optout == "seen to" or not (facts.has_second or isinstance(facts.way, Lane)):
        return ()
    user, level = placement.user, facts.optout or ""
    level = "" if user.startswith(UNIDENTIFIED) else level
    if item.optout == "only" or not facts.has_second:
        return user, level, ""
    own = _entry(item, placement, account.stopped.get(Lane.USER, 0))
    name = f"{item.key.id}/optout"
    key = dedupe_hash(name, item.key.hash, "")
    second = replace(own, id=name, key=key, seq=f"{own.seq}.1", optout="only", raw=b"")
    return user, level, second.encode().decode().rstrip("\n")


def _is_forgotten(item: Read, account: Account) -> bool:
    """Whether the person whose event this is was erased after it was accepted."""
    event, sid = item.event, item.entry.sid
    if event is not None:
        owner = owner_of(event, account.settings.shared_ids)
        return account.forgotten.bury_any((owner,), sid)
    body = _body(item.entry.raw)
    return account.forgotten.bury_any(
        (readable_id(body.get("userId")), readable_id(body.get("anonymousId"))), sid
    )


def _is_box_forgotten(one: RoutedEntry, account: Account) -> bool:
    """The same by the mailbox that it would go to: its own ids may be shared ones."""
    return account.forgotten.bury_any((one.action.box,), one.sid)


def _removed(item: Read) -> RoutedEntry:
    """Counted, and nothing else is left of it."""
    return RoutedEntry(item.entry.sid, SplitAction(item.key, ActionKind.REMOVED, came=item.came))


def _refused_by_role(item: Read) -> RoutedEntry:
    """Counted, and nothing else is left of it: no letter, nothing learned, nothing to tell a repeat by."""
    key = item.key._replace(p=item.key.p or keys.account_prefix(DEFAULT_ACCOUNT), window=0)
    reason = IgnoreReason.REFUSED_BY_ROLE
    ignored = SplitAction(key, ActionKind.IGNORED, reason=reason, came=item.came)
    return RoutedEntry(item.entry.sid, ignored)


def crashed(entry: RawEntry, error: Exception, owning_account: str) -> RoutedEntry:
    """The dead letter, kept in `owning_account`, for an entry that fails alone."""
    problem = InvalidEvent(Reason.CRASHED, f"the splitter failed: {type(error).__name__}")
    # Whatever it was, it takes no other letter's place.
    return dead_letter(refused(entry, problem, _body(entry.raw)), problem, owning_account)


def poisoned(entry: RawEntry, strikes: int, owning_account: str) -> RoutedEntry:
    """The dead letter, kept in `owning_account`, for an entry that ended each process that split it.

    Nothing of it is read: its id is that of the stream entry.
    """
    detail = f"{strikes} splits of it ended with a dead or hanging worker"
    problem = InvalidEvent(Reason.POISON, detail)
    return dead_letter(refused(entry, problem, {}), problem, owning_account)


def _unknown_account(item: Read) -> RoutedEntry:
    """It waits for a splitter that knows its account: settings change before all processes have been restarted.

    The letter that it is in the end is kept in the default account. Its header names the account it asked for: replayed,
    it must not go to another brand's customers."""
    problem = InvalidEvent(Reason.INVALID_EVENT, "names an account that is not configured")
    letter = dead_letter(item, problem, DEFAULT_ACCOUNT)
    if item.problem or item.entry.is_given_up:
        return letter
    return letter._replace(action=letter.action._replace(kind=ActionKind.HELD))


def dedupe_hash(message_id: str, kind: str, event: str, role: Role = Role.SERVER) -> str:
    """The dedupe key's hash: 64 bits as a signed decimal, which Redis keeps in eight bytes.

    A repeat has the same messageId, `kind` (the event's type) and `event` (its name, '' when it has
    none), and came with a key of the same role. Any other is no repeat: a stranger who guesses the messageId of an
    event must not hide it.
    """
    key = f"[{_quoted(message_id)}, {_quoted(kind)}, {_quoted(event)}]"  # json.dumps, faster
    if role is not Role.SERVER:
        key = f"{role.value} {key}"
    digest = blake2b(key.encode(), digest_size=8).digest()
    return str(int.from_bytes(digest, "big", signed=True))


def _dedupe_key(
    entry: RawEntry,
    parts: tuple[str | None, str, str],
    flag: Mapping[str, Any],
    account: Configured | None,
) -> DedupeKey:
    """Its own, or its letter's where it was one.

    parts: messageId, type and name. flag: of an exported letter. Without an account it asks no dedupe.
    """
    message_id, kind, event = parts
    name, key = message_id or entry.replay or entry.sid, _key(entry.key) if entry.key else ""
    identity, exported = entry.replay or name, False
    if flag and not entry.replay:
        identity, key, exported = _string(flag.get("letter")) or name, _key(flag.get("key")), True
    hashed = key or dedupe_hash(name, kind, event, entry.role)
    if account is None:
        return DedupeKey("", identity, hashed, 0, exported)
    asks = message_id is not None and not entry.replay and not exported
    window = int(account.settings.dedupe_window * 1000) if asks else 0
    return DedupeKey(account.p, identity, hashed, window, exported)


def _emails(
    placement: Placement, facts: Facts, at_ms: int
) -> tuple[tuple[str, str, int, int, str, bool], ...]:
    strength = facts.emails.strength
    return tuple(
        (user, email, strength, at_ms, to_json(seen).decode() if seen else "", has_owner)
        for user, email, seen, has_owner in placement.updates.emails
    )


def _entry(item: Read, placement: Placement, stopped_ms: int) -> Entry:
    entry = item.entry
    return Entry(
        id=item.key.id,
        seq=entry.sid,
        at=entry.at_ms,
        clock=entry.at_ms - stopped_ms,
        raw=entry.raw,
        key=item.key.hash,
        shared_ids=",".join(placement.shared_ids),
        optout=item.optout,
        role=entry.role,
        via=entry.via,
    )


def _body(raw: bytes) -> dict[str, Any]:
    try:
        body = read_json(raw)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _replay_flag(entry: RawEntry) -> Mapping[str, Any]:
    """The flag of an exported letter. It is a key to that letter, which no visitor of a page may turn."""
    flag = _body(entry.raw).get("sailpipe") if entry.role is Role.SERVER else None
    return flag if isinstance(flag, dict) and flag.get("replay") is True else _NO_FLAG


def _exported_optout(flag: Mapping[str, Any]) -> OptOutFlag:
    """What the flag of an exported letter says of its optoutValue."""
    match flag.get("optout"):
        case "only":
            return "only"
        case "seen to":
            return "seen to"
        case _:
            return ""


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _key(value: object) -> str:
    """A hash as `dedupe_hash` writes it; '' for anything else."""
    return value if isinstance(value, str) and _KEY.fullmatch(value) else ""
