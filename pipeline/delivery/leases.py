"""The claims a process holds, renewed together, and the calls that are made under them.

A call waits for its slot, checks its claim's lease last, and hands the answer's headers to the limiter.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol

import redis.exceptions

from pipeline.clock import Clock
from pipeline.delivery.capacity import SLOT_WAIT_S
from pipeline.dryrun.calls import KeptCalls
from pipeline.errors import StaleClaim
from pipeline.mailbox.claim import Claim
from pipeline.mailbox.store import MailboxStore
from pipeline.observe.logs import log_event
from pipeline.ratelimit.limiter import Limiter
from pipeline.ratelimit.slots import Purpose
from pipeline.retry import THROTTLE_S
from pipeline.sailthru.answers import Answer, Failed, Failure
from pipeline.sailthru.calls import Call

RENEW_EVERY_S = 3.0
SIGNATURE_CODE = 5
MARGIN_S = 1.0
"""Lease time that must remain beyond the HTTP timeout when a call begins."""


class Lease:
    """How long a claim is owned. `valid_until` is monotonic time, read before the write that extended it."""

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


class Leases:
    """All leases of one process, in every account. `lease_s`: account -> how long its leases last.

    A call may begin only if its answer will be in before the lease can expire: `enough` seconds
    (HTTP timeout and a margin) must remain.
    """

    def __init__(self, clock: Clock, *, lease_s: Mapping[str, float]) -> None:
        self._clock = clock
        self._lease_s = lease_s
        self.held: set[Lease] = set()

    @property
    def min_lease_s(self) -> float:
        """How long the leases last of the account that has the shortest."""
        return min(self._lease_s.values())

    @contextlib.contextmanager
    def hold(self, claim: Claim, claimed_at: float) -> Iterator[Lease]:
        """Keep a claim renewed. `claimed_at`: monotonic time before the claim was sent."""
        lease = Lease(claim, claimed_at + self._lease_s[claim.account])
        self.held.add(lease)
        try:
            yield lease
        finally:
            self.held.discard(lease)

    def is_fresh(self, lease: Lease, enough: float) -> bool:
        """Whether a call may begin. Raises StaleClaim when the lease is lost."""
        if lease.lost:
            raise StaleClaim(lease.claim.user)
        return not self.is_over(lease, enough)

    def is_over(self, lease: Lease, enough: float) -> bool:
        """As `is_fresh`, without an exception: it is asked before the first byte of a call."""
        return lease.lost or lease.valid_until - self._clock.monotonic() < enough

    async def until_fresh(self, lease: Lease, enough: float) -> None:
        """Wait for a renewal if too little time is left. Raises StaleClaim when there is none."""
        while not self.is_fresh(lease, enough):
            if self._clock.monotonic() > lease.valid_until:
                raise StaleClaim(lease.claim.user)
            try:
                await asyncio.wait_for(lease.renewed.wait(), RENEW_EVERY_S)
            except TimeoutError:
                continue

    async def renew_forever(self, stores: Mapping[str, MailboxStore]) -> None:
        """Renew everything that is held, every three seconds, one script an account."""
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            for account, store in stores.items():
                mine = [lease for lease in self.held if lease.claim.account == account]
                if mine:
                    await self._renew(store, mine)

    async def _renew(self, store: MailboxStore, leases: list[Lease]) -> None:
        asked = self._clock.monotonic()
        try:
            lost = await store.renew([lease.claim for lease in leases])
        except redis.exceptions.RedisError as error:
            name = type(error).__name__
            log_event("renew_failed", logging.WARNING, claims=len(leases), error=name)
            return
        gone = {id(claim) for claim in lost}
        for lease in leases:
            if id(lease.claim) in gone:
                lease.lose()
            else:
                lease.extend(asked + self._lease_s[store.account])


class Stopping(Exception):
    """The process was told to stop: the call did not begin, and will not."""


class Sender(Protocol):
    """What sends a call: the Sailthru client, or the dry run."""

    async def send(self, call: Call, is_over: Callable[[], bool]) -> Answer:
        """The answer; never raises for network trouble, nor for anything a server says.

        No byte is sent if `is_over()` when the first would be.
        """


class RateFeedback:
    """Hands what answers say of an account's limits to the limiter, for all calls of one process."""

    def __init__(self, account: str, limiter: Limiter) -> None:
        self._account = account
        self._limiter = limiter
        self._in_flight: Counter[str] = Counter()

    @contextlib.contextmanager
    def in_flight(self, bucket: str) -> Iterator[None]:
        """While the block lasts a call is under way that Sailthru may not have counted yet."""
        self._in_flight[bucket] += 1
        try:
            yield
        finally:
            self._in_flight[bucket] -= 1

    async def observe(self, bucket: str, answer: Answer) -> None:
        """Take in an answer: its rate headers, and whether it says that the calls were too many."""
        rate = answer.rate
        if rate is not None:
            in_flight = self._in_flight[bucket]
            await self._limiter.observe(self._account, bucket, rate, in_flight=in_flight)
        if isinstance(answer, Failed) and answer.failure is Failure.THROTTLED:
            now = self._limiter.now(self._account, bucket)
            until = rate.reset if rate else now + THROTTLE_S
            # Without Redis there are no slots either, so other processes need not be told.
            with contextlib.suppress(redis.exceptions.RedisError):
                await self._limiter.close(self._account, bucket, until)


ENDED_MOST = 10_000
"""Calls that are remembered until the engine counts how long they took, once a second."""


class Caller:
    """Calls for one account. `ended`: those that are not counted yet, by bucket. kept: where a dry run keeps its calls."""

    def __init__(
        self,
        account: str,
        sender: Sender,
        limiter: Limiter,
        leases: Leases,
        *,
        http_timeout: float,
        kept: KeptCalls | None = None,
    ) -> None:
        self._account = account
        self._kept = kept
        self._sender = sender
        self._limiter = limiter
        self._leases = leases
        self._http_timeout = http_timeout
        self._enough = http_timeout + MARGIN_S
        self._feedback = RateFeedback(account, limiter)
        self.latency_s = 0.2
        self.ended = deque[tuple[str, Answer]](maxlen=ENDED_MOST)
        self.stopping = False

    def stop(self) -> None:
        """Begin no further call; those that wait for a slot or a renewal give up when it comes."""
        self.stopping = True

    async def call(
        self, lease: Lease, call: Call, purpose: Purpose = "normal", ids: Sequence[str] = ()
    ) -> Answer:
        """Make one call under a lease. ids: of the events that it is about.

        Raises:
            SlotTooFar: its slot is more than two seconds away, or the bucket is closed.
            Stopping: the process was told to stop, and no byte of the call left.
            StaleClaim: the lease is lost.
            redis.exceptions.RedisError: the limits cannot be kept without Redis.
        """
        answer = await self._paced(lease, call, purpose, ids)
        if isinstance(answer, Failed) and answer.code == SIGNATURE_CODE:
            # Single mismatches of a good secret are on record (reference: sailthru-api 8).
            return await self._paced(lease, call, purpose, ids)
        return answer

    async def _paced(
        self, lease: Lease, call: Call, purpose: Purpose, ids: Sequence[str]
    ) -> Answer:
        bucket = call.bucket
        await self._wait_for_slot(lease, bucket, purpose)
        with self._feedback.in_flight(bucket):
            is_over = partial(self._leases.is_over, lease, self._http_timeout)
            answer = await self._sender.send(call, is_over)
        if self._kept is not None:
            await self._kept.add(call, lease.claim.user, ids)
        self.latency_s += 0.1 * (answer.duration_s - self.latency_s)
        self.ended.append((bucket, answer))
        await self._feedback.observe(bucket, answer)
        return answer

    async def _wait_for_slot(self, lease: Lease, bucket: str, purpose: Purpose) -> None:
        """Return with a slot that is now. Whether enough of the lease is left is checked last, and once
        more by the call's first byte: a slot that passed while the lease was being renewed is given
        up, or it would be part of a burst."""
        while True:
            self._check_going()
            await self._leases.until_fresh(lease, self._enough)
            self._check_going()
            await self._limiter.acquire(
                self._account, bucket, purpose=purpose, max_wait=SLOT_WAIT_S
            )
            self._check_going()
            if self._leases.is_fresh(lease, self._enough):
                return

    def _check_going(self) -> None:
        if self.stopping:
            raise Stopping
