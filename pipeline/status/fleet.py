"""Which processes live, and what of an installation none of them is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio

from pipeline.clock import iso
from pipeline.events.models import Lane
from pipeline.processes.heartbeat import ALIVE_MS
from pipeline.processes.records import HeadersSeen, Process, ProcessRole, read_record
from pipeline.storage import keys


@dataclass(frozen=True, slots=True)
class Alive:
    """A process that lives. seen_s: seconds since its last sign. lease: it is the splitter that splits; the others stand
    by."""

    process: Process
    seen_s: float
    lease: bool = False


@dataclass(frozen=True, slots=True)
class Missing:
    """What no process is: `part` is a lane or `splitter`. since_ms: when one was seen last; None if never."""

    part: str
    since_ms: int | None


@dataclass(frozen=True, slots=True)
class Fleet:
    """All processes that a Redis knows. last_seen: what of an installation was seen when (ms)."""

    now_ms: int
    alive: tuple[Alive, ...]
    last_seen: Mapping[str, int]

    def of(self, role: ProcessRole) -> list[Alive]:
        """The processes that do this."""
        return [one for one in self.alive if one.process.role is role]

    @property
    def missing(self) -> list[Missing]:
        """What must run for events to be delivered, and does not. HTTP is not among it: a producer may use Redis."""
        there = {part for one in self.alive for part in one.process.parts}
        wanted = (*map(str, Lane), ProcessRole.SPLITTER.value)
        return [Missing(part, self.last_seen.get(part)) for part in wanted if part not in there]

    def headers(self, account: str, bucket: str) -> HeadersSeen | None:
        """What Sailthru's headers leave of a bucket's present minute: the newest that any worker has seen."""
        seen = [
            one
            for each in self.alive
            for one in each.process.headers
            if (one.account, one.bucket) == (account, bucket) and one.ends * 1000 > self.now_ms
        ]
        return min(seen, key=lambda one: (-one.ends, one.remaining), default=None)

    def missing_since(self, part: str) -> int | None:
        """Since when no process is this lane, or the `splitter`: Unix ms, 0 if none was ever seen. None: one is there."""
        gone = [one.since_ms or 0 for one in self.missing if one.part == part]
        return gone[0] if gone else None

    @property
    def versions(self) -> list[str]:
        """Those that run; more than one in the middle of an upgrade."""
        return sorted({one.process.version for one in self.alive})


NO_FLEET: Final = Fleet(0, (), {})
"""No process, and none that was ever seen."""


async def read_fleet(client: redis.asyncio.Redis) -> Fleet:
    """Ask Redis, in one round trip."""
    async with client.pipeline(transaction=False) as pipe:
        pipe.time()
        ask_fleet(pipe)
        (seconds, micros), *replies = await pipe.execute()
    return fleet_of(seconds * 1000 + micros // 1000, *replies)


FLEET_READS: Final = 3
"""Commands of `ask_fleet`."""


def ask_fleet(pipe: redis.asyncio.client.Pipeline) -> None:
    """For a caller that asks more in the same trip."""
    pipe.hgetall(keys.PROCESSES)
    pipe.hgetall(keys.LAST_SEEN)
    pipe.get(keys.SPLITTER)


def fleet_of(
    now_ms: int, records: Mapping[bytes, bytes], seen: Mapping[bytes, bytes], lease: bytes | None
) -> Fleet:
    """From the answers to `ask_fleet`. No I/O."""
    holder = lease.decode() if lease else None
    alive = sorted(
        _alive(records.values(), now_ms, holder),
        key=lambda one: (
            list(ProcessRole).index(one.process.role),
            one.process.host,
            one.process.pid,
        ),
    )
    return Fleet(now_ms, tuple(alive), {part.decode(): int(at) for part, at in seen.items()})


def process_row(one: Alive) -> dict[str, Any]:
    """A process as `status --json` shows it."""
    process = one.process
    return {
        "role": process.role.value,
        "host": process.host,
        "pid": process.pid,
        "lanes": list(process.lanes),
        "lease": one.lease,
        "address": process.address,
        "version": process.version,
        "since": iso(process.since_ms),
        "seen_s": one.seen_s,
    }


def _alive(records: Iterable[bytes], now_ms: int, holder: str | None) -> Iterable[Alive]:
    for stored in records:
        try:
            at_ms, process = read_record(stored)
        except (ValueError, KeyError, TypeError):
            continue  # of a version that is to come; what it serves is in LAST_SEEN all the same
        if now_ms - at_ms < ALIVE_MS:
            seen_s = max(0, now_ms - at_ms) / 1000
            yield Alive(process, seen_s, process.id == holder)
