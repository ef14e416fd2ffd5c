"""Whether Redis is fit to keep events: reachable, new enough, durable, never evicting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import redis
import redis.asyncio

from pipeline.checks.check import Check, Verdict
from pipeline.embedded.binary import MIN_VERSION
from pipeline.errors import WrongFormat
from pipeline.processes.records import own_version
from pipeline.storage.format import check_format_async
from pipeline.storage.keys import FORMAT_NUMBER
from pipeline.storage.redis_errors import explain

WARN_FROM = 0.9
"""Share of MEMORY_HIGH from which `doctor` warns: an outage of some hours may fill the rest."""


async def check_redis(client: redis.asyncio.Redis, where: str, memory_high: float) -> list[Check]:
    """Check Redis by INFO alone, because managed servers refuse CONFIG. where: its address, without a password.
    memory_high: as it is set."""
    try:
        info = await client.info("everything")
        formats = await _format(client)
    except redis.RedisError as error:
        trouble = explain(error)
        return [Check("redis", Verdict.FAIL, f"{where} {trouble.what}", trouble.fix)]
    answers = Check("redis", Verdict.OK, f"{where} answers")
    return [answers, *formats, *judge(info, memory_high)]


async def _format(client: redis.asyncio.Redis) -> list[Check]:
    """What is wrong with the format of its data. A cluster, for example, cannot be asked."""
    try:
        await check_format_async(client, stamp=False)
    except WrongFormat as error:
        return [Check("redis format", Verdict.FAIL, str(error))]
    except redis.ResponseError:
        return []
    return [
        Check("redis format", Verdict.OK, f"{FORMAT_NUMBER}, which sailpipe {own_version()} reads")
    ]


def judge(info: Mapping[str, Any], memory_high: float) -> Iterator[Check]:
    """The checks that INFO's answer allows. No I/O. memory_high: as it is set."""
    yield _version(str(info.get("redis_version", "0.0")), info.get("valkey_version"))
    yield _role(info)
    yield _persistence(info)
    yield _eviction(str(info.get("maxmemory_policy", "noeviction")))
    yield _memory(info, memory_high)


def _version(version: str, valkey: str | None) -> Check:
    """`version` is the Redis whose commands it understands; Valkey names its own beside it."""
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if parts >= MIN_VERSION:
        found = f"{version} (Valkey {valkey})" if valkey else version
        return Check("redis version", Verdict.OK, found)
    wanted = ".".join(map(str, MIN_VERSION))
    return Check("redis version", Verdict.FAIL, f"{version} is too old", f"use {wanted} or newer")


def _role(info: Mapping[str, Any]) -> Check:
    if str(info.get("redis_mode")) == "cluster":
        found, fix = "a cluster, which is not supported", "use one Redis, or Sentinel"
        return Check("redis role", Verdict.FAIL, found, fix)
    if str(info.get("role")) == "slave":
        return Check(
            "redis role", Verdict.FAIL, "a replica", "point SAILPIPE_REDIS_URL at the master"
        )
    return Check("redis role", Verdict.OK, "master")


def _persistence(info: Mapping[str, Any]) -> Check:
    if int(info.get("aof_enabled", 0)):
        if str(info.get("aof_last_write_status", "ok")) != "ok":
            found, fix = "the append-only file cannot be written", "look at the disk of Redis"
            return Check("redis persistence", Verdict.FAIL, found, fix)
        return Check("redis persistence", Verdict.OK, "append-only file")
    found = "no append-only file: events that wait are lost when Redis restarts"
    return Check("redis persistence", Verdict.WARN, found, "set appendonly yes in Redis")


def _eviction(policy: str) -> Check:
    if policy == "noeviction":
        return Check("redis eviction", Verdict.OK, policy)
    found = f"{policy}: a full Redis would drop events"
    return Check("redis eviction", Verdict.FAIL, found, "set maxmemory-policy noeviction in Redis")


def _memory(info: Mapping[str, Any], high: float) -> Check:
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    of = "maxmemory" if most else "the machine's, no maxmemory"
    most = most or int(info.get("total_system_memory", 0))
    share = used / most if most else 0.0
    found = f"{used / 2**20:.0f} MB used, {share:.0%} of {of}"
    if share >= high:
        found, fix = f"{found}: producers are refused", "raise maxmemory, or see what waits and why"
        return Check("redis memory", Verdict.FAIL, found, fix)
    if share >= WARN_FROM * high:
        found = f"{found}: producers are refused from {high:.0%} on"
        return Check(
            "redis memory", Verdict.WARN, found, "raise maxmemory, or see what waits and why"
        )
    return Check("redis memory", Verdict.OK, found)
