"""The brake: stops a lane in which one cause, a bug or a change of the account, kills most events.

Otherwise a bug in the mapping, or a template that was removed, would bury the whole stream.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio
import redis.exceptions

from pipeline.deadletters.letter import fingerprint
from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.gates.gates import Closure, Gates
from pipeline.mailbox.claim import Claim
from pipeline.observe.logs import log_event
from pipeline.outcomes import Delivered, Outcome, Rejected
from pipeline.storage import keys
from pipeline.storage.numbers import MINUTE_MS
from pipeline.storage.scripts import Scripts

USERS = 20
WINDOW_MS = 600_000
MAX_DEATHS = 400
"""Deaths a lane remembers: in a flood that is shorter than the window, and enough to judge by."""
OURS = frozenset({Reason.CRASHED, Reason.REJECTED})
"""What a change of code or of the account would mend. Other reasons are the event's own: values that
cannot be mapped, missing ids or emails, invalid events, time that ran out. If these counted, one
producer could stop a lane for all with twenty bad events."""


@dataclass(frozen=True, slots=True)
class Death:
    """One event that died: of what and whose, and how many were delivered in its lane since the death
    before it, as the process saw it; only those of the last ten minutes count."""

    cause: str
    user: str
    delivered: int


def lately(by_minute: Mapping[int, int], now_ms: int) -> dict[int, int]:
    """What of these deliveries counts. A minute does as long as any of it is within the window."""
    oldest = (now_ms - WINDOW_MS) // MINUTE_MS
    return {minute: count for minute, count in by_minute.items() if minute >= oldest}


def is_mass_dying(cause: str, deaths: Sequence[Death]) -> bool:
    """Whether this cause kills most of what a lane settles, for at least twenty users."""
    of_it = [death for death in deaths if death.cause == cause]
    settled = len(deaths) + sum(death.delivered for death in deaths)
    return len({death.user for death in of_it}) >= USERS and 2 * len(of_it) > settled


class Brake:
    """One account's brake.

    The deaths are in Redis, because they are spread over all worker processes. Deliveries are counted
    here, by minute, and written down with the next death, so that they cost nothing.
    """

    def __init__(self, client: redis.asyncio.Redis, gates: Gates) -> None:
        self._redis = client
        self._scripts = Scripts(client, "pipeline.gates")
        self._gates = gates
        self._delivered: dict[Lane, dict[int, int]] = {}

    async def record(self, outcome: Outcome, claim: Claim, now_ms: int) -> None:
        """Take in what became of the head of this claim; closes the lane's gate if that was one too many."""
        if isinstance(outcome, Delivered):
            self._count(claim.lane, outcome.covers, now_ms)
        elif isinstance(outcome, Rejected) and outcome.reason in OURS:
            if claim.head.replay:
                return
            try:
                await self._record_death(outcome, claim, now_ms)
            except redis.exceptions.RedisError as error:
                fields = {"account": self._gates.account, "error": type(error).__name__}
                log_event("gate_unwritten", logging.WARNING, **fields)

    def _count(self, lane: Lane, delivered: int, now_ms: int) -> None:
        minute, minutes = now_ms // MINUTE_MS, self._delivered.get(lane, {})
        if minute not in minutes:  # a lane in which nothing dies for days keeps no more than ten
            minutes = self._delivered[lane] = lately(minutes, now_ms)
        minutes[minute] = minutes.get(minute, 0) + delivered

    async def _record_death(self, no: Rejected, claim: Claim, now_ms: int) -> None:
        lane = claim.lane
        endpoint = no.call.bucket if no.call else None
        cause = fingerprint(no.reason, endpoint, no.code, no.detail, lane)
        delivered = lately(self._delivered.pop(lane, {}), now_ms)
        # `seq` tells two deaths apart that are alike in all else.
        row = [cause, claim.user, list(delivered.items()), claim.head.seq]
        if is_mass_dying(cause, await self._deaths(lane, row, now_ms)):
            detail = (
                f"{no.reason} kills most of this lane ({no.detail}); group {cause} is what died"
            )
            await self._gates.close(Closure(lane, "brake", 0, now_ms, detail))
            # Count anew: an operator who resumes the lane wants to see whether the cause is gone.
            await self._redis.delete(keys.deaths(self._gates.account, lane))

    async def _deaths(self, lane: Lane, newest: Sequence[Any], now_ms: int) -> list[Death]:
        args = [json.dumps(newest), now_ms, WINDOW_MS, MAX_DEATHS]
        rows = await self._scripts.run("death", [keys.deaths(self._gates.account, lane)], args)
        return [_death(row, now_ms) for row in rows]


def _death(row: bytes, now_ms: int) -> Death:
    """A death and its recent deliveries.

    Deliveries are written down by minute, because they grow too old before the death they came with.
    """
    cause, user, delivered, _seq = json.loads(row)
    return Death(cause, user, sum(lately(dict(delivered), now_ms).values()))
