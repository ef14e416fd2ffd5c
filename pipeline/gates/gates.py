"""Gates: a closed gate stops a lane, an endpoint (bucket), a host or an account. Each closure ends in its own way.

A closure is removed only by what set it: the operator's `paused`, Sailthru's `throttled`, the
`circuit` of an outage, `misconfigured` credentials, the `brake` on mass dying.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import Literal

import redis.asyncio

from pipeline.lanes import ALL_SCOPES
from pipeline.observe.logs import log_event
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts

GateReason = Literal["paused", "throttled", "circuit", "misconfigured", "brake"]
PROBED: frozenset[str] = frozenset({"circuit", "misconfigured"})
"""Reasons that are tried with one mailbox once their time is up, instead of just ending."""
ALERTED: frozenset[str] = frozenset({"circuit", "misconfigured", "brake"})
"""Reasons that raise an alert. Throttling is routine, and a pause is the operator's own."""


@dataclass(frozen=True, slots=True)
class Closure:
    """One reason why a gate is closed.

    until: when it ends or is probed (ms, Redis' time); 0 if it lasts until an operator removes it.
    detail: for the operator; safe to log.
    tries: failed probes so far.
    """

    scope: str
    reason: GateReason
    until: int
    since: int
    detail: str = ""
    tries: int = 0


Alert = Callable[[str, Closure], None]
"""Called with the account and the reason that closed one of its gates."""


class Gates:
    """Reads and writes the gates of one account."""

    def __init__(
        self, client: redis.asyncio.Redis, account: str, alert: Alert | None = None
    ) -> None:
        """`alert`: called, and the change logged, when a gate is closed for a reason that raises an alert.
        Without it nothing is logged: the operator's own command closed the gate."""
        self.account = account
        self._redis = client
        self._scripts = Scripts(client, "pipeline.gates")
        self._keys = {scope: keys.gates(account, scope) for scope in ALL_SCOPES}
        self._alert = alert

    async def close(self, closure: Closure, *, quiet: bool = False) -> bool:
        """Set one reason; an earlier closure of the same reason and scope is replaced. True when there
        was none: of all processes only the one that set it first says so, unless it is to be `quiet`. A full
        Redis takes it, or an outage would use up attempts there."""
        value = {**asdict(closure), "probe": closure.reason in PROBED}
        key = self._key(closure.scope)
        is_new = bool(
            await self._scripts.run("close_gate", [key], [closure.reason, json.dumps(value)])
        )
        if is_new and not quiet and self._alert is not None and closure.reason in ALERTED:
            fields = {"scope": closure.scope, "reason": closure.reason, "detail": closure.detail}
            log_event("gate_closed", logging.ERROR, account=self.account, **fields)
            self._alert(self.account, closure)
        return is_new

    async def open(self, scope: str, reason: GateReason) -> bool:
        """Remove one reason. False when it was not there."""
        was_there = bool(await self._redis.hdel(self._key(scope), reason))
        if was_there and self._alert is not None:
            log_event("gate_opened", account=self.account, scope=scope, reason=reason)
        return was_there

    async def closure(self, scope: str, reason: GateReason, now_ms: int) -> Closure | None:
        """This reason, if it holds in this scope or waits for a probe."""
        closures = await self.closures([scope], now_ms)
        return next((closure for closure in closures if closure.reason == reason), None)

    async def closures(self, scope_names: Iterable[str], now_ms: int) -> list[Closure]:
        """The reasons that hold now in these scopes, or wait for a probe; a scope's oldest first."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for scope in scope_names:
                pipe.hgetall(self._key(scope))
            tables = await pipe.execute()
        found = [
            sorted(map(read_closure, table.values()), key=attrgetter("since")) for table in tables
        ]
        return [closure for closures in found for closure in closures if holds(closure, now_ms)]

    async def all_closures(self, now_ms: int) -> list[Closure]:
        """Every reason of the account that holds now."""
        return await self.closures(ALL_SCOPES, now_ms)

    def _key(self, scope: str) -> str:
        return self._keys.get(scope) or keys.gates(self.account, scope)


def read_closure(value: bytes | str) -> Closure:
    """A closure from its stored JSON."""
    fields = json.loads(value)
    return Closure(**{name: fields[name] for name in Closure.__slots__})


def holds(closure: Closure, now_ms: int) -> bool:
    """Whether it still closes its gate, or waits for a probe."""
    return closure.until == 0 or closure.until > now_ms or closure.reason in PROBED
