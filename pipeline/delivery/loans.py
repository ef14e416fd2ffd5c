"""The claims a process holds, renewed together, and whether a call may still begin under one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import redis.exceptions

from pipeline.clock import Clock
from pipeline.errors import StaleClaim
from pipeline.mailbox.claim import Claim
from pipeline.mailbox.store import MailboxStore
from pipeline.observe.logs import log_event

RENEW_EVERY_S = 3.0


class Loan:
    """One claim's time. `valid_until` is monotonic, read before the write that extended it."""

    def __init__(self, claim: Claim, valid_until: float) -> None:
        self.claim = claim
        self.valid_until = valid_until
        self.lost = False
        self.renewed = asyncio.Event()

    def extend(self, valid_until: float) -> None:
        self.valid_until = valid_until
        self.renewed.set()
        self.renewed = asyncio.Event()

    def lose(self) -> None:
        self.lost = True
        self.renewed.set()


class Loans:
    """All loans of one process, in every account. `loan_s`: account -> how long its loans last.

    A call may begin only if its answer will be in before the loan can expire: `enough` seconds
    (HTTP timeout and a margin) must remain.
    """

    def __init__(self, clock: Clock, *, loan_s: Mapping[str, float]) -> None:
        self._clock = clock
        self._loan_s = loan_s
        self._held: set[Loan] = set()

    @property
    def shortest_s(self) -> float:
        """How long the loans last of the account that has the shortest."""
        return min(self._loan_s.values())

    @contextmanager
    def hold(self, claim: Claim, claimed_at: float) -> Iterator[Loan]:
        """Keep a claim renewed. `claimed_at`: monotonic time before the claim was sent."""
        loan = Loan(claim, claimed_at + self._loan_s[claim.account])
        self._held.add(loan)
        try:
            yield loan
        finally:
            self._held.discard(loan)

    def is_fresh(self, loan: Loan, enough: float) -> bool:
        """Whether a call may begin. Raises StaleClaim when the loan is lost."""
        if loan.lost:
            raise StaleClaim(loan.claim.box)
        return not self.is_over(loan, enough)

    def is_over(self, loan: Loan, enough: float) -> bool:
        """`is_fresh` for whoever cannot take an exception: the bytes of a call ask it last."""
        return loan.lost or loan.valid_until - self._clock.monotonic() < enough

    async def until_fresh(self, loan: Loan, enough: float) -> None:
        """Wait for a renewal if too little time is left. Raises StaleClaim when there is none."""
        while not self.is_fresh(loan, enough):
            if self._clock.monotonic() > loan.valid_until:
                raise StaleClaim(loan.claim.box)
            try:
                await asyncio.wait_for(loan.renewed.wait(), RENEW_EVERY_S)
            except TimeoutError:
                continue

    async def renew_forever(self, stores: Mapping[str, MailboxStore]) -> None:
        """Renew everything that is held, every three seconds, one script an account."""
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            for account, store in stores.items():
                mine = [loan for loan in self._held if loan.claim.account == account]
                if mine:
                    await self._renew(store, mine)

    async def _renew(self, store: MailboxStore, loans: list[Loan]) -> None:
        asked = self._clock.monotonic()
        try:
            lost = await store.renew([loan.claim for loan in loans])
        except redis.exceptions.RedisError as error:
            name = type(error).__name__
            log_event("renew_failed", logging.WARNING, claims=len(loans), error=name)
            return
        gone = {id(claim) for claim in lost}
        for loan in loans:
            if id(loan.claim) in gone:
                loan.lose()
            else:
                loan.extend(asked + self._loan_s[store.account])
