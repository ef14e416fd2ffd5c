"""Replays that outlive the terminal: what is asked for, how far it is, and who may change it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import redis.asyncio

from pipeline.clock import iso
from pipeline.errors import SailpipeError
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts

IDS_A_PUSH = 1_000
"""Letters that are put on a job's list in one command."""


class JobState(StrEnum):
    """Where a job stands."""

    FILLING = "filling"
    """Its letters are being listed; nothing is sent."""
    RUNNING = "running"
    PAUSED = "paused"
    ASKING = "asking"
    """Its first letters are sent; a person is to say whether it goes on."""
    STOPPED = "stopped"
    """By a person, or by itself because letters died again: the rest stays dead."""
    DONE = "done"


ENDED = frozenset({JobState.STOPPED, JobState.DONE})


@dataclass(frozen=True, slots=True)
class Job:
    """One replay. Times are Unix milliseconds, 0 for none.

    what: the filter in words. by, why: as in the audit trail. total: letters; sent, gone: of them, back in their
    mailboxes, or not among the dead letters any more. overtaken: left there, because something newer was delivered before
    they left. again, others: of those sent, dead again of the same cause,
    or of another. rate: letters a second, None for as fast as may be. detail: why it stopped.
    """

    id: str
    account: str
    state: JobState
    what: str = ""
    by: str = ""
    why: str = ""
    total: int = 0
    sent: int = 0
    gone: int = 0
    overtaken: int = 0
    again: int = 0
    others: int = 0
    rate: float | None = None
    created_at: int = 0
    began_at: int = 0
    ended_at: int = 0
    detail: str = ""

    @classmethod
    def read(cls, account: str, identity: str, fields: Mapping[bytes, bytes]) -> Job:
        """From its hash."""
        text = {name.decode(): value.decode("utf-8", "replace") for name, value in fields.items()}
        known: dict[str, Any] = {"state": JobState(text["state"])}
        for name in ("what", "by", "why", "detail"):
            known[name] = text.get(name, "")
        for name in (
            "total",
            "sent",
            "gone",
            "overtaken",
            "again",
            "others",
            "created_at",
            "began_at",
            "ended_at",
        ):
            known[name] = int(text.get(name, 0))
        if text.get("rate"):
            known["rate"] = float(text["rate"])
        return cls(id=identity, account=account, **known)

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED

    @property
    def through(self) -> int:
        """How many of its letters it is done with."""
        return self.sent + self.gone + self.overtaken

    def ends_at(self, now_ms: int) -> int | None:
        """When it will be through at the pace it has had so far; None when that is not known."""
        through = self.through
        if self.state is not JobState.RUNNING or not through or not self.began_at:
            return None
        return now_ms + (self.total - through) * max(0, now_ms - self.began_at) // through

    def as_json(self, now_ms: int) -> dict[str, Any]:
        """One line of `dead jobs --json`, and an element of `jobs` in `status`; times are ISO 8601 in UTC."""
        ends_at = self.ends_at(now_ms)
        return {
            "id": self.id,
            "account": self.account,
            "verb": "replay",
            "state": self.state.value,
            "what": self.what,
            "by": self.by,
            "why": self.why or None,
            "total": self.total,
            "sent": self.sent,
            "gone": self.gone,
            "overtaken": self.overtaken,
            "through": self.through,
            "died_again": self.again,
            "died_otherwise": self.others,
            "rate": self.rate,
            "created_at": iso(self.created_at),
            "ended_at": iso(self.ended_at) if self.ended_at else None,
            "ends_at": None if ends_at is None else iso(ends_at),
            "detail": self.detail or None,
        }


class UnknownJob(SailpipeError):
    """There is no job of this id, or only one that ended so long ago that it was forgotten."""


class Jobs:
    """One account's jobs. Connection errors propagate; every verb may be repeated. `time_ms` is for tests."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        account: str,
        *,
        time_ms: Callable[[], int] | None = None,
    ) -> None:
        self.account = account
        self._redis = client
        self._scripts = Scripts(client, "pipeline.deadletters")
        self._prefix = keys.account_prefix(account)
        self._time = time_ms

    def _now(self) -> str:
        return "" if self._time is None else str(self._time())

    async def create(self, identity: str, ids: Sequence[str], **fields: str | float) -> bool:
        """Ask for a job, once for each id; False when it was asked for before. Its letters are sent from now on."""
        told = [part for name, value in fields.items() for part in (name, str(value))]
        args = [self._now(), identity, "total", len(ids), *told]
        if not await self._scripts.run("job_create", [self._prefix], args):
            return False
        for start in range(0, len(ids), IDS_A_PUSH):
            chunk: Any = ids[start : start + IDS_A_PUSH]
            await self._redis.rpush(keys.job_ids(self.account, identity), *chunk)
        await self._change(identity, JobState.RUNNING, {JobState.FILLING})
        return True

    async def get(self, identity: str) -> Job:
        """One job. Raises UnknownJob."""
        fields: Any = await self._redis.hgetall(keys.job(self.account, identity))
        if not fields:
            raise UnknownJob(f"There is no job {identity!r} in account {self.account}.")
        return Job.read(self.account, identity, fields)

    async def latest(self, limit: int) -> list[Job]:
        """The jobs that were asked for last, the newest first."""
        names: Any = await self._redis.zrevrange(keys.jobs(self.account), 0, limit - 1)
        return await self._read(names)

    async def active(self) -> list[Job]:
        """Those that have not ended, the oldest first."""
        names: Any = await self._redis.smembers(keys.jobs_active(self.account))
        return sorted(await self._read(names), key=lambda job: (job.created_at, job.id))

    async def pause(self, identity: str) -> Job:
        """Send no more letters until it is resumed. Raises UnknownJob."""
        return await self._change(identity, JobState.PAUSED, {JobState.RUNNING, JobState.ASKING})

    async def resume(self, identity: str) -> Job:
        """Go on: with one that was paused, or that asks whether it may. Raises UnknownJob."""
        return await self._change(identity, JobState.RUNNING, {JobState.PAUSED, JobState.ASKING})

    async def stop(self, identity: str, why: str = "") -> Job:
        """End it: what was not sent stays dead. Raises UnknownJob."""
        return await self._change(identity, JobState.STOPPED, set(JobState) - ENDED, why)

    async def _change(
        self, identity: str, state: JobState, of: Collection[JobState], why: str = ""
    ) -> Job:
        args = [self._now(), identity, state.value, why, *sorted(of)]
        if await self._scripts.run("job_change", [self._prefix], args) is None:
            raise UnknownJob(f"There is no job {identity!r} in account {self.account}.")
        return await self.get(identity)

    async def _read(self, names: Collection[bytes]) -> list[Job]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hgetall(keys.job(self.account, name.decode()))
            found = await pipe.execute()
        pairs = zip(names, found, strict=True)
        return [Job.read(self.account, name.decode(), fields) for name, fields in pairs if fields]

    async def step(self, identity: str, token: str, lease_ms: int, most: int) -> tuple[str, int]:
        """Send at most so many of its next letters under this lease; returns the job's state (`leased` when another
        process has the lease) and how many are through."""
        args = [self._now(), token, lease_ms, identity, most]
        state, sent, gone = await self._scripts.run("job_step", [self._prefix], args)
        return state.decode(), sent + gone

    async def watch(self, identity: str) -> tuple[int, int]:
        """How many of those that it sent died again: of the same cause, of others."""
        again, others = await self._scripts.run("job_watch", [self._prefix], [identity])
        return int(again), int(others)
