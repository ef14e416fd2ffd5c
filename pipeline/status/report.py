"""`status --json`, `/api/status` and the console show this one reading of Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import redis.asyncio

from pipeline.clock import iso
from pipeline.counters import BESIDE, OUTCOME_COUNTS, PARTS, Count, Counters
from pipeline.deadletters.jobs import Jobs
from pipeline.events.models import Lane
from pipeline.gates.gates import Closure, Gates
from pipeline.lanes import SPECS
from pipeline.ownership.accounts import removed_accounts
from pipeline.ratelimit.limiter import Limiter
from pipeline.ratelimit.slots import Usage, pace
from pipeline.ratelimit.store_redis import RedisSlotStore
from pipeline.settings import Settings
from pipeline.status.lanes import look_at_lane
from pipeline.status.owners import Standing, read_owners
from pipeline.status.raw import held_by_account, raw_by_account
from pipeline.storage import keys
from pipeline.storage.redis_client import without_password
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
    full = _full(await client.info("memory"))
    said: Any = await client.get(keys.VERDICT)
    owners = await read_owners(client, names)
    accounts = {}
    for name, table in zip(names, tables, strict=True):
        if only is None or name in only:
            counters = Counters.read(table)
            account = await _account(client, settings, name, counters, now_ms)
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
    return {
        "redis_url": without_password(redis_url),
        "target": settings.target,
        "raw": {"backlog": backlog, "held": held},
        "refusals": await _refusals(client),
        "accounts": accounts,
        "removed_accounts": [
            {"account": one.account, "waiting": one.waiting, "dead": one.letters, "fix": one.fix}
            for one in await removed_accounts(client, names)
        ],
        "unknown_accounts": [
            {"account": one.account, "held": one.events, "why": one.why, "fix": one.fix}
            for one in (await held_by_account(client) if held else [])
        ],
        "jobs": [
            job.as_json(now_ms) for name in accounts for job in await Jobs(client, name).active()
        ],
    }


async def _refusals(client: redis.asyncio.Redis) -> dict[str, int]:
    """Requests that the HTTP servers refused, by code."""
    found: Any = await client.hgetall(keys.REFUSALS)
    return {code.decode(): int(requests) for code, requests in sorted(found.items())}


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
    now_ms: int,
) -> Json:
    limiter = Limiter(RedisSlotStore(client), {name: settings.account(name).limits})
    usage = {one.bucket: one for one in await limiter.usage(name)}
    closures = await Gates(client, name).all_closures(now_ms)
    waiting = counters.by_part(Count.WAITING)
    lanes = {}
    for lane in Lane:
        look = await look_at_lane(client, name, lane, now_ms=now_ms)
        oldest = None if look.oldest_ms is None else max(0, now_ms - look.oldest_ms) / 1000
        lanes[str(lane)] = {
            "backlog": waiting.get(str(lane), 0),
            "oldest_s": oldest,
            "retrying": look.retrying,
            "waiting_email": look.waiting_email,
            "rate": _rate(lane, usage[SPECS[lane].bucket], closures, now_ms),
            "limit": usage[SPECS[lane].bucket].limit,
            "complete": look.complete,
        }
    return {
        "gates": [gate_row(closure) for closure in closures],
        "counts": {},
        "lanes": lanes,
        **{count.value: counters.read_out(count) for count in _APART},
    }


def _rate(lane: Lane, usage: Usage, closures: Sequence[Closure], now_ms: int) -> float:
    """Calls/s that all processes together aim at in this lane; 0 behind a closed gate."""
    closed = any(
        closure.scope in SPECS[lane].scopes and not 0 < closure.until <= now_ms
        for closure in closures
    )
    return 0.0 if closed or usage.closed_until is not None else round(pace(usage.limit), 2)


def _full(memory: Mapping[str, Any]) -> list[Json]:
    """The gate `redis_full`, which no one sets: Redis itself refuses what would need memory."""
    most, used = int(memory.get("maxmemory", 0)), int(memory.get("used_memory", 0))
    if not most or used < most:
        return []
    return [_row("redis", "redis_full", f"{used} of {most} bytes used: new events are refused")]
