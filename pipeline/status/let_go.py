"""`sailpipe waiting --release` and `--drop`: the mailboxes that wait for one cause, tried now or emptied."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from types import MappingProxyType

import redis.asyncio

from pipeline.clock import Clock
from pipeline.errors import InvalidEvent
from pipeline.events.models import Lane, parse_event
from pipeline.mailbox.claim import Entry
from pipeline.mailbox.moves import Doomed, WaitingMoves
from pipeline.settings import AccountSettings
from pipeline.status.waiting import Box
from pipeline.storage import keys
from pipeline.trace.log import TraceLog
from pipeline.trace.names import event_names
from pipeline.trace.records import Fate, Record, labels_said

CHUNK = 20
"""Mailboxes in one script."""
MAX_EVENTS = 1_000
"""Events of one mailbox that go at a time; the rest waits to be asked about again."""
RELEASED = MappingProxyType(
    {
        "email": "email",
        "user": "user",
        "identify": "identify",
        "order": "order",
        "retry": "",
        "later": "",
    }
)
"""Causes that can be let go, and how a mailbox' state says them."""
DROPPED = MappingProxyType({"email": "email", "user": "user", "retry": ""})
"""The same of causes that events can be dropped for. Of a retry it is the first event that fails; the others would all end so."""


def doomed_events(box: Box) -> int:
    """How many events of a mailbox go when what waits for its cause is dropped. No I/O."""
    return 1 if box.why == "retry" else box.events


async def release(
    client: redis.asyncio.Redis, account: str, boxes: Iterable[Box], on_done: Callable[[int], None]
) -> int:
    """Let them be tried now; returns how many still waited for that."""
    moves, done = WaitingMoves(client, account), 0
    for lane, why, chunk in _chunks(boxes):
        done += await moves.release(lane, RELEASED[why], [box.user for box in chunk])
        on_done(len(chunk))
    return done


async def drop(
    client: redis.asyncio.Redis,
    settings: AccountSettings,
    boxes: Iterable[Box],
    clock: Clock,
    on_done: Callable[[int], None],
) -> int:
    """Remove their events; returns how many went. What is leased or changed meanwhile stays."""
    moves, log, dropped = WaitingMoves(client, settings.name), TraceLog(client, settings.name), 0
    for lane, why, chunk in _chunks(boxes):
        entries = await _entries(client, settings.name, lane, chunk)
        doomed = [Doomed(box.user, found[0].seq, len(found)) for box, found in entries]
        gone = await moves.remove(lane, DROPPED[why], doomed) if doomed else []
        dropped += sum(gone)
        if settings.trace_keep is not None:
            at = int(clock.now() * 1000)
            pairs = [one for one, went in zip(entries, gone, strict=True) if went]
            await log.write(_records(lane, pairs, at), await log.room(settings.trace_max, 1))
        on_done(sum(gone))
    return dropped


async def _entries(
    client: redis.asyncio.Redis, account: str, lane: Lane, boxes: Sequence[Box]
) -> list[tuple[Box, list[Entry]]]:
    async with client.pipeline(transaction=False) as pipe:
        for box in boxes:
            last = min(MAX_EVENTS, doomed_events(box)) - 1
            pipe.lrange(keys.mail(account, lane, box.user), 0, last)
        found = await pipe.execute()
    pairs = zip(boxes, found, strict=True)
    return [(box, [Entry.decode(blob) for blob in blobs]) for box, blobs in pairs if blobs]


def _records(lane: Lane, entries: Iterable[tuple[Box, list[Entry]]], at: int) -> Iterator[Record]:
    for box, found in entries:
        for entry in found:
            try:
                event = parse_event(entry.raw)
            except InvalidEvent:
                event = None
            what = getattr(event, "event", None) or (event.type if event else "")
            names = event_names(entry.id, event, (box.user,))
            head = entry.id, Fate.REMOVED, what, lane.value, box.user, entry.seq, entry.at, at
            way = labels_said(entry.role, bulk=False, replay=entry.replay)
            via = entry.came_by.value
            yield Record(*head, reason=box.why, names=names, way=way, via=via)


def _chunks(boxes: Iterable[Box]) -> Iterator[tuple[Lane, str, list[Box]]]:
    """Mailboxes of one lane and cause together, some at a time."""
    by_kind = sorted(boxes, key=lambda box: (box.lane, box.why))
    for (lane, why), group in groupby(by_kind, key=lambda box: (box.lane, box.why)):
        found = list(group)
        for start in range(0, len(found), CHUNK):
            yield lane, why, found[start : start + CHUNK]
