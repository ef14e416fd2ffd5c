"""Carries jobs out, beside every splitter; a lease lets one process at a time work on an account's.

What is sent, and that it was, is written by one script. So a process that is killed loses nothing and doubles nothing:
another goes on with the next letter when the lease has run out.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio
import redis.exceptions

from pipeline.clock import Clock
from pipeline.deadletters.jobs import Job, Jobs, JobState
from pipeline.events.models import Lane
from pipeline.observe.logs import log_event
from pipeline.producer import RAW_HOLD
from pipeline.settings import AccountSettings
from pipeline.storage import keys
from pipeline.storage.scripts import is_own_fault
from pipeline.targets import Owner, target_of

LEASE_MS = 5_000
TICK_S = 0.5
IDLE_S = 2.0
"""Between two looks at accounts without a job."""
FIRST_STEP = 10
"""Letters of a job's first tick; each next one sends twice as many, so that letters that die again are few."""
LETTERS_A_TICK = 250
LETTERS_A_SCRIPT = 50
FILLED_WITHIN_MS = 600_000
STOPS_AFTER = 10
"""Letters that died again of the same cause, ..."""
STOPS_AT_SHARE = 4
"""... and one in so many of those that were sent, from which a job stops itself."""


@dataclass(slots=True)
class _Pace:
    """How many letters a job may send in a tick."""

    step: int = FIRST_STEP
    owed: float = 0.0
    at: float = field(default=0.0)

    def take(self, rate: float | None, now: float) -> int:
        if rate is None:
            return self.step
        self.owed = min(self.owed + rate * (now - self.at), max(1.0, rate * IDLE_S))
        self.at = now
        return min(self.step, int(self.owed))


class JobRunner:
    """Carries out the jobs of these accounts, unless another process does or the account is another target's."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        accounts: Mapping[str, AccountSettings],
        token: str,
        clock: Clock,
    ) -> None:
        self._redis = client
        self._jobs = {name: Jobs(client, name) for name in accounts}
        self._targets = {name: target_of(one) for name, one in accounts.items()}
        self._token = token
        self._clock = clock
        self._paces: dict[str, _Pace] = {}

    async def run(self) -> None:
        """Until cancelled. Redis going away is waited out."""
        while True:
            try:
                busy = await self.turn()
            except redis.exceptions.RedisError as error:
                busy = False
                if is_own_fault(error):  # of a Redis that is away the splitter tells
                    log_event("jobs_failed", logging.ERROR, error=type(error).__name__)
            await self._clock.sleep(TICK_S if busy else IDLE_S)

    async def turn(self) -> bool:
        """One tick: a step of each job that runs. Whether there is any."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in self._jobs:
                pipe.scard(keys.jobs_active(name))
            active = await pipe.execute()
        running: list[str] = []
        for name, count in zip(self._jobs, active, strict=True):
            if count and await self._is_ours(name):
                for job in await self._jobs[name].active():
                    if job.state is JobState.RUNNING:
                        running.append(job.id)
                        await self._advance(self._jobs[name], job)
                    elif job.state is JobState.FILLING:
                        await self._give_up_old(self._jobs[name], job)
        self._paces = {name: pace for name, pace in self._paces.items() if name in running}
        return bool(running)

    async def _give_up_old(self, jobs: Jobs, job: Job) -> None:
        """End a job whose letters were never listed to the end: the process that did so is gone."""
        seconds, _ = await self._redis.time()
        if seconds * 1000 > job.created_at + FILLED_WITHIN_MS:
            await jobs.stop(job.id, "its letters were not listed to the end; ask for it again")

    async def _is_ours(self, account: str) -> bool:
        text: Any = await self._redis.get(keys.target(account))
        owner = Owner.read((text or b"").decode("utf-8", "replace"))
        return owner.lets(self._targets[account])

    async def _advance(self, jobs: Jobs, job: Job) -> None:
        now = self._clock.monotonic()
        pace = self._paces.setdefault(job.id, _Pace(at=now))
        if await self._has_died_again(jobs, job) or await self._is_crowded(jobs.account):
            return
        wanted, through = pace.take(job.rate, now), 0
        while through < wanted:
            most = min(LETTERS_A_SCRIPT, wanted - through)
            state, moved = await jobs.step(job.id, self._token, LEASE_MS, most)
            through += moved
            if state != JobState.RUNNING or not moved:
                break
        pace.owed -= through
        pace.step = min(LETTERS_A_TICK, 2 * pace.step) if through else pace.step

    async def _has_died_again(self, jobs: Jobs, job: Job) -> bool:
        again, _ = await jobs.watch(job.id)
        if again < STOPS_AFTER or again * STOPS_AT_SHARE < job.sent:
            return False
        detail = f"{again} of {job.sent} letters died again of the same cause"
        await jobs.stop(job.id, detail)
        log_event(
            "replay_stopped",
            logging.WARNING,
            account=jobs.account,
            job=job.id,
            again=again,
            sent=job.sent,
        )
        return True

    async def _is_crowded(self, account: str) -> bool:
        """Whether so much bulk could go out now already that more would only hide whether letters die again."""
        seconds, micros = await self._redis.time()
        now_ms = seconds * 1000 + micros // 1000
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.xlen(keys.RAW)
            for lane in Lane:
                pipe.zcount(keys.due_bulk(account, lane), "-inf", now_ms)
            return int(sum(await pipe.execute())) >= RAW_HOLD
