"""Slots of a single process, for tests and dry runs."""

from __future__ import annotations

from dataclasses import replace

from pipeline.clock import Clock
from pipeline.ratelimit.slots import MICROS, Ask, Bucket, Grant, State, Usage, take, usage_of


class MemorySlotStore:
    """A SlotStore in a dict. Limiters that share one behave like processes that share a Redis."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = 0
        self._states: dict[tuple[str, str, str], State] = {}
        self._limits: dict[tuple[str, str], float] = {}

    async def reserve(self, bucket: Bucket, ask: Ask) -> Grant:
        """Take slots."""
        state, grant = take(self._state(bucket), bucket, ask, self._now())
        self._states[bucket.account, bucket.name, bucket.part] = state
        return grant

    async def close(self, account: str, bucket: str, until: float) -> None:
        """Give no slots before `until`, Unix seconds."""
        state = self._state(Bucket(account, bucket))
        closed = max(state.closed, int(until * MICROS))
        self._states[account, bucket, ""] = replace(state, closed=closed)

    async def adopt(self, account: str, bucket: str, limit: float | None) -> None:
        """Remember the calls/s that a Limit header named."""
        state = self._state(Bucket(account, bucket))
        self._states[account, bucket, ""] = replace(state, adopted=limit)

    async def set_limit(self, account: str, bucket: str, limit: float | None) -> None:
        """The operator's calls/s, or None for no more."""
        self._limits.pop((account, bucket), None)
        if limit is not None:
            self._limits[account, bucket] = limit

    async def operator_buckets(self, account: str) -> list[str]:
        """The buckets an operator has set a limit for."""
        return [bucket for owner, bucket in self._limits if owner == account]

    async def usage(self, buckets: list[Bucket]) -> list[Usage]:
        """How these buckets stand."""
        return [usage_of(self._state(bucket), bucket, self._now()) for bucket in buckets]

    def _now(self) -> int:
        return int(self._clock.now() * MICROS)

    def _state(self, bucket: Bucket) -> State:
        state = self._states.get((bucket.account, bucket.name, bucket.part))
        whole = self._states.get((bucket.account, bucket.name, ""))
        return replace(
            state or State(began=self._began),
            adopted=whole.adopted if whole else None,
            operator=self._limits.get((bucket.account, bucket.name)),
        )
