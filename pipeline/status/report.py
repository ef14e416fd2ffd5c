"""`status --json`, `/api/status` and the console show this one reading of Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import redis.asyncio
from redis.exceptions import NoPermissionError, ResponseError

from pipeline.clock import iso
from pipeline.counters import BESIDE, OUTCOME_COUNTS, PARTS, Count, Counters
from pipeline.deadletters.jobs import Jobs
from pipeline.events.models import Lane
from pipeline.gates.gates import PROBED, Closure, Gates
from pipeline.lanes import SPECS
from pipeline.ownership.accounts import removed_accounts
from pipeline.processes.history import Sample, read_samples
from pipeline.processes.records import HeadersSeen, own_version
from pipeline.ratelimit.limiter import Limiter
from pipeline.ratelimit.slots import Usage, pace
from pipeline.ratelimit.store_redis import RedisSlotStore
from pipeline.settings import Settings
from pipeline.status.erasures import unfinished_erasures
from pipeline.status.fleet import Fleet, process_row, read_fleet
from pipeline.status.headline import headline, needs_person
from pipeline.status.lanes import Look, look_at_lane
from pipeline.status.outlook import WINDOW, delivered_per_minute, measure, outlook
from pipeline.status.owners import Standing, read_owners
from pipeline.status.raw import held_by_account, raw_by_account
from pipeline.status.refused import read_marks, refused_since
from pipeline.storage import keys
from pipeline.storage.redis_client import without_password
from pipeline.storage.redis_errors import explain
from pipeline.storage.scripts import Scripts
from pipeline.storage.verdict import Verdict
from pipeline.targets import target_of

Json: TypeAlias = dict[str, Any]
_APART = tuple(
    count for count in Count if count in PARTS.keys() | BESIDE and count is not Count.WAITING
)
"""Counters that stand by themselves; what waits stands with the lanes."""


async def read_status(
    client: redis.asyncio.Redis,
    settings: Settings,
    redis_url: str,
    *,
    only: Sequence[str] | None = None,
) -> Json:
    """How everything stands, in the shape of `status --json`. `only` names the accounts that are shown.

    Counters and backlog are read at one moment, so that `enqueued` never misses an event that
    is on its way from one to the other. What lanes wait for is read after them.
    """
    names = list(settings.accounts)
    wanted = [keys.RAW, keys.HELD, *map(keys.counts, names)]
    seconds, micros, backlog, held, *tables = await Scripts(client, "pipeline.status").run(
        "counts", wanted, []
    )
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    raw = await raw_by_account(client, names, backlog, held)
    full = await _redis_rows(client)
    said: Any = await client.get(keys.VERDICT)
    owners = await read_owners(client, names)
    fleet = await read_fleet(client)
    accounts = {}
    for name, table in zip(names, tables, strict=True):
        if only is None or name in only:
            counters = Counters.read(table)
            account = await _account(client, settings, name, counters, fleet)
            account["counts"] = count_up(counters, raw.get(name, 0))
            account["gates"] += [*full, *refusal_rows(Verdict.decode(said), name)]
            standing = Standing(
                name,
                owners[name],
                target_of(settings.account(name)),
                waiting=account["counts"]["waiting"],
                letters=account["counts"]["dead"],
            )
            account["ownership"] = ownership_row(standing)
            accounts[name] = account
    oldest_s = await _oldest_raw(client, now_ms)
    refusals = await _refusals(client)
    found = {
        "headline": headline(fleet, accounts),
        "version": own_version(),
        "format": keys.FORMAT_NUMBER,
        "redis_url": without_password(redis_url),
        "target": settings.target,
        "raw": {"backlog": backlog, "held": held, "oldest_s": oldest_s},
        "processes": [process_row(one) for one in fleet.alive],
        "refusals": refusals,
        "refused_lately": await _refused_lately(client, sum(refusals.values()), now_ms),
        "accounts": accounts,
        "removed_accounts": [
            {"account": one.account, "waiting": one.waiting, "dead": one.letters, "fix": one.fix}
            for one in await removed_accounts(client, names)
        ],
        "unfinished_erasures": [
            {"account": one.account, "people": one.people, "why": one.why, "fix": one.fix}
            for one in await unfinished_erasures(client, list(accounts))
        ],
        "unknown_accounts": [
            {"account": one.account, "held": one.events, "why": one.why, "fix": one.fix}
            for one in (await held_by_account(client) if held else [])
        ],
        "jobs": [
            job.as_json(now_ms) for name in accounts for job in await Jobs(client, name).active()
        ],
    }
    return {**found, "needs_person": needs_person(fleet, found)}


async def _oldest_raw(client: redis.asyncio.Redis, now_ms: int) -> float | None:
    """For how long the oldest entry of the raw stream has waited (s); its id says when it came."""
    first: Any = await client.xrange(keys.RAW, count=1)
    return max(0, now_ms - int(first[0][0].partition(b"-")[0])) / 1000 if first else None


async def _refusals(client: redis.asyncio.Redis) -> dict[str, int]:
    """Requests that the HTTP servers refused, by code."""
    found: Any = await client.hgetall(keys.REFUSALS)
    return {code.decode(): int(requests) for code, requests in sorted(found.items())}


async def _refused_lately(client: redis.asyncio.Redis, total: int, now_ms: int) -> int:
    """Of these how many in the last five minutes, as the watch for alerts has seen them grow."""
    stored: Any = await client.get(keys.ALERTS_REFUSED)
    return refused_since(read_marks(stored, now_ms), total)


def count_up(counters: Counters, raw: int) -> dict[str, int]:
    """The eight counts of an account. `enqueued` and `derived` are the sum of the other six by definition."""
    outcomes = {count.value: counters.total(count) for count in OUTCOME_COUNTS}
    outcomes[Count.WAITING.value] += raw
    derived = counters.total(Count.DERIVED)
    return {"enqueued": sum(outcomes.values()) - derived, Count.DERIVED.value: derived, **outcomes}


def ownership_row(standing: Standing) -> Json:
    """Whose an account's events are (`owner`; None before any was delivered) and what these settings deliver
    to. `foreign`: they are another target's, or a command works on them, and are left alone; `why` and
    `fix` say so for people, None otherwise."""
    owner, foreign = standing.owner.target, standing.is_foreign
    return {
        "owner": owner.name if owner else None,
        "target": standing.target.name,
        "foreign": foreign,
        "why": standing.why if foreign else None,
        "fix": standing.fix if foreign else None,
    }


def gate_row(closure: Closure) -> Json:
    """One reason why a gate is closed; `until` is None if it lasts until an operator removes it."""
    return {
        "scope": closure.scope,
        "reason": closure.reason,
        "until": iso(closure.until) if closure.until else None,
        "since": iso(closure.since),
        "detail": closure.detail,
    }


def refusal_rows(verdict: Verdict, account: str) -> list[Json]:
    """The gates `memory_high` and `lane_full`, before which producers stand; what is accepted is delivered."""
    rows = []
    if verdict.memory is not None:
        detail = f"{verdict.memory}% of its memory in use: new events are refused"
        rows.append(_row("redis", "memory_high", detail))
    for lane, waiting in verdict.lanes.get(account, {}).items():
        rows.append(_row(lane, "lane_full", f"{waiting} events wait: new ones are refused"))
    return rows


def _row(scope: str, reason: str, detail: str) -> Json:
    return {"scope": scope, "reason": reason, "until": None, "since": None, "detail": detail}


async def _account(
    client: redis.asyncio.Redis,
    settings: Settings,
    name: str,
    counters: Counters,
    fleet: Fleet,
) -> Json:
    now_ms = fleet.now_ms
    limiter = Limiter(RedisSlotStore(client), {name: settings.account(name).limits})
    usage = {one.bucket: one for one in await limiter.usage(name)}
    closures = await Gates(client, name).all_closures(now_ms)
    waiting = counters.by_part(Count.WAITING)
    samples = await read_samples(client, name, WINDOW)
    lanes = {}
    for lane in Lane:
        look = await look_at_lane(client, name, lane, now_ms=now_ms)
        bucket = usage[SPECS[lane].bucket]
        opens = _opens_at(lane, bucket, closures, now_ms)
        moves_at = opens if fleet.missing_since(str(lane)) is None else None
        lanes[str(lane)] = {
            **_waits(waiting.get(str(lane), 0), look, now_ms),
            "rate": 0.0
            if opens != now_ms or _is_probed(lane, closures)
            else round(pace(bucket.limit), 2),
            "limit": bucket.limit,
            "headers": headers_row(fleet.headers(name, SPECS[lane].bucket)),
            **_prospect(lane, waiting.get(str(lane), 0), look, samples, bucket, moves_at, now_ms),
        }
    per_minute = delivered_per_minute(samples, now_ms)
    return {
        "gates": [gate_row(closure) for closure in closures],
        "counts": {},
        "lanes": lanes,
        "delivered_per_minute": None if per_minute is None else round(per_minute),
        "folded_today": samples[-1].folded_today
        if samples and samples[-1].is_of_day(now_ms)
        else 0,
        **{count.value: counters.read_out(count) for count in _APART},
    }


def _waits(backlog: int, look: Look, now_ms: int) -> Json:
    return {
        "backlog": backlog,
        "oldest_s": None if look.oldest_ms is None else max(0, now_ms - look.oldest_ms) / 1000,
        "retrying": look.retrying,
        "waiting_email": look.waiting_email,
        "waiting_other": look.waiting_other,
        "late_s": 0.0 if look.due_ms is None else max(0, now_ms - look.due_ms) / 1000,
        "complete": look.complete,
    }


def headers_row(seen: HeadersSeen | None) -> Json | None:
    """What Sailthru's headers leave of this minute's calls, and calls/s of others on the account; None without any."""
    if seen is None:
        return None
    return {
        "limit": seen.limit,
        "remaining": seen.remaining,
        "ends": iso(int(seen.ends * 1000)),
        "others": seen.others,
    }


def _prospect(
    lane: Lane,
    backlog: int,
    look: Look,
    samples: Sequence[Sample],
    bucket: Usage,
    opens: int | None,
    now_ms: int,
) -> Json:
    """measured: calls/s of the last 45 s. clears_at: when the lane will be empty, if prospect is `clears`."""
    measured = measure(samples, lane, now_ms)
    due = backlog - look.resting
    found = outlook(due, measured, pace(bucket.limit), opens_at_ms=opens, now_ms=now_ms)
    return {
        "measured": None if measured is None else round(measured.calls, 2),
        "prospect": found.prospect.value,
        "clears_at": None if found.clears_at_ms is None else iso(found.clears_at_ms),
    }


def _is_probed(lane: Lane, closures: Sequence[Closure]) -> bool:
    """Whether a gate of this lane waits for the answer to one call: its time is up, and it is closed all the same."""
    return any(one.reason in PROBED and one.scope in SPECS[lane].scopes for one in closures)


def _opens_at(lane: Lane, usage: Usage, closures: Sequence[Closure], now_ms: int) -> int | None:
    """When a lane may make calls again (Unix ms): now if it may; None if that takes a person."""
    until = [closure.until for closure in closures if closure.scope in SPECS[lane].scopes]
    if usage.closed_until is not None:
        until.append(int(usage.closed_until * 1000))
    return None if 0 in until else max([now_ms, *until])


async def _redis_rows(client: redis.asyncio.Redis) -> list[Json]:
    """The gates of Redis, which no one sets: `redis_full` while it refuses what would need memory, and
    `redis_read_only`, `redis_no_replicas` … while it takes no write at all."""
    memory = await client.info("memory")
    most, used = int(memory.get("maxmemory", 0)), int(memory.get("used_memory", 0))
    if most and used >= most:
        return [_row("redis", "redis_full", f"{used} of {most} bytes used: new events are refused")]
    try:
        # Redis refuses this as it would an event, but makes no stream.
        await client.xadd(keys.RAW_PROBE, {"event": ""}, nomkstream=True)
    except NoPermissionError:  # a user that may only look
        return []
    except ResponseError as error:
        trouble = explain(error)
        return [_row("redis", f"redis_{trouble.code}", f"it {trouble.what}: {trouble.fix}")]
    return []
