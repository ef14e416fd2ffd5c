"""Makes one call to Sailthru: waits for its slot, checks the loan last, and learns from the answer."""

from __future__ import annotations

import contextlib
from collections import Counter
from functools import partial
from typing import Protocol

import redis.exceptions

from pipeline.clock import Clock
from pipeline.delivery.loans import Loan, Loans
from pipeline.ratelimit.limiter import Limiter
from pipeline.ratelimit.limits import Purpose
from pipeline.retry import THROTTLE_S
from pipeline.sailthru.answers import Accepted, Answer, Failure, Refused
from pipeline.sailthru.calls import Call
from pipeline.sailthru.transport import not_after

SIGNATURE_CODE = 5
MARGIN_S = 1.0
"""Loan time that must remain beyond the HTTP timeout when a call begins."""


class Stopping(Exception):
    """The process was told to stop: the call did not begin, and will not."""


class Sender(Protocol):
    """What sends a call: the Sailthru client, or the dry run."""

    async def send(self, call: Call) -> Answer:
        """The answer; never raises for network trouble, nor for anything a server says."""


class DryRun:
    """Sends nothing and says yes (setting DRY_RUN)."""

    async def send(self, call: Call) -> Answer:
        return Accepted(200, {"ok": True} if call.method != "GET" else {})


class Caller:
    """Calls for one account."""

    def __init__(
        self,
        account: str,
        sender: Sender,
        limiter: Limiter,
        loans: Loans,
        clock: Clock,
        *,
        http_timeout: float,
    ) -> None:
        self._account = account
        self._sender = sender
        self._limiter = limiter
        self._loans = loans
        self._clock = clock
        self._http_timeout = http_timeout
        self._enough = http_timeout + MARGIN_S
        self._in_flight: Counter[str] = Counter()
        self.latency_s = 0.2
        self.stopping = False

    def stop(self) -> None:
        """Begin no further call; those that wait for a slot or a renewal give up when it comes."""
        self.stopping = True

    async def call(self, loan: Loan, call: Call, purpose: Purpose = "normal") -> Answer:
        """Make one call under a loan.

        Raises:
            SlotTooFar: its slot is more than two seconds away, or the bucket is closed.
            Stopping: the process was told to stop, and no byte of the call left.
            StaleClaim: the loan is lost.
            redis.exceptions.RedisError: the limits cannot be kept without Redis.
        """
        answer = await self._paced(loan, call, purpose)
        if isinstance(answer, Refused) and answer.code == SIGNATURE_CODE:
            # Single mismatches of a good secret are on record (reference: sailthru-api 8).
            return await self._paced(loan, call, purpose)
        return answer

    async def _paced(self, loan: Loan, call: Call, purpose: Purpose) -> Answer:
        await self._wait_for_slot(loan, call.bucket, purpose)
        self._in_flight[call.bucket] += 1
        try:
            with not_after(partial(self._loans.is_over, loan, self._http_timeout)):
                answer = await self._sender.send(call)
        finally:
            self._in_flight[call.bucket] -= 1
        self.latency_s += 0.1 * (answer.duration_s - self.latency_s)
        await self._observe(call.bucket, answer)
        return answer

    async def _wait_for_slot(self, loan: Loan, bucket: str, purpose: Purpose) -> None:
        """Return with a slot that is now. Whether enough of the loan is left is checked last, and once
        more by the call's first byte: a slot that passed while the loan was being renewed is given
        up, or it would be part of a burst."""
        while True:
            self._check_going()
            await self._loans.until_fresh(loan, self._enough)
            self._check_going()
            await self._limiter.acquire(self._account, bucket, purpose=purpose)
            self._check_going()
            if self._loans.is_fresh(loan, self._enough):
                return

    def _check_going(self) -> None:
        if self.stopping:
            raise Stopping

    async def _observe(self, bucket: str, answer: Answer) -> None:
        rate = answer.rate
        if rate is not None:
            in_flight = self._in_flight[bucket]
            await self._limiter.observe(self._account, bucket, rate, in_flight=in_flight)
        if isinstance(answer, Refused) and answer.failure is Failure.THROTTLED:
            until = rate.reset if rate else self._clock.now() + THROTTLE_S
            # Without Redis there are no slots either, so nothing is lost by not telling the others.
            with contextlib.suppress(redis.exceptions.RedisError):
                await self._limiter.close(self._account, bucket, until)
