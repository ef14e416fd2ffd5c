"""Slots shared by every process of an installation: one small script per reservation, in Redis' time."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from pipeline.clock import Clock
from pipeline.ratelimit.slots import (
    FAST,
    MAX_AHEAD,
    MICROS,
    RESTART_PAUSE,
    SLACK_FAST,
    SLACK_SLOW,
    Ask,
    Bucket,
    Grant,
    Source,
    State,
    Usage,
    usage_of,
)
from pipeline.storage import keys
from pipeline.storage.scripts import source

_FIELDS = ("free_at", "closed", "total", "minute", "at_minute", "before", "seen")


class RedisSlotStore:
    """A SlotStore in Redis. Raises redis.exceptions.RedisError as it comes: nothing is retried here.

    A Redis that restarts may have lost the last second, and with it slots that are still to be used. It
    has also lost its scripts. So the process that finds the script unknown says so in the very call that
    brings the script back, and no bucket gives a slot for RESTART_PAUSE. By then all forgotten ones are
    past.
    """

    def __init__(self, redis: Redis, clock: Clock | None = None) -> None:
        """`clock` replaces Redis' own time; tests only."""
        self._redis = redis
        self._clock = clock
        self._reserve = source("pipeline.ratelimit/reserve")
        self._close = source("pipeline.ratelimit/close")
        self._reserve_sha = hashlib.sha1(self._reserve.encode(), usedforsecurity=False).hexdigest()

    async def reserve(self, bucket: Bucket, ask: Ask) -> Grant:
        """Take slots, in one round trip."""
        names = _names(bucket)
        try:
            reply = await self._redis.evalsha(
                self._reserve_sha,
                len(names),
                *names,
                *self._arguments(bucket, ask, restarted=False),
            )
        except NoScriptError:
            reply = await self._redis.eval(
                self._reserve, len(names), *names, *self._arguments(bucket, ask, restarted=True)
            )
        return _grant(reply)

    async def close(self, account: str, bucket: str, until: float) -> None:
        """Give no slots before `until`, Unix seconds."""
        key = keys.slots(account, bucket)
        await self._redis.eval(self._close, 1, key, str(int(until * MICROS)))

    async def adopt(self, account: str, bucket: str, limit: float | None) -> None:
        """Remember the calls/s that a Limit header named."""
        await self._put(keys.slots(account, bucket), "adopted", limit)

    async def set_limit(self, account: str, bucket: str, limit: float | None) -> None:
        """The operator's calls/s, or None for no more. Counts from the next reservation on."""
        await self._put(keys.limits(account), bucket, limit)

    async def operator_buckets(self, account: str) -> list[str]:
        """The buckets an operator has set a limit for."""
        names = await cast("Awaitable[list[Any]]", self._redis.hkeys(keys.limits(account)))
        return [_text(name) for name in names]

    async def usage(self, buckets: list[Bucket]) -> list[Usage]:
        """How these buckets stand, in one round trip."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            for bucket in buckets:
                pipe.hmget(keys.slots(bucket.account, bucket.name), [*_FIELDS, "adopted"])
                pipe.hget(keys.limits(bucket.account), bucket.name)
            (seconds, micros), *rows = await pipe.execute()
        now = seconds * MICROS + micros if self._clock is None else self._now()
        states = [_state(kept, limit) for kept, limit in zip(rows[::2], rows[1::2], strict=True)]
        return [usage_of(state, b, now) for state, b in zip(states, buckets, strict=True)]

    async def _put(self, key: str, field: str, limit: float | None) -> None:
        if limit is None:
            await self._redis.hdel(key, field)
        else:
            await self._redis.hset(key, field, repr(limit))

    def _arguments(self, bucket: Bucket, ask: Ask, *, restarted: bool) -> tuple[str, ...]:
        return (
            bucket.name,
            _number(bucket.setting),
            repr(bucket.default),
            repr(bucket.share),
            str(ask.count),
            _number(ask.cap),
            str(ask.not_before),
            repr(FAST),
            repr(SLACK_FAST),
            repr(SLACK_SLOW),
            str(int(MAX_AHEAD * MICROS)),
            str(int(RESTART_PAUSE * MICROS)),
            "1" if restarted else "0",
            "" if self._clock is None else str(self._now()),
        )

    def _now(self) -> int:
        assert self._clock is not None  # noqa: S101 - callers have looked
        return int(self._clock.now() * MICROS)


def _names(bucket: Bucket) -> tuple[str, ...]:
    whole = keys.slots(bucket.account, bucket.name)
    own = f"{whole}:{bucket.part}" if bucket.part else whole
    return own, whole, keys.limits(bucket.account), keys.SLOTS_BEGAN


def _grant(reply: list[Any]) -> Grant:
    count, now, first, interval, total, closed, limit, source = reply
    name = cast("Source", _text(source))
    return Grant(count, now, first, interval, total, closed, float(limit), name)


def _state(kept: list[Any], operator: Any) -> State:
    *numbers, adopted = kept
    known = dict(zip(_FIELDS, (int(number or 0) for number in numbers), strict=True))
    return State(
        began=0,
        adopted=None if adopted is None else float(adopted),
        operator=None if operator is None else float(operator),
        **known,
    )


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()
