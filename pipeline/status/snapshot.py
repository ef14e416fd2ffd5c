"""Everything that metrics and alerts are made of, read from Redis in two round trips, however many accounts there are.

`sailpipe status` looks closer (lanes.py); this is read every few seconds, and says of a lane what costs little to say.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, NamedTuple

import redis.asyncio

from pipeline.calltimes import Histogram, read_histograms
from pipeline.counters import Count, Counters
from pipeline.deadletters.jobs import JobState
from pipeline.gates.gates import Closure, holds, read_closure
from pipeline.lanes import ALL_SCOPES, KNOWN_BUCKETS, Lane
from pipeline.ratelimit.slots import Bucket, Usage, default_limit
from pipeline.ratelimit.store_redis import RedisSlotStore
from pipeline.settings import Settings
from pipeline.status.fleet import FLEET_READS, NO_FLEET, Fleet, ask_fleet, fleet_of
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts
from pipeline.storage.verdict import NO_VERDICT, Verdict
from pipeline.targets import Owner, target_of

SAMPLE = 50
"""Mailboxes of each kind (due, due later, in hand) whose heads are looked at for their age and what they wait for."""
_READS = 7
"""Commands for each lane, in the order of `_ask_lane`."""
_STREAM_ID = re.compile(rb"(\d+)-")


@dataclass(frozen=True, slots=True)
class LaneView:
    """One lane. Times are Unix ms, None when there is none; the mailboxes counted are live ones and bulk.

    backlog: events. due, later, in_hand: mailboxes that could be delivered now, that wait for a time or for something, and
    that a worker has. oldest_ms: when the oldest event seen was accepted. late_ms: since when the live mailbox that is due
    longest has waited for a worker. retrying, waiting_email: of the `sampled` ones.
    """

    backlog: int = 0
    due: int = 0
    later: int = 0
    in_hand: int = 0
    oldest_ms: int | None = None
    late_ms: int | None = None
    sampled: int = 0
    retrying: int = 0
    waiting_email: int = 0


class JobView(NamedTuple):
    """A replay that has not ended, and the letters that it has still to send."""

    state: JobState
    left: int


@dataclass(frozen=True, slots=True)
class AccountView:
    """One account. `is_foreign`: its events are another target's, and left alone. `trimmed_lately`: letters were, within
    the hour. `reused`: orders of a day that had another's id. jobs: replays that have not ended."""

    counters: Counters
    closures: Sequence[Closure] = ()
    usage: Sequence[Usage] = ()
    calls: Mapping[tuple[str, str], Histogram] = field(default_factory=dict)
    lanes: Mapping[Lane, LaneView] = field(default_factory=dict)
    is_foreign: bool = False
    trimmed_lately: bool = False
    reused: int = 0
    jobs: Sequence[JobView] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An installation at one moment (`now_ms`, by Redis' clock).

    raw, held: entries that wait to be split, and of accounts that the splitter does not know. raw_oldest_ms: when the
    oldest of them came. fleet: the processes. memory, memory_max: bytes; 0 without a bound.
    """

    now_ms: int
    raw: int = 0
    held: int = 0
    raw_oldest_ms: int | None = None
    fleet: Fleet = NO_FLEET
    memory: int = 0
    memory_max: int = 0
    refusals: Mapping[str, int] = field(default_factory=dict)
    verdict: Verdict = NO_VERDICT
    alerts_failed: int = 0
    accounts: Mapping[str, AccountView] = field(default_factory=dict)


async def read_snapshot(client: redis.asyncio.Redis, settings: Settings) -> Snapshot:
    """Read it. Raises redis.exceptions.RedisError."""
    names = list(settings.accounts)
    asked = [
        Bucket(
            name,
            bucket,
            setting=settings.account(name).limits.get(bucket),
            default=default_limit(bucket),
        )
        for name in names
        for bucket in KNOWN_BUCKETS
    ]
    usage, (common, tables) = await asyncio.gather(
        RedisSlotStore(client).usage(asked), _first_trip(client, names)
    )
    now_ms = common.now_ms
    looks, jobs = await _second_trip(client, tables, now_ms)
    accounts = {}
    for name, table in tables.items():
        counters = Counters({key.decode(): int(value) for key, value in table.counts.items()})
        backlogs = counters.by_part(Count.WAITING)
        accounts[name] = AccountView(
            counters,
            closures=tuple(one for one in table.closures if holds(one, now_ms)),
            usage=[one for one, bucket in zip(usage, asked, strict=True) if bucket.account == name],
            calls=read_histograms(table.calls),
            lanes={
                lane: _lane_view(
                    table.lanes[lane], looks[name, lane], backlogs.get(lane, 0), now_ms
                )
                for lane in Lane
            },
            is_foreign=not Owner.read(table.owner).lets(target_of(settings.account(name))),
            trimmed_lately=table.trimmed,
            reused=table.reused,
            jobs=jobs[name],
        )
    return Snapshot(**{name: getattr(common, name) for name in _COMMON}, accounts=accounts)


_COMMON: Final = tuple(name for name in Snapshot.__slots__ if name != "accounts")


@dataclass(slots=True)
class _Table:
    """What the first round trip says of one account."""

    counts: Mapping[bytes, bytes]
    calls: Mapping[bytes, bytes]
    owner: str
    trimmed: bool
    reused: int
    jobs: Sequence[bytes]
    closures: list[Closure]
    lanes: dict[Lane, list[Any]]


async def _first_trip(
    client: redis.asyncio.Redis, names: Sequence[str]
) -> tuple[Snapshot, dict[str, _Table]]:
    async with client.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.xlen(keys.RAW)
        pipe.xlen(keys.HELD)
        pipe.xrange(keys.RAW, count=1)
        ask_fleet(pipe)
        pipe.info("memory")
        pipe.hgetall(keys.REFUSALS)
        pipe.get(keys.VERDICT)
        pipe.get(keys.ALERTS_FAILED)
        for name in names:
            _ask_account(pipe, name)
        replies = iter(await pipe.execute())
    (seconds, micros), raw, held, oldest = islice(replies, 4)
    now_ms = seconds * 1000 + micros // 1000
    fleet = fleet_of(now_ms, *islice(replies, FLEET_READS))
    memory, refusals, verdict, failed = islice(replies, 4)
    common = Snapshot(
        now_ms,
        raw,
        held,
        _stream_ms(oldest[0][0]) if oldest else None,
        fleet,
        int(memory.get("used_memory", 0)),
        int(memory.get("maxmemory", 0)),
        {code.decode(): int(count) for code, count in sorted(refusals.items())},
        Verdict.decode(verdict),
        int(failed or 0),
    )
    return common, {name: _table(replies) for name in names}


def _ask_account(pipe: redis.asyncio.client.Pipeline, name: str) -> None:
    pipe.hgetall(keys.counts(name))
    pipe.hgetall(keys.calls(name))
    pipe.get(keys.target(name))
    pipe.exists(keys.dead_told(name))
    pipe.get(keys.orders_reused(name))
    pipe.smembers(keys.jobs_active(name))
    for scope in ALL_SCOPES:
        pipe.hvals(keys.gates(name, scope))
    for lane in Lane:
        _ask_lane(pipe, name, lane)


def _ask_lane(pipe: redis.asyncio.client.Pipeline, name: str, lane: Lane) -> None:
    due, bulk, leased = keys.due(name, lane), keys.due_bulk(name, lane), keys.leased(name, lane)
    pipe.zrange(due, 0, SAMPLE - 1, withscores=True)
    pipe.zrange(due, 0, SAMPLE - 1, desc=True, withscores=True)
    pipe.zrange(bulk, 0, SAMPLE - 1, withscores=True)
    pipe.zrange(leased, 0, SAMPLE - 1, withscores=True)
    pipe.zcard(leased)
    pipe.zcard(due)
    pipe.zcard(bulk)


def _table(replies: Any) -> _Table:
    counts, calls, owner, trimmed, reused, jobs = islice(replies, 6)
    closures = [
        read_closure(value) for scope in islice(replies, len(ALL_SCOPES)) for value in scope
    ]
    lanes = {lane: list(islice(replies, _READS)) for lane in Lane}
    text = (owner or b"").decode("utf-8", "replace")
    more = bool(trimmed), int(reused or 0), sorted(jobs)
    return _Table(counts, calls, text, *more, closures, lanes)


async def _second_trip(
    client: redis.asyncio.Redis, tables: Mapping[str, _Table], now_ms: int
) -> tuple[dict[tuple[str, Lane], Any], dict[str, list[JobView]]]:
    """What is asked for by what the first one said."""
    scripts = Scripts(client, "pipeline.status")
    looks, *jobs = await asyncio.gather(
        _look(scripts, tables, now_ms), *(_jobs(scripts, *one) for one in tables.items())
    )
    return looks, dict(zip(tables, jobs, strict=True))


async def _jobs(scripts: Scripts, account: str, table: _Table) -> list[JobView]:
    fields = ("state", "total", "sent", "gone", "overtaken")
    names = [keys.job(account, one.decode()) for one in table.jobs]
    found = await asyncio.gather(*(scripts.execute("HMGET", name, *fields) for name in names))
    return [
        JobView(JobState(state.decode()), int(total or 0) - sum(int(n or 0) for n in through))
        for state, total, *through in found
        if state
    ]


async def _look(
    scripts: Scripts, tables: Mapping[str, _Table], now_ms: int
) -> dict[tuple[str, Lane], Any]:
    """Of each lane: the mailboxes that are due (live, bulk), and what was seen."""
    asked = {
        (name, lane): asyncio.gather(
            scripts.execute("ZCOUNT", keys.due(name, lane), "-inf", now_ms),
            scripts.execute("ZCOUNT", keys.due_bulk(name, lane), "-inf", now_ms),
            scripts.run("look", _names(name, lane, _sample(read)), []),
        )
        for name, table in tables.items()
        for lane, read in table.lanes.items()
    }
    replies: list[Any] = list(await asyncio.gather(*asked.values()))
    return dict(zip(asked, replies, strict=True))


def _lane_view(read: Sequence[Any], look: Sequence[Any], backlog: int, now_ms: int) -> LaneView:
    first, _, _, _, in_hand, live, bulk = read
    live_due, bulk_due, (oldest, retrying, waiting_email, _) = look
    due = live_due + bulk_due
    return LaneView(
        backlog,
        due,
        max(0, live + bulk - due),
        in_hand,
        int(oldest) or None,
        _past(int(first[0][1]) if first else None, now_ms),
        len(_sample(read)),
        retrying,
        waiting_email,
    )


def _past(at_ms: int | None, now_ms: int) -> int | None:
    return None if at_ms is None or at_ms > now_ms else at_ms


def _sample(read: Sequence[Any]) -> list[str]:
    """Mailboxes that are due longest, due last, bulk, and in hand."""
    first, last, bulk, leased, *_ = read
    seen = [box for box, _ in (*first, *last, *bulk, *leased)]
    return [box.decode() for box in dict.fromkeys(seen)]


def _names(account: str, lane: Lane, boxes: Sequence[str]) -> list[str]:
    kinds = (keys.mail, keys.mailbox_state)
    return [name(account, lane, box) for box in boxes for name in kinds]


def _stream_ms(entry_id: bytes) -> int | None:
    found = _STREAM_ID.match(entry_id)
    return int(found[1]) if found else None
