"""Slots: how many Sailthru allows, how far below that we aim, the algorithm, and the protocol of its stores.

A bucket is one number, the time of its next free slot. A caller takes that slot, which moves it on
by one interval; no caller is ever told "try again". An idle bucket saves up nothing: a slot is never
in the past. Times are integer microseconds of the store's clock, in every store, so that all agree to
the last digit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from pipeline.storage.numbers import CLOCK_STEP_MS, MINUTE_MS

MICROS = 1_000_000
_MINUTE = MINUTE_MS * 1000
_STEP = CLOCK_STEP_MS * 1000

Purpose = Literal["cart", "email", "pass_through", "normal"]
"""What a call is for. GET /user is shared by it: see `SHARES`; carts go first.

`pass_through` are calls that the HTTP server makes while a client waits (`pipeline/ingest/upstream.py`).
"""

SHARES: dict[Purpose, float] = {"email": 0.10, "pass_through": 0.30}
"""The most of a bucket's rate that one purpose may use; the others may use all of it."""

FAST = 100.0
"""Calls/s. Limits from here on are fast: their slots are so close that some are reserved together."""

SLACK_FAST, SLACK_SLOW = 0.0105, 0.020
"""Seconds. N + 1 slots in a row take 1 s + slack, so no second receives more than the limit as long as
no call is delayed by the slack more than another. It costs its share of the rate: 1 %, or 2 % of slow
limits, which have no dropped slots to make up for one call that hung."""

MAX_AHEAD = 0.25
"""Seconds. No process reserves further ahead, so that a closed bucket is soon quiet."""

RESTART_PAUSE = 2 * MAX_AHEAD
"""Seconds. A Redis that has just started may have forgotten slots; by then they are all past."""

_RESERVED_S = 0.017
_MAX_RESERVED = 50

Source = Literal["operator", "setting", "header", "default"]
"""What may set the limit, strongest first."""


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
    """Keeps the slots of all accounts. A store on a server raises that server's connection errors."""

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
    """What a store keeps per bucket. `began` belongs to the whole store; `seen` is when a process last
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
    """The limit in calls/s that counts for this bucket, and what set it."""
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
    # A minute is Sailthru's longest closure. More means: the process that closed it has another clock.
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


def default_limit(bucket: str) -> float:
    """Calls/s that Sailthru allows per account (reference: sailthru-api 3).

    `POST /user` and every GET have 300/s, anything else 40/s.
    """
    method, _, endpoint = bucket.partition(" ")
    return 300.0 if method == "GET" or (method, endpoint) == ("POST", "/user") else 40.0


def slack(limit: float) -> float:
    """Seconds by which calls under `limit` calls/s may be delayed unequally."""
    return SLACK_FAST if limit >= FAST else SLACK_SLOW


def lateness(limit: float) -> float:
    """Seconds after which an unused slot is dropped; the rest of the slack is left to the network."""
    return 0.5 * slack(limit)


def hung(limit: float) -> float:
    """Seconds after its slot at which a call that has only just been sent is too late."""
    return 0.7 * slack(limit)


def pace(limit: float) -> float:
    """Calls/s to aim at under `limit` calls/s."""
    return limit / (1.0 + slack(limit))


def reservation_size(rate: float) -> int:
    """How many slots one process reserves at a time, at `rate` calls/s: 5 at 300/s, 1 at 40/s.

    Reserving several saves round trips; a killed process wastes them.
    """
    return max(1, min(_MAX_RESERVED, int(rate * _RESERVED_S)))


@dataclass(frozen=True, slots=True)
class Pacing:
    """What follows from a limit, worked out once because it is asked for at every slot.

    limit: calls/s that are allowed; rate: that are aimed at. lateness, hung: as the functions say (s).
    reservation: slots that one process reserves at a time.
    """

    limit: float
    rate: float
    lateness: float
    hung: float
    reservation: int


def pacing(limit: float, rate: float) -> Pacing:
    """The pacing of a bucket that aims at `rate` calls/s under `limit`."""
    return Pacing(limit, rate, lateness(limit), hung(limit), reservation_size(rate))


def first_pacing(bucket: Bucket) -> Pacing:
    """The pacing of a bucket until its store has said what its limit is."""
    limit = bucket.default if bucket.setting is None else bucket.setting
    return pacing(limit, pace(limit) * bucket.share)
