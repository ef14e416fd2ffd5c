"""Empties one claimed mailbox: plan, call, decide, settle, again."""

from __future__ import annotations

import logging
from typing import Any

import redis.exceptions

from pipeline.delivery.capacity import BULK_TURNS, CLAIM_EVENTS, CLAIM_S, CLAIM_TURNS
from pipeline.delivery.leases import Lease
from pipeline.delivery.session import CallSession, DeliveryContext
from pipeline.delivery.settlements import Settling, settlement_for
from pipeline.delivery.traces import Settled
from pipeline.errors import StaleClaim
from pipeline.events.models import Lane
from pipeline.mailbox.claim import Claim, Settlement
from pipeline.observe.logs import log_event
from pipeline.outcomes import (
    AddressRefused,
    Delivered,
    Ignored,
    Outage,
    Outcome,
    Postponed,
    Rejected,
    Unfold,
    WaitingForEmail,
    WaitingForIdentify,
    WaitingForMerge,
    WaitingForOrder,
    WaitingForUser,
)
from pipeline.storage.scripts import is_own_fault

SETTLE_FOR_S = 60.0
SETTLE_AGAIN_S = 0.25
"""How long, and how often, a settle is repeated while Redis is away."""


class MailboxProcessor:
    """The delivery of one account's mailboxes. One object serves many mailboxes at a time."""

    def __init__(self, context: DeliveryContext) -> None:
        self._context = context

    def stop(self) -> None:
        """Begin no further call; claims go back after the one they are at, or at once."""
        self._context.caller.stop()
        self._context.store.hurry()

    async def process(self, lane: Lane, box: str) -> None:
        """Deliver what waits in one leased mailbox. Returns at once when it is not leased any more."""
        context = self._context
        asked = context.clock.monotonic()
        claim = await context.store.claim(lane, box, most=CLAIM_EVENTS)
        if claim is None:
            return
        with context.leases.hold(claim, asked) as lease:
            try:
                await self._work(claim, lease, asked)
            except StaleClaim:
                log_event("claim_lost", logging.WARNING, account=claim.account, lane=lane)

    async def _work(self, claim: Claim, lease: Lease, started: float) -> None:
        """Work turn by turn: an outcome is decided, its settlement written, and only then applied to the claim."""
        context = self._context
        session = CallSession(context, lease, claim, started)
        turns, alone, most = 0, 0, BULK_TURNS if claim.bulk else CLAIM_TURNS
        while True:
            outcome = await session.turn(claim, alone=alone > 0)
            turns += 1
            now_ms, stopping = session.now_ms, context.caller.stopping
            over = turns >= most or context.clock.monotonic() - started >= CLAIM_S
            # The next claim would fold again what was refused: one event of it is tried in this one.
            give_back = stopping or (over and not isinstance(outcome, Unfold))
            settling = Settling(context.settings, now_ms, context.random, give_back)
            settlement = settlement_for(outcome, session.state, settling)
            await self._persist(settlement)
            if context.traces is not None:
                # A C function: what it costs to tell is paid later, when no call waits.
                what = session.events, session.calls, now_ms
                context.traces.append(Settled(claim, outcome, settlement, *what))
            if settlement.pop:
                session.calls = []
            await context.brake.record(outcome, claim, now_ms)
            _report(claim, outcome)
            if settlement.back:
                return
            claim = claim.apply(settlement)
            alone = outcome.covers if isinstance(outcome, Unfold) else max(0, alone - 1)

    async def _persist(self, settlement: Settlement) -> None:
        """Settle, and again while Redis is away: what is not written down would be sent twice.

        A settle that fails over what it was given fails every time and has written nothing. The claim ends
        unsettled, which is a strike: in the end its event is poison.
        """
        clock = self._context.clock
        until = clock.monotonic() + SETTLE_FOR_S
        repeated = False
        while True:
            try:
                await self._context.store.settle(settlement)
            except StaleClaim:
                # A giving-back whose answer was lost has ended the claim: nothing is amiss.
                if repeated and settlement.back:
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
    """One line at most. claim: as it was before the outcome was settled."""
    match outcome:
        case (
            Delivered()
            | Ignored()
            | Unfold()
            | AddressRefused()
            | WaitingForIdentify()
            | WaitingForMerge()
            | Outage()
        ):
            return
        case Postponed(why=why):
            log_event("event_waits", logging.DEBUG, **_names(claim), why=why)
        case WaitingForEmail() | WaitingForUser() | WaitingForOrder():
            why = type(outcome).__name__
            log_event("event_waits", logging.DEBUG, **_names(claim), why=why)
        case Rejected(reason):
            log_event("event_died", logging.WARNING, **_names(claim), reason=str(reason))
        case _:
            why = type(outcome).__name__
            log_event("event_waits", **_names(claim), why=why)


def _names(claim: Claim) -> dict[str, Any]:
    return {"account": claim.account, "lane": claim.lane, "id": claim.head.id}
