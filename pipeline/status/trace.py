"""What happened to one event: from its arrival to its end, or to what it waits for. `sailpipe trace` and /api/trace."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import redis.asyncio

from pipeline.clock import Clock, iso
from pipeline.deadletters.store import DeadLetters
from pipeline.events.models import Lane
from pipeline.mailbox.claim import seq_order
from pipeline.settings import AccountSettings
from pipeline.status.mailboxes import read_mailbox
from pipeline.status.seek import seek
from pipeline.trace.log import Kept, TraceLog
from pipeline.trace.names import message_name, order_name, person_name
from pipeline.trace.records import Fate, MadeCall, Record
from pipeline.ways_in import WayIn

Json: TypeAlias = dict[str, Any]
_ENDS = frozenset({Fate.DELIVERED, Fate.IGNORED, Fate.DUPLICATE, Fate.REMOVED})


async def trace_event(
    client: redis.asyncio.Redis, settings: AccountSettings, identity: str, clock: Clock
) -> Json:
    """Everything that is known of a messageId or order id.

    events: one for each time that something with this id arrived, the oldest first. seen: whether there is any. log: since
    when outcomes are kept; None while none are. complete: whether all that waits was looked through.
    """
    log = TraceLog(client, settings.name)
    records = await log.find([message_name(identity), order_name(identity)])
    events = [await _with_fold(log, one, records) for one in _by_arrival(records)]
    letters = await _letters(client, settings.name, [identity, *(one.id for one in records)])
    waiting, complete = await _waiting(client, settings, identity, records, letters, clock)
    for event in events:
        event["letter"] = letters.pop(event["id"], None) if event["fate"] == Fate.DEAD else None
        event["waiting"] = waiting.pop(event["seq"], None)
    events += [_only_waiting(one) for one in waiting.values()]
    events += [_only_letter(letter) for letter in letters.values()]
    return {
        "id": identity,
        "account": settings.name,
        "seen": bool(events),
        "events": sorted(events, key=lambda one: one["arrived"] or ""),
        "log": log_row(await log.kept(), settings),
        "complete": complete,
    }


def log_row(kept: Kept, settings: AccountSettings) -> Json | None:
    """Since when the log of outcomes can say something. None when there is none."""
    if settings.trace_keep is None or kept.began is None:
        return None
    since = kept.complete_since
    return {
        "complete_since": iso(since) if since else None,
        "since": {part.value: iso(at) for part, at in kept.since.items()},
        "lost": iso(kept.lost) if kept.lost else None,
        "bytes": kept.bytes,
        "records": kept.records,
    }


def outcome_row(record: Record) -> Json:
    """One record, as programs are shown it."""
    return {
        "id": record.id,
        "what": record.what or None,
        "fate": record.fate.value,
        "reason": record.reason or None,
        "lane": record.lane or None,
        "user": record.user or None,
        "via": record.via or None,
        "way": record.way.split(),
        "seq": record.seq,
        "arrived": iso(record.accepted),
        "at": iso(record.at),
        "next_try": iso(record.due) if record.due else None,
        "tries": record.tries,
        "calls": [_call(call) for call in record.calls],
    }


def _call(call: MadeCall) -> Json:
    fields = {"endpoint": call.endpoint, "status": call.status, "ms": call.ms}
    return {"at": iso(call.at), **fields}


def _by_arrival(records: Iterable[Record]) -> list[list[Record]]:
    """What is said of one arrival goes together."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.seq, []).append(record)
    return [found[seq] for seq in sorted(found, key=seq_order)]


async def _with_fold(log: TraceLog, steps: Sequence[Record], all_: Sequence[Record]) -> Json:
    """One arrival: its last word, the steps to it, what it was folded with and what it is a repeat of."""
    last = steps[-1]
    folded: list[str] = []
    if last.fold:
        of_person = await log.find([person_name(last.user)], parts=[last.part])
        folded = [r.id for r in of_person if r.fold == last.fold and r.seq != last.seq]
    is_repeat = last.fate is Fate.DUPLICATE or last.reason == "duplicate_order"
    before = [one for one in all_ if one.seq != last.seq and one.fate is not Fate.DUPLICATE]
    repeats = before[-1].id if is_repeat and before else None
    # A repeat has the id of what it repeats: of an order another event may have it.
    return outcome_row(last) | {
        "steps": [outcome_row(one) for one in steps],
        "folded_with": folded,
        "repeats": last.id if is_repeat and repeats is None else repeats,
    }


async def _letters(
    client: redis.asyncio.Redis, account: str, ids: Iterable[str]
) -> dict[str, Json]:
    """The dead letters that there are now of these messageIds, by their ids."""
    store, names = DeadLetters(client, account), dict[str, None]()
    for identity in dict.fromkeys(ids):
        names |= dict.fromkeys(await store.named(identity))
    return {letter.id: letter.as_row() async for letter in store.read(names)}


async def _waiting(
    client: redis.asyncio.Redis,
    settings: AccountSettings,
    identity: str,
    records: Sequence[Record],
    letters: Collection[str],
    clock: Clock,
) -> tuple[dict[str, Json], bool]:
    """What has this id and waits, by `seq`; and whether all that waits was looked through, if it had to be.

    It need not where the log or a letter says of everything what became of it, or in which mailbox it waits.
    """
    last = {record.seq: record for record in records}
    open_ = [one for one in last.values() if one.fate is Fate.WAITS and one.lane]
    ids = {identity, *(one.id for one in open_)}
    boxes = {(Lane(one.lane), one.user) for one in open_}
    found = await _in_mailboxes(client, settings, boxes, ids)
    known = [_is_known(one, found, letters) for one in last.values()]
    if all(known) and (known or letters):
        return found, True
    sought = await seek(client, settings.name, identity, clock)
    found |= await _in_mailboxes(client, settings, set(sought.boxes) - boxes, ids)
    for sid, event, via in sought.raw:
        found[sid] = _in_raw(identity, sid, event, via)
    return found, sought.complete


def _is_known(record: Record, waiting: Collection[str], letters: Collection[str]) -> bool:
    """Whether it is clear where the event of a last word is now."""
    if record.fate is Fate.WAITS:
        return record.seq in waiting
    return record.fate in _ENDS or record.id in letters


async def _in_mailboxes(
    client: redis.asyncio.Redis,
    settings: AccountSettings,
    boxes: Iterable[tuple[Lane, str]],
    ids: set[str],
) -> dict[str, Json]:
    """The events with these ids in some mailboxes, by `seq`."""
    found: dict[str, Json] = {}
    for lane, user in sorted(boxes):
        _, rows = await read_mailbox(client, settings, lane, user, ids)
        found |= {row["seq"]: row | {"lane": lane.value, "user": user} for row in rows}
    return found


def _in_raw(identity: str, sid: str, event: Any, via: WayIn) -> Json:
    return {
        "id": identity,
        "what": getattr(event, "event", None) or getattr(event, "type", None),
        "lane": None,
        "user": None,
        "seq": sid,
        "arrived": iso(seq_order(sid)[0]),
        "via": via.value,
        "waits_for": "split",
        "ahead": None,
        "next_try": None,
        "ends": None,
        "tries": 0,
    }


def _only_waiting(row: Mapping[str, Any]) -> Json:
    """An arrival of which the log says nothing yet."""
    names = ("id", "what", "lane", "user", "seq", "arrived", "via", "next_try", "tries")
    return (
        _bare() | {name: row[name] for name in names} | {"fate": Fate.WAITS.value, "waiting": row}
    )


def _only_letter(letter: Mapping[str, Any]) -> Json:
    """A letter whose death the log does not know any more."""
    return _bare() | {
        "id": letter["id"],
        "what": letter["event"] or letter["type"],
        "lane": letter["lane"],
        "user": letter["user"] or None,
        "fate": Fate.DEAD.value,
        "reason": letter["reason"],
        "arrived": letter["first_seen"],
        "at": letter["died_at"],
        "tries": letter["attempts"],
        "letter": letter,
    }


def _bare() -> Json:
    """An arrival of which nothing is known."""
    names = ("reason", "at", "via", "next_try", "repeats", "letter", "waiting", "seq")
    nothing = dict.fromkeys(names)
    return {**nothing, "way": [], "calls": [], "steps": [], "folded_with": []}
