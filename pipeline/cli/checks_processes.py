"""Whether anything works on what is accepted: a worker on each lane, a splitter, one version."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from pipeline.addresses import resolve_redis_url
from pipeline.cli.checks import Check, Verdict
from pipeline.errors import ConfigError
from pipeline.settings import Settings
from pipeline.status.fleet import Fleet, read_fleet
from pipeline.status.headline import describe_missing
from pipeline.storage.redis_client import open_async_redis

_FIX = "start `sailpipe up`, or `sailpipe worker` and `sailpipe splitter`, with this Redis"


async def check_processes(settings: Settings) -> list[Check]:
    """Which processes live. Without Redis there is nothing to say: check_redis does."""
    try:
        async with open_async_redis(resolve_redis_url(settings)) as client:
            return list(judge(await read_fleet(client)))
    except (ConfigError, redis.RedisError):
        return []


def judge(fleet: Fleet) -> Iterator[Check]:
    """What is found of them. No I/O."""
    missing = describe_missing(fleet)
    for clause in missing:
        yield Check("processes", Verdict.FAIL, f"{clause}: accepted events wait", _FIX)
    if not missing:
        yield Check("processes", Verdict.OK, f"{len(fleet.alive)} run, and each lane is served")
    if len(fleet.versions) > 1:
        found, fix = f"{', '.join(fleet.versions)} run beside each other", "restart the older ones"
        yield Check("versions", Verdict.WARN, found, fix)
