"""Every bound between a mailbox that is due and the call that is made for it.

A mailbox goes through these, one after the other, and each is short, so that what waits keeps its order and
a slow lane holds little that others could have:

1. *Leased*: `leased_bound` mailboxes of a lane of an account are out at a time, what `LEASED_AHEAD_S` of its
   rate and a call can use; after a closed gate fewer (`slow_start.py`).
   Live mailboxes come first. Bulk ones are leased while fewer than `bulk_bound` of both are out, what `BULK_AHEAD_S`
   can use, so that a live one that comes finds few before it; past that they have one call in `BULK_SHARE`.
   After each wake-up the lane rests (`wake_pause`) for a quarter of the time for which what is out keeps it busy: a
   lane that has little is woken at once, and one that has much seldom, for many mailboxes together.
2. *Published*: `MESSAGE_BOXES` of them in one Celery message; nothing is leased while the lane's queue, which all
   accounts share, holds `QUEUE_MESSAGES`.
3. *Taken*: a process takes every message it gets at once (`workers/runtime.py`). What it has no room for waits in the
   process, in the line of its own account and lane, so that it stands in no other's way. Step 1 bounds how much that
   is, and a mailbox that waits already is not taken twice when its lease has run out meanwhile.
4. *Claimed*: of a lane a process claims as many as `CLAIMED_AHEAD_S` of the rate and a call can use, and no more than
   the process has claims left of `PROCESS_CLAIMS` (`AdaptiveLimiter`). So an account, lane or endpoint that answers slowly
   ends up with half of them at most, two with a third each, and there is always as much left for the next that comes;
   `LEAST_OUT` are its own in any case. A claim reads `CLAIM_EVENTS` events and ends after `CLAIM_TURNS` calls
   (`BULK_TURNS` where it is bulk) or `CLAIM_S`.
   While `GATHER_FROM` are in hand, claims and settlements wait some milliseconds for others, to be one script call
   (`mailbox/store.py`).
5. *Sent*: a call waits `SLOT_WAIT_S` for its slot at most, and slots are reserved no further ahead than
   `MAX_AHEAD` (`ratelimit/slots.py`), so that a bucket that is closed is soon quiet. A claim makes one call at a time:
   `PROCESS_CLAIMS` are no more than the sockets of a process (`sailthru/transport.py`).
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from types import TracebackType

MAX_LEASED = 2_000
"""Mailboxes of a lane that are leased at a time at most, however fast it is."""
LEAST_OUT = 4
"""Mailboxes of a lane that are leased at a time at least, however slow it is: one may wait for long."""
LEASED_AHEAD_S = 2.0
BULK_AHEAD_S = 0.3
"""As long, about, does a live event wait for the bulk ones before it."""
MIN_PAUSE_S = 0.01
"""Reasons to wake a lane that come closer together than this count as one."""
MAX_PAUSE_S = 0.1
MAX_RATE = 1_000.0
"""Calls/s of one lane that a process makes at most, wherever its limit is."""
MESSAGE_BOXES = 50
"""Mailboxes in one Celery message: few messages, yet enough of them to share among processes."""
QUEUE_MESSAGES = 10
"""Messages in a lane's Celery queue past which nothing more is published."""
PROCESS_CLAIMS = 1_000
"""Mailboxes a process has claimed at once, of all accounts and lanes; most wait for a slot or an answer."""
CLAIMED_AHEAD_S = 0.3
CLAIM_EVENTS = 40
"""Events a claim reads: what can fold is seen at once, and a claim stays small."""
CLAIM_TURNS = 6
CLAIM_S = 1.0
"""A claim ends after a handful of calls or a second, so that a busy user keeps no other user waiting."""
BULK_TURNS = 2
"""Calls after which a claim of a bulk mailbox ends: what is live waits for those that are claimed already."""
SLOT_WAIT_S = 2.0
"""How long a call waits for its slot before its mailbox is given back."""


def leased_bound(rate: float, latency_s: float) -> int:
    """How many mailboxes of a lane may be leased at a time, at `rate` calls/s of `latency_s` each."""
    return _usable(rate, latency_s + LEASED_AHEAD_S)


def bulk_bound(rate: float, latency_s: float) -> int:
    """How many may be leased when a bulk one is to be among them."""
    return _usable(rate, latency_s + BULK_AHEAD_S)


def claimed_bound(rate: float, latency_s: float) -> int:
    """How many of them one process claims at a time."""
    return _usable(rate, latency_s + CLAIMED_AHEAD_S)


def wake_pause(leased: int, rate: float) -> float:
    """Seconds until a lane is woken again, of which so many mailboxes are out, at `rate` calls/s (0: its bucket is closed).

    A quarter of the time for which they keep it busy. What waits out a pause is out for longer itself: with half of that
    time, or its square, pauses stretch each other, and at half of the rate an event takes 45 ms instead of 28.
    """
    busy_s = leased / min(rate, MAX_RATE) if rate else math.inf
    return min(MAX_PAUSE_S, max(MIN_PAUSE_S, busy_s / 4))


def _usable(rate: float, seconds: float) -> int:
    return max(LEAST_OUT, min(MAX_LEASED, int(rate * seconds)))


class ClaimPool:
    """The claims that a process may still make, whatever lane they are of. For one asyncio loop."""

    def __init__(self, size: int = PROCESS_CLAIMS) -> None:
        self.left = size


class AdaptiveLimiter:
    """A semaphore whose size may change while it is used; waiters enter in order of arrival.

    It belongs to one lane of one account: as many are inside as its size says, but no more than are left in the
    pool, which it shares with the limiters of all others.

    What is leased but has no room yet is not claimed: a claim that only waits for its slot would
    have to be renewed and, in the end, given back for nothing.
    """

    def __init__(self, size: Callable[[], int], pool: ClaimPool) -> None:
        self._size = size
        self._pool = pool
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        if self._has_capacity() and not self._waiting:
            self._enter()
            return
        ticket = asyncio.get_running_loop().create_future()
        self._waiting.append(ticket)
        try:
            await ticket
        except asyncio.CancelledError:
            if ticket.done() and not ticket.cancelled():
                self._leave()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    def _has_capacity(self) -> bool:
        return self._inside < min(self._size(), max(LEAST_OUT, self._pool.left))

    def _enter(self) -> None:
        self._inside += 1
        self._pool.left -= 1

    def _leave(self) -> None:
        self._inside -= 1
        self._pool.left += 1
        while self._waiting and self._has_capacity():
            ticket = self._waiting.popleft()
            if not ticket.done():
                self._enter()
                ticket.set_result(None)
