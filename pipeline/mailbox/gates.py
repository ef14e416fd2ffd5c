"""Gates: what stands between a lane and Sailthru, each reason with its own end.

A reason is removed only by what set it: the operator's `paused`, Sailthru's `throttled`, the
`circuit` of an outage, `misconfigured` credentials, the `brake` on mass dying.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import Literal

import redis.asyncio

from pipeline import keys
from pipeline.events import Lane
from pipeline.mailbox.lanes import scopes
from pipeline.mailbox.scripts import Scripts

GateReason = Literal["paused", "throttled", "circuit", "misconfigured", "brake"]
PROBED: frozenset[str] = frozenset({"circuit", "misconfigured"})
"""Reasons that are tried with one mailbox once their time is up, instead of just ending."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One reason why a gate is closed.

    until: when it ends or is probed (ms, Redis' time); 0 until somebody removes it.
    detail: for the operator; safe to log.
    tries: failed probes so far.
    """

    scope: str
    reason: GateReason
    until: int
    since: int
    detail: str = ""
    tries: int = 0


class Gates:
    """Reads and writes the gates of one account."""

    def __init__(self, client: redis.asyncio.Redis, account: str) -> None:
        self._redis = client
        self._scripts = Scripts(client)
        self._account = account

    async def close(self, bar: Bar) -> bool:
        """Set one reason; an earlier bar of the same reason and scope is replaced. True when there
        was none. A full Redis takes it, or an outage would use up attempts there."""
        value = {**asdict(bar), "probe": bar.reason in PROBED}
        key = keys.gates(self._account, bar.scope)
        return bool(await self._scripts.run("shut", [key], [bar.reason, json.dumps(value)]))

    async def open(self, scope: str, reason: GateReason) -> bool:
        """Remove one reason. False when it was not there."""
        return bool(await self._redis.hdel(keys.gates(self._account, scope), reason))

    async def bars(self, scope_names: Iterable[str], now_ms: int) -> list[Bar]:
        """The reasons that hold now in these scopes, or wait for a probe; a scope's oldest first."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for scope in scope_names:
                pipe.hgetall(keys.gates(self._account, scope))
            tables = await pipe.execute()
        found = [sorted(map(read_bar, table.values()), key=attrgetter("since")) for table in tables]
        return [bar for bars in found for bar in bars if _holds(bar, now_ms)]

    async def all_bars(self, now_ms: int) -> list[Bar]:
        """Every reason of the account that holds now."""
        names = dict.fromkeys(name for lane in Lane for name in scopes(lane))
        return await self.bars([*names, "GET /user", "POST /return", "GET /purchase"], now_ms)


def read_bar(value: bytes | str) -> Bar:
    """A bar from its stored JSON."""
    fields = json.loads(value)
    return Bar(**{name: fields[name] for name in Bar.__slots__})


def _holds(bar: Bar, now_ms: int) -> bool:
    return bar.until == 0 or bar.until > now_ms or bar.reason in PROBED
