"""The brake: stops a lane in which one cause of our or the account's making kills most events.

A bug in the mapping or a template somebody removed would otherwise bury the whole stream.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import redis.asyncio
import redis.exceptions

from pipeline import keys
from pipeline.deadletters.letter import fingerprint
from pipeline.delivery.gatekeeper import Gatekeeper
from pipeline.errors import Reason
from pipeline.events import Lane
from pipeline.mailbox.entry import Entry
from pipeline.mailbox.gates import Bar
from pipeline.mailbox.scripts import Scripts
from pipeline.observe.logs import log_event
from pipeline.outcomes import Delivered, Outcome, Rejected

USERS = 20
WINDOW_MS = 600_000
MOST_DEATHS = 400
"""Deaths a lane remembers: in a flood that is shorter than the window, and enough to judge by."""
OURS = frozenset({Reason.CRASHED, Reason.REJECTED, Reason.UNMAPPABLE})
"""What a change of code or of the account would mend. Others are the event's own: missing ids or
emails, invalid events, time that ran out."""


@dataclass(frozen=True, slots=True)
class Death:
    """One event that died: of what and whose, and how many were delivered in its lane since the death
    before it, as the process saw it. `seq` tells two deaths apart."""

    cause: str
    user: str
    delivered: int
    seq: str


def is_mass_dying(cause: str, deaths: Sequence[Death]) -> bool:
    """Whether this cause kills most of what a lane settles, for at least twenty users."""
    of_it = [death for death in deaths if death.cause == cause]
    settled = len(deaths) + sum(death.delivered for death in deaths)
    return len({death.user for death in of_it}) >= USERS and 2 * len(of_it) > settled


class Brake:
    """One account's brake. The deaths are in Redis, for they are spread over all worker processes;
    deliveries are counted here and written down with the next death, so that they cost nothing."""

    def __init__(self, client: redis.asyncio.Redis, gatekeeper: Gatekeeper) -> None:
        self._redis = client
        self._scripts = Scripts(client)
        self._gates = gatekeeper
        self._delivered: Counter[Lane] = Counter()

    async def note(self, outcome: Outcome, lane: Lane, entry: Entry, now_ms: int) -> None:
        """Take in what became of `entry`; closes the lane's gate if that was one too many."""
        if isinstance(outcome, Delivered):
            self._delivered[lane] += outcome.covers
        elif isinstance(outcome, Rejected) and outcome.reason in OURS and not entry.replay:
            try:
                await self._note_death(outcome, lane, entry, now_ms)
            except redis.exceptions.RedisError as error:
                fields = {"account": self._gates.account, "error": type(error).__name__}
                log_event("gate_unwritten", logging.WARNING, **fields)

    async def _note_death(self, no: Rejected, lane: Lane, entry: Entry, now_ms: int) -> None:
        endpoint = no.call.bucket if no.call else None
        cause = fingerprint(no.reason, endpoint, no.code, no.detail)
        death = Death(cause, entry.user, self._delivered.pop(lane, 0), entry.seq)
        if is_mass_dying(cause, await self._deaths(lane, death, now_ms)):
            detail = (
                f"{no.reason} kills most of this lane ({no.detail}); group {cause} is what died"
            )
            await self._gates.close(Bar(lane, "brake", 0, now_ms, detail))
            # Whoever resumes the lane wants to see whether the cause is gone.
            await self._redis.delete(keys.deaths(self._gates.account, lane))

    async def _deaths(self, lane: Lane, newest: Death, now_ms: int) -> list[Death]:
        args = [json.dumps(asdict(newest)), now_ms, WINDOW_MS, MOST_DEATHS]
        rows = await self._scripts.run("death", [keys.deaths(self._gates.account, lane)], args)
        return [Death(**json.loads(row)) for row in rows]
