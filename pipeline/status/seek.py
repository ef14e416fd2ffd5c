"""Finds an event that waits, in the raw stream or a mailbox, by its messageId or the id of its order.

There is no index of what waits: that would cost each event something. All that waits is looked through, in steps of some
milliseconds of Redis' time, until the time for it is over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import redis.asyncio

from pipeline.clock import Clock
from pipeline.errors import InvalidEvent
from pipeline.events.models import Event, Lane, parse_event
from pipeline.mailbox.claim import Entry
from pipeline.ownership.keyspace import each_member
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts
from pipeline.trace.names import event_order
from pipeline.ways_in import WayIn

SEEK_FOR_S = 10.0
"""For so long is looked: about two million events."""
BOXES = 50
"""Mailboxes in one script, unless they hold too much."""


@dataclass(frozen=True, slots=True)
class Sought:
    """Where the event lies. lane, user: of the mailboxes; raw: stream entries (id, event, way in). complete: all was looked through."""

    boxes: tuple[tuple[Lane, str], ...]
    raw: tuple[tuple[str, Event | None, WayIn], ...]
    complete: bool


async def seek(client: redis.asyncio.Redis, account: str, identity: str, clock: Clock) -> Sought:
    """Look through all that waits, SOUGHT_ENTRIES events of each mailbox."""
    until = clock.monotonic() + SEEK_FOR_S
    scripts = Scripts(client, "pipeline.status")
    raw: list[tuple[str, Event | None, WayIn]] = []
    boxes: list[tuple[Lane, str]] = []
    begin, is_whole = "-", True
    while begin and clock.monotonic() < until:
        on, *flat = await scripts.run("seek_raw", [keys.RAW], [identity, begin])
        begin = on.decode()
        for sid, text, owner, via in zip(*(flat[n::4] for n in range(4)), strict=True):
            event = _read(text)
            is_it = sid.decode() == identity or _is(event, identity)
            if owner.decode("utf-8", "replace") == account and is_it:
                raw.append((sid.decode(), event, WayIn.read(via)))
    async for lane, names in _mailboxes(client, account):
        left, offset = names, 0
        while left and clock.monotonic() < until:
            found = [keys.mail(account, lane, name) for name in left]
            on, offset, deeper, *flat = await scripts.run("seek", found, [identity, offset])
            is_whole = is_whole and not deeper
            for at, blob in zip(flat[::2], flat[1::2], strict=True):
                entry = Entry.decode(blob)
                if entry.id == identity or _is(_read(entry.raw), identity):
                    boxes.append((lane, left[at - 1]))
            left = left[on - 1 :] if on else []
        if clock.monotonic() >= until:
            break
    is_whole = is_whole and clock.monotonic() < until
    return Sought(tuple(dict.fromkeys(boxes)), tuple(raw), is_whole)


async def _mailboxes(
    client: redis.asyncio.Redis, account: str
) -> AsyncIterator[tuple[Lane, list[str]]]:
    for lane in Lane:
        for name in (keys.due, keys.due_bulk, keys.leased):
            async for names in each_member(client, name(account, lane), BOXES):
                yield lane, [one.decode("utf-8", "replace") for one in names]


def _read(raw: bytes) -> Event | None:
    try:
        return parse_event(raw)
    except InvalidEvent:
        return None


def _is(event: Event | None, identity: str) -> bool:
    return event is not None and identity in (event.message_id, event_order(event))
