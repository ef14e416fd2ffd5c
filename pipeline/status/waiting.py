"""What waits, by cause: for an email, for a retry, behind a gate ... `sailpipe waiting`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import redis.asyncio

from pipeline.clock import iso
from pipeline.events.models import Lane
from pipeline.gates.gates import Gates
from pipeline.lanes import SPECS
from pipeline.mailbox.claim import Entry, seq_order
from pipeline.mailbox.history import EventState
from pipeline.settings import AccountSettings
from pipeline.status.lanes import CHUNK, MAX_DUE_LATER
from pipeline.status.mailboxes import Head, cause, ends_at, stopped_ms
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts

Json: TypeAlias = dict[str, Any]
NAMED: Final = 50
"""People who are named of those that wait."""


@dataclass(frozen=True, slots=True)
class Box:
    """One mailbox that waits. why: one of CAUSES, of its first event. Times are Unix ms; ends: None where nothing ends it."""

    lane: Lane
    user: str
    why: str
    events: int
    accepted: int
    due: int | None
    ends: int | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in some lanes. complete: False when there were more mailboxes than are looked at."""

    boxes: tuple[Box, ...]
    complete: bool

    def rows(self) -> list[Json]:
        """One for each lane and cause, what waits longest first."""
        groups: dict[tuple[str, str], list[Box]] = {}
        for box in self.boxes:
            groups.setdefault((box.lane.value, box.why), []).append(box)
        rows = [_row(lane, why, boxes) for (lane, why), boxes in groups.items()]
        return sorted(rows, key=lambda row: row["oldest"])

    def longest(self) -> list[Box]:
        """The mailboxes that wait longest, NAMED at most."""
        return sorted(self.boxes, key=lambda box: box.accepted)[:NAMED]


async def read_waiting(
    client: redis.asyncio.Redis, settings: AccountSettings, lanes: Iterable[Lane] = Lane
) -> Waiting:
    """Look at the first event of each mailbox; no event leaves Redis for it."""
    found: list[Box] = []
    complete = True
    for lane in lanes:
        boxes, whole = await _read_lane(client, settings, lane)
        found += boxes
        complete = complete and whole
    return Waiting(tuple(found), complete)


async def _read_lane(
    client: redis.asyncio.Redis, settings: AccountSettings, lane: Lane
) -> tuple[list[Box], bool]:
    account = settings.name
    sets = (keys.due(account, lane), keys.due_bulk(account, lane), keys.leased(account, lane))
    async with client.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.hmget(keys.lane(account, lane.value), "stopped", "closed", "tick")
        for name in sets:
            pipe.zrange(name, 0, MAX_DUE_LATER - 1, withscores=True)
            pipe.zcard(name)
        (seconds, micros), clock, due, n, bulk, m, leased, k = await pipe.execute()
    now_ms = seconds * 1000 + micros // 1000
    closures = await Gates(client, account).closures(SPECS[lane].scopes, now_ms)
    gate = closures[0].reason if closures else None
    stopped = stopped_ms(clock, now_ms)
    when = {box.decode(): int(at) for box, at in (*due, *bulk)}
    out = {box.decode() for box, _ in leased}
    names = list(dict.fromkeys((*when, *out)))
    found: list[Box] = []
    scripts = Scripts(client, "pipeline.status")
    for start in range(0, len(names), CHUNK):
        chunk = names[start : start + CHUNK]
        places = (keys.mail, keys.mailbox_state)
        asked = [place(account, lane, box) for box in chunk for place in places]
        rows = await scripts.run("heads", asked, [])
        for user, row in zip(chunk, rows, strict=True):
            if row:
                due_at = None if user in out else when.get(user)
                head = Head(row[2].decode(), due_at, user in out, stopped)
                found.append(_box(lane, user, row, head, settings, gate, now_ms))
    return found, n + m + k <= len(due) + len(bulk) + len(leased)


def _box(
    lane: Lane,
    user: str,
    row: Sequence[Any],
    head: Head,
    settings: AccountSettings,
    gate: str | None,
    now_ms: int,
) -> Box:
    seq, clock, _, tried, events = row
    accepted = seq_order(seq.decode())[0]
    entry = Entry("", seq.decode(), accepted, int(clock or accepted), b"")
    why = cause(head, EventState(tried=int(tried)), now_ms, gate)
    return Box(
        lane, user, why, int(events), accepted, head.due, ends_at(why, entry, head, settings)
    )


def _row(lane: str, why: str, boxes: Sequence[Box]) -> Json:
    tries = [box.due for box in boxes if box.due is not None]
    ends = [box.ends for box in boxes if box.ends is not None]
    return {
        "lane": lane,
        "waits_for": why,
        "people": len(boxes),
        "events": sum(box.events for box in boxes),
        "oldest": iso(min(box.accepted for box in boxes)),
        "next_try": iso(min(tries)) if tries else None,
        "first_ends": iso(min(ends)) if ends else None,
        "last_ends": iso(max(ends)) if ends else None,
    }
