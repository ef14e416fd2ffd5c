"""Slots: the algorithm, and the protocol of whatever keeps its state.

A bucket is one number, the time of its next free slot. Who wants to call takes that slot, which moves
it on by one interval; nobody is ever told "try again". An idle bucket saves up nothing: a slot is never
in the past. Times are integer microseconds of the store's clock, in every store, so that all agree to
the last digit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from pipeline.ratelimit.limits import MAX_AHEAD, RESTART_PAUSE, slack

MICROS = 1_000_000
_MINUTE = 60 * MICROS
_STEP = MICROS

Source = Literal["operator", "setting", "header", "default"]
"""Who says what the limit is, strongest first."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Which slots are meant. `part` is a purpose with a share of its own, or empty."""

    account: str
    name: str
    part: str = ""
    share: float = 1.0
    setting: float | None = None
    default: float = 40.0


@dataclass(frozen=True, slots=True)
class Ask:
    """A wish for `count` slots.

    `cap` is the most calls/s the asker's own view of Sailthru's headers allows; `not_before` is a time
    in microseconds up to which it knows the bucket to be closed. Both survive a Redis that forgot.
    """

    count: int = 1
    cap: float | None = None
    not_before: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """`count` slots from `first` on, `interval` apart; or none, and `first` is when there will be one.

    `now` is the store's clock, `total` all slots it ever gave, `closed_until` when the bucket opens or
    opened. `limit` is in calls/s.
    """

    count: int
    now: int
    first: int
    interval: int
    total: int
    closed_until: int
    limit: float
    source: Source

    @property
    def slots(self) -> list[int]:
        return [self.first + i * self.interval for i in range(self.count)]


@dataclass(frozen=True, slots=True)
class Usage:
    """How one bucket stands. `used` counts slots given in the last minute, `closed_until` is in Unix
    seconds and None when the bucket is open."""

    bucket: str
    limit: float
    source: Source
    used: int
    closed_until: float | None


class SlotStore(Protocol):
    """Keeps the slots of all accounts. Whatever keeps them elsewhere raises its own connection errors."""

    async def reserve(self, bucket: Bucket, ask: Ask) -> Grant:
        """Take slots."""

    async def close(self, account: str, bucket: str, until: float) -> None:
        """Give none before `until`, Unix seconds. A bucket closed for longer stays so."""

    async def adopt(self, account: str, bucket: str, limit: float | None) -> None:
        """Remember the calls/s that a Limit header named; None forgets it."""

    async def set_limit(self, account: str, bucket: str, limit: float | None) -> None:
        """The operator's calls/s; None goes back to the setting, header or default."""

    async def operator_buckets(self, account: str) -> list[str]:
        """The buckets an operator has set a limit for."""

    async def usage(self, buckets: list[Bucket]) -> list[Usage]:
        """How these buckets stand, in the same order."""


@dataclass(frozen=True, slots=True)
class State:
    """What a store keeps per bucket. `began` belongs to the whole store; `seen` is when anybody last
    asked."""

    began: int
    free_at: int = 0
    closed: int = 0
    total: int = 0
    minute: int = 0
    at_minute: int = 0
    before: int = 0
    seen: int = 0
    adopted: float | None = None
    operator: float | None = None


def effective(state: State, bucket: Bucket) -> tuple[float, Source]:
    """The limit in calls/s that counts for this bucket, and who says so."""
    if state.operator is not None:
        return state.operator, "operator"
    if bucket.setting is not None:
        return bucket.setting, "setting"
    if state.adopted is not None and state.adopted > bucket.default:
        return state.adopted, "header"
    return bucket.default, "default"


def interval_us(limit: float, share: float, cap: float | None) -> int:
    """Microseconds between two slots."""
    interval = math.ceil((1.0 + slack(limit)) * MICROS / (limit * share))
    return interval if cap is None else max(interval, math.ceil(MICROS / cap))


def take(state: State, bucket: Bucket, ask: Ask, now: int) -> tuple[State, Grant]:
    """Reserve at `now`: the state afterwards and what was granted. lua/reserve.lua says the same."""
    limit, source = effective(state, bucket)
    interval = interval_us(limit, bucket.share, ask.cap)
    state = _after_a_step(state, now)
    # A minute is Sailthru's longest closure; more means that whoever closed it reads another clock.
    closed = min(max(state.closed, ask.not_before), now + _MINUTE)
    ready = state.began + int(RESTART_PAUSE * MICROS) + interval
    first = max(now, state.free_at, closed, ready)
    count = ask.count if first - now <= int(MAX_AHEAD * MICROS) else 0
    state = _at_minute(state, now // _MINUTE)
    state = replace(state, total=state.total + count, closed=closed, seen=now)
    if count:
        state = replace(state, free_at=first + count * interval)
    return state, Grant(count, now, first, interval, state.total, closed, limit, source)


def _after_a_step(state: State, now: int) -> State:
    """A store whose clock was set back: what was ahead stays as far ahead as it was, not by the step."""
    back = state.seen - now
    if back <= _STEP:
        return state
    return replace(state, free_at=state.free_at - back, closed=state.closed - back)


def usage_of(state: State, bucket: Bucket, now: int) -> Usage:
    """What `sailpipe limits` shows of a bucket's state."""
    limit, source = effective(state, bucket)
    closed = state.closed / MICROS if state.closed > now else None
    return Usage(bucket.name, limit, source, used_last_minute(state, now), closed)


def used_last_minute(state: State, now: int) -> int:
    """Slots given in the last minute; those of the clock minute before are taken as evenly spread."""
    state = _at_minute(state, now // _MINUTE)
    share_of_before = 1.0 - (now % _MINUTE) / _MINUTE
    return state.total - state.at_minute + round(state.before * share_of_before)


def _at_minute(state: State, minute: int) -> State:
    if minute == state.minute:
        return state
    before = state.total - state.at_minute if minute == state.minute + 1 else 0
    return replace(state, minute=minute, at_minute=state.total, before=before)
