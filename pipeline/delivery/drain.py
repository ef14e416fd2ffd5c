"""Drains one claimed mailbox: plan, call, decide, settle, again."""

from __future__ import annotations

import logging

import redis.exceptions

from pipeline.delivery import fate
from pipeline.delivery.deeds import deed_of
from pipeline.delivery.loans import Loan
from pipeline.delivery.tools import Tools
from pipeline.delivery.turn import Turn
from pipeline.errors import StaleClaim
from pipeline.events import Lane
from pipeline.mailbox.claim import Claim, Deed
from pipeline.mailbox.scripts import is_own_fault
from pipeline.observe.logs import log_event
from pipeline.outcomes import Delivered, Held, Ignored, Outage, Outcome, Postponed, Rejected, Single

MOST_EVENTS = 40
"""Events a claim reads: what can fold is seen at once, and a claim stays small."""
MOST_TURNS = 6
LONGEST_S = 1.0
"""A claim ends after a handful of calls or a second, so that a busy user keeps nobody waiting."""
SETTLE_FOR_S = 60.0
SETTLE_AGAIN_S = 0.25
"""How long, and how often, a settle is repeated while Redis is away."""


class Drain:
    """The delivery of one account's mailboxes. One object serves many mailboxes at a time."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def stop(self) -> None:
        """Begin no further call; claims go back after the one they are at, or at once."""
        self._tools.caller.stop()

    @property
    def _stopping(self) -> bool:
        return self._tools.caller.stopping

    async def drain(self, lane: Lane, box: str) -> None:
        """Deliver what waits in one lent mailbox. Returns at once when it is not lent any more."""
        tools = self._tools
        asked = tools.clock.monotonic()
        claim = await tools.store.claim(lane, box, most=MOST_EVENTS)
        if claim is None:
            return
        with tools.loans.hold(claim, asked) as loan:
            try:
                await self._work(claim, loan, asked)
            except StaleClaim:
                log_event("claim_lost", logging.WARNING, account=claim.account, lane=lane)

    async def _work(self, claim: Claim, loan: Loan, started: float) -> None:
        clock, turns, going = self._tools.clock, 0, True
        turn = Turn(self._tools, claim, loan, started)
        while going:
            outcome = await self._outcome(turn)
            turns += 1
            over = turns >= MOST_TURNS or clock.monotonic() - started >= LONGEST_S
            # The next claim would fold again what was refused: one event of it is tried in this one.
            give_back = self._stopping or (over and not isinstance(outcome, Single))
            going = await self._settle(turn, outcome, give_back=give_back)

    async def _outcome(self, turn: Turn) -> Outcome:
        outcome = Postponed(why="stopping") if self._stopping else await self._take(turn)
        turn.resolve(outcome)
        return fate.final(outcome, turn.claim, turn.head_event, self._tools.settings)

    async def _take(self, turn: Turn) -> Outcome:
        try:
            return await turn.take()
        except redis.exceptions.RedisError as error:
            return Postponed(due_in_s=1.0, why=type(error).__name__)

    async def _settle(self, turn: Turn, outcome: Outcome, *, give_back: bool) -> bool:
        """Write the outcome. True while the claim is kept and has events left."""
        claim, tools = turn.claim, self._tools
        now_ms, head = turn.now_ms, claim.head
        deed = deed_of(outcome, claim, turn.head_event, tools.settings, now_ms, tools.random)
        turn.complete(deed)
        deed.at = now_ms
        deed.back = deed.back or give_back or deed.pop >= len(claim.entries)
        await tools.outages.close_for(outcome, claim, now_ms)
        await self._persist(claim, deed)
        await tools.brake.note(outcome, claim.lane, head, now_ms)
        _report(claim, outcome)
        turn.advance(outcome)
        return not deed.back

    async def _persist(self, claim: Claim, deed: Deed) -> None:
        """Settle, and again while Redis is away: what is not written down would be sent twice.

        A settle that fails over what it was given fails every time and has written nothing. The claim ends
        unsettled, which is a strike: in the end its event is poison.
        """
        clock = self._tools.clock
        until = clock.monotonic() + SETTLE_FOR_S
        repeated = False
        while True:
            try:
                await self._tools.store.settle(claim, deed)
            except StaleClaim:
                # A giving-back whose answer was lost has ended the claim: nothing is amiss.
                if repeated and deed.back:
                    return
                raise
            except redis.exceptions.RedisError as error:
                if is_own_fault(error) or clock.monotonic() > until:
                    raise
                repeated = True
                await clock.sleep(SETTLE_AGAIN_S)
            else:
                return


def _report(claim: Claim, outcome: Outcome) -> None:
    match outcome:
        case Delivered() | Ignored() | Single() | Held() | Outage():
            return
        case Postponed(why=why):
            log_event("event_waits", logging.DEBUG, account=claim.account, lane=claim.lane, why=why)
        case Rejected(reason):
            names = {"account": claim.account, "lane": claim.lane, "reason": str(reason)}
            log_event("event_died", logging.WARNING, **names)
        case _:
            why = type(outcome).__name__
            log_event("event_waits", account=claim.account, lane=claim.lane, why=why)
