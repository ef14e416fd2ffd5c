"""What `top` shows and does: the same reading as `status --watch`, and the same verbs as `pause` and `resume`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from pipeline.cli.dead_options import person
from pipeline.deadletters.audit import Act, AuditTrail
from pipeline.events.models import Lane
from pipeline.processes.history import Sample, read_samples
from pipeline.settings import Settings
from pipeline.status.report import read_status
from pipeline.status.waiting import Waiting, read_waiting
from pipeline.storage.redis_errors import describe
from pipeline.verbs import pausing

PLOTTED = 60
"""Samples that are plotted: 15 minutes of them."""


@dataclass(frozen=True, slots=True)
class Reading:
    """status: the shape of `status --json`. samples: of each account, the oldest first."""

    status: Mapping[str, Any]
    samples: Mapping[str, Sequence[Sample]]


class Source:
    """One Redis. Connection errors propagate."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        settings: Settings,
        redis_url: str,
        only: Sequence[str] | None = None,
    ) -> None:
        self._redis = client
        self._settings = settings
        self._url = redis_url
        self._only = only

    async def read(self) -> Reading:
        """How everything stands now."""
        status = await read_status(self._redis, self._settings, self._url, only=self._only)
        samples = {
            name: await read_samples(self._redis, name, PLOTTED) for name in status["accounts"]
        }
        return Reading(status, samples)

    async def waiting(self, account: str, lane: Lane) -> Waiting:
        """What waits in a lane, by cause."""
        return await read_waiting(self._redis, self._settings.account(account), [lane])

    async def pause(self, account: str, lane: Lane, why: str) -> None:
        """Stop delivering in a lane, and write down who did and why."""
        by = person()
        if await pausing.pause(self._redis, account, lane.value, by, why):
            act = Act(by, "pause", lane.value, 1, why)
            await AuditTrail(self._redis, account).record(act)

    async def resume(self, account: str, lane: Lane) -> None:
        """End a lane's pause or brake."""
        if await pausing.resume(self._redis, account, lane.value):
            await AuditTrail(self._redis, account).record(Act(person(), "resume", lane.value, 1))

    def describe(self, error: redis.exceptions.RedisError) -> str:
        """What is wrong with Redis, and what to do, in one sentence."""
        return describe(error, self._url)
