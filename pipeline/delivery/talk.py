"""What one turn says to Sailthru, and the mark it leaves while an answer is not in."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.delivery import fate
from pipeline.delivery.caller import Stopping
from pipeline.delivery.loans import Loan
from pipeline.delivery.marks import (
    MISSES_TO_POST_AGAIN,
    Mark,
    OrderMark,
    ended,
    mark_of,
    read_mark,
    write_mark,
)
from pipeline.delivery.outages import as_outage
from pipeline.delivery.tools import Tools
from pipeline.mailbox.claim import Claim
from pipeline.mapping import read_profile
from pipeline.mapping.plan import Need, Profile, Send
from pipeline.outcomes import Delivered, Outage, Outcome, Postponed, Retry
from pipeline.ratelimit.limiter import SlotTooFar
from pipeline.ratelimit.limits import Purpose
from pipeline.sailthru.answers import Accepted, Answer, Failure, Refused
from pipeline.sailthru.calls import Call

_PURPOSE: dict[str, Purpose] = {
    "cart": "cart",
    "email": "email",
    "merge": "normal",
    "owner": "normal",
}


class Talk:
    """The calls of one turn. All methods raise StaleClaim and redis.exceptions.RedisError, and they
    do so only before a call: once there is an answer it becomes an Outcome."""

    def __init__(self, tools: Tools, claim: Claim, loan: Loan, now_ms: Callable[[], int]) -> None:
        self.looked_up = False
        self._tools = tools
        self._claim = claim
        self._loan = loan
        self._now_ms = now_ms
        self._mark_before: str | None = None

    async def send(self, send: Send) -> Outcome:
        """Make a call that delivers, with its intent on record first."""
        if send.intent is not None:
            timeout = self._tools.settings.http_timeout
            await self._record(mark_of(send.intent, self._now_s, timeout))
        answer = await self._call(send.call, "normal")
        if isinstance(answer, Postponed):
            return answer
        return await self._judge(send.call, answer, fate.fate_of_send(answer, send, self._now_s))

    async def look_up(self, need: Need) -> Profile | Outcome:
        """Ask for a profile; a user whom nobody knows has an empty one."""
        answer = await self._call(need.call, _PURPOSE[need.what])
        if isinstance(answer, Postponed):
            return answer
        self.looked_up = True
        if isinstance(answer, Refused) and answer.failure is not Failure.USER_NOT_FOUND:
            outcome = fate.fate_of_lookup(answer, need, self._now_s)
            return await self._judge(need.call, answer, outcome)
        await self._tools.outages.note(self._claim, need.call, answer, self._now_ms())
        if isinstance(answer, Accepted):
            return read_profile(status_ok=True, body=answer.body)
        return read_profile(status_ok=False, body={})

    async def verify_order(self) -> Outcome | None:
        """Look up an order that may have been posted. None: nothing speaks against posting it."""
        mark = read_mark(self._claim.intent)
        if not isinstance(mark, OrderMark) or mark.misses >= MISSES_TO_POST_AGAIN:
            return None
        settings = self._tools.settings
        wait = mark.look_at(settings.read_lag) - self._now_s
        if wait > 0:
            return Postponed(due_in_s=wait, why="order_unverified")
        answer = await self._call(mark.lookup, "normal")
        if isinstance(answer, Postponed):
            return answer
        outcome = fate.fate_of_order_lookup(answer, mark.lookup, self._now_s)
        if outcome is not None:
            return await self._judge(mark.lookup, answer, outcome)
        missed = mark.missed(self._now_s)
        self._claim.intent = write_mark(missed)
        if missed.misses >= MISSES_TO_POST_AGAIN:
            return None
        return Postponed(due_in_s=settings.read_lag, why="order_unverified")

    def resolve(self, outcome: Outcome) -> None:
        """Let the claim carry the mark that is true now: a call that certainly did nothing leaves
        what was on record before it."""
        if self._mark_before is None or isinstance(outcome, Delivered):
            return
        unknown_end = isinstance(outcome, Retry | Outage) and outcome.ambiguous
        mark = ended(self._claim.intent, self._now_s) if unknown_end else self._mark_before
        self._claim.intent = mark

    @property
    def _now_s(self) -> float:
        return self._now_ms() / 1000

    async def _record(self, mark: Mark) -> None:
        before = self._claim.intent
        await self._tools.store.record_intent(self._claim, write_mark(mark))
        self._mark_before = before

    async def _judge(self, call: Call, answer: Answer, outcome: Outcome) -> Outcome:
        dying_s = fate.dying_s(self._claim, self._tools.settings)
        part_of_outage = await self._tools.outages.note(
            self._claim, call, answer, self._now_ms(), dying_s
        )
        return as_outage(outcome) if part_of_outage else outcome

    async def _call(self, call: Call, purpose: Purpose) -> Answer | Postponed:
        try:
            return await self._tools.caller.call(self._loan, call, purpose)
        except SlotTooFar as far:
            return Postponed(due_in_s=min(far.wait_s, 1.0), why="slot_too_far")
        except Stopping:
            return Postponed(why="stopping")
