"""How many accounts fit: a day simulated minute by minute, with the costs that the suite measured.

`python -m benchmarks.capacity [--results FILE]` prints the tables of docs/performance.md. What is assumed stands in
`Day`, `Hardware` and the constants; what an event costs comes from the results.

The model is one of flows. All accounts have the same day at the same time, which is the hardest way to share. Events
arrive, one splitter splits them, workers deliver them within each account's limits, and both take CPU of Redis, which
has one core. A number of accounts *holds* if nothing of theirs waits longer than `MAX_LAG_S` for want of CPU (what
Sailthru's limits make wait is not ours to mend) and Redis keeps below the memory at which producers are refused.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from benchmarks.figures import number
from benchmarks.report import RESULTS, Document, columns, load

MINUTES = 24 * 60
STEP_S = 60.0
MAX_LAG_S = 300.0
USABLE = 0.85
"""Of every core; the rest is the system's, and what makes latencies long."""
MEMORY_HIGH = 0.8
"""Of Redis' memory, from which on producers are refused."""
LIMITS = MappingProxyType({"user": 296.9, "event": 39.2, "purchase": 39.2, "page": 39.2})
"""Calls a second that an account may make in each lane (docs/rate-limits.md)."""
MIX = MappingProxyType({"user": 0.25, "event": 0.30, "purchase": 0.10, "page": 0.35})
"""Each lane's share of a day's events."""
SIZES = (10_000, 100_000, 1_000_000)
"""Events a day of a small, a middling and a large account."""
SEARCHED = 1 << 17
"""More accounts than this are not looked for."""
OF_SAILTHRU = "Sailthru's limits"
MEMORY = "Redis' memory"


@dataclass(frozen=True, slots=True)
class Day:
    """One account's day.

    peak: the busiest hour over the mean. campaign: the share of the day that a newsletter brings within
    `campaign_min` minutes. people: users that are remembered, as a multiple of the events of a day.
    """

    events: int
    peak: float = 2.0
    campaign: float = 0.05
    campaign_at: int = 10 * 60
    campaign_min: int = 10
    people: float = 1.0

    def minute(self, number_: int) -> float:
        """Events that arrive in this minute of the day; all of them add up to `events`."""
        swing = 1 + (self.peak - 1) * math.cos((number_ / MINUTES - 0.6) * 2 * math.pi)
        steady = self.events * (1 - self.campaign) * swing / MINUTES
        inside = 0 <= number_ - self.campaign_at < self.campaign_min
        return steady + (self.events * self.campaign / self.campaign_min if inside else 0.0)


@dataclass(frozen=True, slots=True)
class Costs:
    """What was measured: CPU in ms an event; cores an account takes while nothing happens; bytes in Redis."""

    worker_ms: float
    splitter_ms: float
    redis_split_ms: float
    redis_deliver_ms: float
    idle_cores: float
    waiting_bytes: float
    user_bytes: float


@dataclass(frozen=True, slots=True)
class Hardware:
    """What it runs on: `redis_gb` is Redis' maxmemory, on one of the machines."""

    name: str
    cores: float
    redis_gb: float


ONE_MACHINE = Hardware("one machine: 4 cores, Redis 4 GB", 4, 4)
TEN_MACHINES = Hardware("ten machines of 4 cores, one Redis of 32 GB", 40, 32)
ENOUGH = Hardware("as many machines as it takes, one Redis of 32 GB", 10_000, 32)
PLACES = (ONE_MACHINE, TEN_MACHINES, ENOUGH)


@dataclass(frozen=True, slots=True)
class Minute:
    """How one minute ended. `bound` is what kept more from being done, if anything did; `waiting` are all events that
    wait, `late` those that would not if CPU were without end; `lag_s` is how long the late ones take at this minute's
    pace."""

    bound: str
    late: float
    waiting: float
    lag_s: float
    memory: float


@dataclass(frozen=True, slots=True)
class Capacity:
    """So many accounts hold; `breaks` is what one more breaks first."""

    accounts: int
    breaks: str


def simulate(accounts: int, day: Day, costs: Costs, place: Hardware) -> Iterator[Minute]:
    """Two days: the second shows whether the first was worked off."""
    raw, lanes = 0.0, dict.fromkeys(MIX, 0.0)
    ideal = dict(lanes)
    remembered = accounts * day.events * day.people * costs.user_bytes
    for minute in range(2 * MINUTES):
        arrived = accounts * day.minute(minute % MINUTES)
        budget = Budget(place, accounts * costs.idle_cores)
        raw += arrived
        split, why = budget.take(
            raw, costs.splitter_ms, costs.redis_split_ms, "the splitter's core"
        )
        raw -= split
        lanes = _with(lanes, split)
        allowed = _allowed(lanes, accounts)
        wanted = sum(allowed.values())
        sent, later = budget.take(wanted, costs.worker_ms, costs.redis_deliver_ms, None)
        lanes = _without(lanes, allowed, sent / wanted if wanted else 0.0)
        ideal = _with(ideal, arrived)
        ideal = _without(ideal, _allowed(ideal, accounts), 1.0)
        waiting = raw + sum(lanes.values())
        late = max(0.0, waiting - sum(ideal.values()))
        lag = late / sent * STEP_S if sent else math.inf if late > 1 else 0.0
        yield Minute(why or later, late, waiting, lag, remembered + waiting * costs.waiting_bytes)


def _with(lanes: Mapping[str, float], split: float) -> dict[str, float]:
    return {lane: waits + split * MIX[lane] for lane, waits in lanes.items()}


def _without(
    lanes: Mapping[str, float], allowed: Mapping[str, float], share: float
) -> dict[str, float]:
    return {lane: waits - allowed[lane] * share for lane, waits in lanes.items()}


def _allowed(lanes: Mapping[str, float], accounts: int) -> dict[str, float]:
    """What Sailthru's limits let out of each lane within the minute."""
    return {lane: min(waits, accounts * LIMITS[lane] * STEP_S) for lane, waits in lanes.items()}


class Budget:
    """The CPU of one minute, in ms, and what is taken of it."""

    def __init__(self, place: Hardware, idle_cores: float) -> None:
        core = STEP_S * 1000 * USABLE
        self._redis = core
        self._one = core
        self._all = max(0.0, core * place.cores - STEP_S * 1000 * idle_cores)

    def take(
        self, wanted: float, own_ms: float, redis_ms: float, one_core: str | None
    ) -> tuple[float, str]:
        """How many of so many events are worked on, and what keeps it from being all of them ("" if nothing does).

        one_core: the name of a part that has one core at most; None for one that uses all there are.
        """
        bounds = {
            "Redis' core": self._redis / redis_ms,
            "CPU for workers": self._all / (own_ms + redis_ms),
        }
        if one_core:
            bounds[one_core] = self._one / own_ms
        why = min(bounds, key=lambda name: bounds[name])
        done = min(wanted, bounds[why])
        self._redis -= done * redis_ms
        self._all -= done * (own_ms + redis_ms)
        return done, why if done < wanted else ""


def broken(minutes: Iterable[Minute], place: Hardware) -> str:
    """What broke first in these days; "" when they held."""
    waiting, bound = [], ""
    for minute in minutes:
        bound = minute.bound or bound  # what is late now was made late by what was scarce then
        if minute.memory > place.redis_gb * 1e9 * MEMORY_HIGH:
            return MEMORY
        if minute.lag_s > MAX_LAG_S:
            return bound
        waiting.append(minute.waiting)
    return OF_SAILTHRU if waiting[-1] > waiting[MINUTES - 1] + 1 else ""


def capacity(day: Day, costs: Costs, place: Hardware) -> Capacity:
    """The most accounts that hold, found by halving."""

    def breaks(accounts: int) -> str:
        return broken(simulate(accounts, day, costs, place), place)

    most = _last_that_holds(breaks, SEARCHED)
    return Capacity(most, breaks(most + 1))


def _last_that_holds(breaks: Callable[[int], str], most: int) -> int:
    """Doubled until it breaks, for few accounts are soon played, then halved."""
    low, high = 0, 1
    while high < most and not breaks(high):
        low, high = high, high * 2
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if breaks(middle) else (middle, high)
    return low


def costs_of(rows: Mapping[str, Document]) -> Costs:
    """The costs of a mixed day from the suite's results.

    Splitting is measured apart (row `backlog`), delivery is the rest of row `mixed`.

    Raises:
        KeyError: a row that is needed was not measured.
    """

    def of(row: str, side: str, name: str) -> float:
        return float(rows[row]["sides"][side][name]["median"])

    split, split_redis = (
        of("backlog", "large", "split_ms"),
        of("backlog", "large", "split_redis_ms"),
    )
    redis = of("mixed", "ours", "redis_ms")
    idle = (of("idle", "ten", "cores") - of("idle", "one", "cores")) / 9
    return Costs(
        worker_ms=of("mixed", "ours", "cpu_ms") - redis - (split - split_redis),
        splitter_ms=split - split_redis,
        redis_split_ms=split_redis,
        redis_deliver_ms=max(redis - split_redis, redis / 10),
        idle_cores=max(0.0, idle),
        waiting_bytes=of("backlog", "large", "json_bytes") + of("backlog", "large", "bytes_at_3"),
        user_bytes=of("cpu", "ours", "left_bytes"),
    )


def by_machines(costs: Costs, events: int, machines: Sequence[int]) -> list[float]:
    """Accounts of so many events a day that so many machines of 4 cores hold, over one Redis of 32 GB."""
    places = [Hardware(f"{count} machines", 4 * count, 32) for count in machines]
    return [capacity(Day(events), costs, place).accounts for place in places]


def lines(costs: Costs) -> list[tuple[str, ...]]:
    """For each place and size of account: accounts, their events a day together, and what one more breaks first."""
    found: list[tuple[str, ...]] = []
    for place in PLACES:
        for size in SIZES:
            one = capacity(Day(size), costs, place)
            together = f"{number(one.accounts * size / 1e6)} million"
            found.append((place.name, f"{size:,}", f"{one.accounts:,}", together, one.breaks))
    return found


HEAD = ("where", "events a day and account", "accounts", "events a day", "breaks first")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    costs = costs_of(load(parser.parse_args().results))
    print(costs)
    print("\n".join(columns([HEAD, *lines(costs)])))


if __name__ == "__main__":
    main()
