"""The rate limiter of a worker process: every call to Sailthru asks it first."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from redis.exceptions import RedisError

from pipeline.clock import Clock, SystemClock
from pipeline.lanes import KNOWN_BUCKETS
from pipeline.observe.logs import log_event
from pipeline.ratelimit.feedback import MINUTE_S, Headroom, Left, believed_reset
from pipeline.ratelimit.pacer import MIN_RATE, Pacer, SlotTooFar
from pipeline.ratelimit.slots import (
    SHARES,
    Bucket,
    Purpose,
    SlotStore,
    Usage,
    default_limit,
)
from pipeline.sailthru.answers import RateHeaders

__all__ = ["Limiter", "SlotTooFar"]

_SLOWED_BELOW = 0.9
_MIN_CLOSURE_S = 1.0


class Limiter:
    """Slots for all accounts and buckets of one process; lives in one event loop.

    `settings` are the limits set per account (calls/s by bucket). No call may leave without `acquire`,
    which together with the other processes' never lets more than the limit begin in any second.
    """

    def __init__(
        self,
        store: SlotStore,
        settings: Mapping[str, Mapping[str, float]] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._store = store
        self._settings = settings or {}
        self._clock = clock or SystemClock()
        self._pacers: dict[tuple[str, str, Purpose | None], Pacer] = {}
        self._headrooms: dict[tuple[str, str], Headroom] = {}
        self._adopted: dict[tuple[str, str], float] = {}
        self._slowed: dict[tuple[str, str], float] = {}

    def acquire(
        self, account: str, bucket: str, *, purpose: Purpose = "normal", max_wait: float = 2.0
    ) -> Coroutine[Any, Any, None]:
        """To be awaited: it ends when this call's slot is now. Send at once, a slot is good for milliseconds.

        Waits are in order of arrival, carts first. Raises SlotTooFar when the slot is more than
        `max_wait` seconds away, and redis.exceptions.RedisError when Redis does not answer.
        """
        whole = self._pacer(account, bucket)
        if purpose not in SHARES:
            return whole.acquire(urgent=purpose == "cart", max_wait=max_wait)
        return self._acquire_of(self._pacer(account, bucket, purpose), whole, max_wait)

    async def _acquire_of(self, part: Pacer, whole: Pacer, max_wait: float) -> None:
        """A slot of a purpose's share first, then of the bucket."""
        started = self._clock.monotonic()
        if whole.closed_for > max_wait:
            raise SlotTooFar(whole.closed_for)
        await part.acquire(urgent=False, max_wait=max_wait)
        waited = self._clock.monotonic() - started
        await whole.acquire(urgent=False, max_wait=max_wait - waited)

    async def close(self, account: str, bucket: str, until: float) -> None:
        """Sailthru refused (429, error 43): no call before `until`, Unix seconds, in any process.

        It lasts a second at least and a minute at most.
        """
        now = self.now(account, bucket)
        until = max(believed_reset(until, now), now + _MIN_CLOSURE_S)
        self._pacer(account, bucket).close(until - now)
        await self._store.close(account, bucket, until)

    async def observe(
        self, account: str, bucket: str, headers: RateHeaders, *, in_flight: int
    ) -> None:
        """Take in the headers of an answer.

        `in_flight` counts this process's calls of the bucket that have not been answered. Local, but
        for the first sight of a limit and for a minute that is spent; a Redis that is away then is
        no error.
        """
        pacer, headroom = self._pacer(account, bucket), self._headroom(account, bucket)
        now = pacer.now
        headroom.observe(headers, now=now, ours=pacer.total, in_flight=in_flight)
        cap = headroom.cap(now=now)
        if cap is not None and cap < _SLOWED_BELOW * pacer.limit:
            self._log_slowed(account, bucket, headers.reset, cap)
        try:
            if cap is not None and cap < MIN_RATE and not pacer.closed_for:
                await self.close(account, bucket, headroom.ends)
            await self._adopt(account, bucket, headers.limit / MINUTE_S)
        except RedisError:
            # The answer these headers came with counts for more, and the next one repeats them.
            return

    def now(self, account: str, bucket: str) -> float:
        """Unix seconds by Redis' clock, as far as this bucket's slots have shown it: this machine's may be wrong."""
        return self._pacer(account, bucket).now

    def rate(self, account: str, bucket: str) -> float:
        """Calls/s all processes together aim at now; 0 while the bucket is closed."""
        return self._pacer(account, bucket).rate

    def left(self) -> dict[tuple[str, str], Left]:
        """What Sailthru's headers leave of the present minute, by account and bucket, as this process has seen them."""
        seen = {
            (account, bucket): headroom.left(now=self.now(account, bucket))
            for (account, bucket), headroom in self._headrooms.items()
        }
        return {key: left for key, left in seen.items() if left is not None}

    def late(self, account: str, bucket: str) -> int:
        """Slots this process could not use in time: its loop or its machine was too busy."""
        return self._pacer(account, bucket).late

    async def set_limit(self, account: str, bucket: str, limit: float | None) -> None:
        """The operator's limit in calls/s, for every process from its next reservation on; None ends it.

        ValueError when it is not above zero.
        """
        if limit is not None and not 0 < limit < float("inf"):
            msg = f"a limit is a number of calls/s above zero, not {limit}"
            raise ValueError(msg)
        await self._store.set_limit(account, bucket, limit)

    async def usage(self, account: str) -> list[Usage]:
        """How the account's buckets stand: the known ones, and those anyone has set a limit for."""
        names = [*KNOWN_BUCKETS, *self._settings.get(account, {})]
        names += await self._store.operator_buckets(account)
        return await self._store.usage(
            [self._bucket(account, name) for name in dict.fromkeys(names)]
        )

    async def aclose(self) -> None:
        """Cancel all calls that wait for a slot. The store stays open: the caller that made it closes it."""
        await asyncio.gather(*(pacer.aclose() for pacer in self._pacers.values()))

    def _log_slowed(self, account: str, bucket: str, minute: float, cap: float) -> None:
        """Log it once a minute: a lane slowed by another program's calls looks like one that hangs."""
        if self._slowed.get((account, bucket)) != minute:
            self._slowed[account, bucket] = minute
            rate = round(max(0.0, cap), 2)
            log_event("slowed_by_headers", account=account, bucket=bucket, calls_per_s=rate)

    async def _adopt(self, account: str, bucket: str, limit: float) -> None:
        if self._adopted.get((account, bucket)) != limit:
            await self._store.adopt(account, bucket, limit)
            self._adopted[account, bucket] = limit

    def _headroom(self, account: str, bucket: str) -> Headroom:
        return self._headrooms.setdefault((account, bucket), Headroom())

    def _pacer(self, account: str, bucket: str, part: Purpose | None = None) -> Pacer:
        key = (account, bucket, part)
        if key not in self._pacers:
            headroom, slots = self._headroom(account, bucket), self._bucket(account, bucket, part)
            self._pacers[key] = Pacer(slots, self._store, self._clock, headroom)
        return self._pacers[key]

    def _bucket(self, account: str, name: str, part: Purpose | None = None) -> Bucket:
        return Bucket(
            account,
            name,
            part=part or "",
            share=SHARES.get(part, 1.0) if part else 1.0,
            setting=self._settings.get(account, {}).get(name),
            default=default_limit(name),
        )
