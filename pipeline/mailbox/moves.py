"""What an operator does about mailboxes that wait: let them be looked at now, or remove what is in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import redis.asyncio

from pipeline.events.models import Lane
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts


class Doomed(NamedTuple):
    """The first `events` events of a mailbox, of which the oldest is `seq`."""

    user: str
    seq: str
    events: int


class WaitingMoves:
    """One account's mailboxes. waits: what they wait for, as their state says it; '' for what it does not say, a retry.

    Connection errors propagate. A move whose answer was lost may be repeated.
    """

    def __init__(
        self, client: redis.asyncio.Redis, account: str, *, time_ms: Callable[[], int] | None = None
    ) -> None:
        """`time_ms` replaces Redis' clock in tests."""
        self._scripts = Scripts(client, "pipeline.mailbox")
        self._prefix = keys.account_prefix(account)
        self._time = time_ms

    async def release(self, lane: Lane, waits: str, users: Sequence[str]) -> int:
        """Let these mailboxes be looked at now; returns how many still waited for that."""
        args: list[Any] = [self._now(), lane, waits, *users]
        return int(await self._scripts.run("release", [self._prefix], args))

    async def remove(self, lane: Lane, waits: str, doomed: Sequence[Doomed]) -> list[int]:
        """Remove these events, counted as removed; returns how many of each went. None where something changed meanwhile."""
        args: list[Any] = [self._now(), lane, waits]
        for one in doomed:
            args += one
        return [int(gone) for gone in await self._scripts.run("remove", [self._prefix], args)]

    def _now(self) -> str:
        return "" if self._time is None else str(self._time())
