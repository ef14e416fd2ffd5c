"""Whether anything works: signs of life of workers and splitter."""

from __future__ import annotations

from dataclasses import dataclass

import redis.asyncio

from pipeline.events.models import Lane
from pipeline.processes.records import ProcessRole
from pipeline.status.fleet import read_fleet


@dataclass(frozen=True, slots=True)
class Signs:
    """splitter: one lives. workers: by lane, whether one that serves it does."""

    splitter: bool
    workers: dict[str, bool]


async def read_signs(client: redis.asyncio.Redis) -> Signs:
    """As the processes themselves say it."""
    missing = {one.part for one in (await read_fleet(client)).missing}
    return Signs(
        splitter=ProcessRole.SPLITTER.value not in missing,
        workers={str(lane): str(lane) not in missing for lane in Lane},
    )
