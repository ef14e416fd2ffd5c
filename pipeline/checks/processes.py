"""Whether anything works on what is accepted: a worker on each lane, a splitter, one version."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import redis
import redis.asyncio

from pipeline.checks.check import Check, Verdict
from pipeline.status.fleet import Fleet, read_fleet
from pipeline.status.headline import describe_missing

_FIX = "start `sailpipe up`, or `sailpipe worker` and `sailpipe splitter`, with this Redis"


async def check_processes(
    client: redis.asyncio.Redis, called: Callable[[str], str] = str
) -> list[Check]:
    """Which processes live. Without Redis there is nothing to say: check_redis does. called: how a lane is named."""
    try:
        return list(judge(await read_fleet(client), called))
    except redis.RedisError:
        return []


def judge(fleet: Fleet, called: Callable[[str], str] = str) -> Iterator[Check]:
    """What is found of them. No I/O."""
    missing = describe_missing(fleet, called)
    for clause in missing:
        yield Check("processes", Verdict.FAIL, f"{clause}: accepted events wait", _FIX)
    if not missing:
        yield Check("processes", Verdict.OK, f"{len(fleet.alive)} run, and each lane is served")
    if len(fleet.versions) > 1:
        found, fix = f"{', '.join(fleet.versions)} run beside each other", "restart the older ones"
        yield Check("versions", Verdict.WARN, found, fix)
