"""One turn of a claim: what to do about its first events, done, as one Outcome."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.clock import Clock, Random
from pipeline.delivery import fate, waiting
from pipeline.delivery.caller import Caller
from pipeline.delivery.known import known_of, with_profile
from pipeline.delivery.loans import Loan, Loans
from pipeline.delivery.marks import MISSES_TO_POST_AGAIN, OrderMark, mark_of, read_mark, write_mark
from pipeline.delivery.outages import Outages, as_outage
from pipeline.errors import InvalidEvent, Reason
from pipeline.errors import Rejected as Refusal
from pipeline.events import Event, parse_event
from pipeline.identity import without_nobody
from pipeline.kinds import Ignored as NotForSailthru
from pipeline.mailbox.entry import Entry
from pipeline.mailbox.store import Claim, Deed, MailboxStore
from pipeline.mapping import plan, read_profile
from pipeline.mapping.plan import Cart, Known, Need, Plan, Send, WaitForEmail
from pipeline.outcomes import (
    Delivered,
    Ignored,
    Outage,
    Outcome,
    Postponed,
    Rejected,
    Retry,
    Single,
    WaitingForEmail,
)
from pipeline.ratelimit.limiter import SlotTooFar
from pipeline.ratelimit.limits import Purpose
from pipeline.sailthru.answers import Accepted, Answer, Failure, Refused
from pipeline.sailthru.calls import Call
from pipeline.settings import AccountSettings

MOST_LOOKUPS = 4
"""Look-ups one plan may ask for; more is a bug in the mapping."""
_PURPOSE: dict[str, Purpose] = {"cart": "cart", "email": "email", "merge": "normal"}


@dataclass(frozen=True, slots=True)
class Tools:
    """What delivering for one account takes."""

    settings: AccountSettings
    store: MailboxStore
    caller: Caller
    outages: Outages
    loans: Loans
    clock: Clock
    random: Random


class Turn:
    """What a claim does next, and what has to be remembered from one turn to the next."""

    def __init__(self, tools: Tools, claim: Claim, loan: Loan, started: float) -> None:
        self.claim = claim
        self._tools = tools
        self._loan = loan
        self._started = started
        self._events: dict[str, Event] = {}
        self._singles = 0
        self._offered = 1
        self._forget()

    def _forget(self) -> None:
        self._learn: dict[str, str] = {}
        self._intent_before: str | None = None
        self._looked_up = False

    @property
    def now_ms(self) -> int:
        """Redis' time now, reckoned from the claim's."""
        return self.claim.now + int((self._tools.clock.monotonic() - self._started) * 1000)

    @property
    def head_event(self) -> Event | None:
        """The head as it was parsed; None when it could not be, or nothing is left."""
        return self._events.get(self.claim.head.seq) if self.claim.entries else None

    async def take(self) -> Outcome:
        """Do the next thing. Raises StaleClaim and redis.exceptions.RedisError."""
        claim = self.claim
        if claim.strikes >= fate.POISON_AFTER:
            detail = f"{claim.strikes} deliveries of it ended with a dead or hanging worker"
            return Rejected(Reason.POISON, detail)
        try:
            events = self._parse()
        except InvalidEvent as error:
            return Rejected(error.reason, error.detail)
        return (
            await self._waits(events[0]) or await self._verify_order() or await self._plan(events)
        )

    def complete(self, deed: Deed, outcome: Outcome) -> None:
        """Add to a deed what this turn found out besides its outcome."""
        deed.learn |= self._learn
        if deed.pop:
            return
        head = self.claim.head.seq
        if head in self.claim.states:
            deed.state.setdefault(head, self.claim.states[head])
        unknown_end = isinstance(outcome, Retry | Outage) and outcome.ambiguous
        if self._intent_before is not None and not unknown_end:
            deed.intent = self._intent_before

    def advance(self, outcome: Outcome) -> None:
        """Get ready for the next turn: a refused fold is tried one event at a time."""
        if isinstance(outcome, Single):
            self._singles = self._offered
        elif isinstance(outcome, Delivered | Ignored | Rejected):
            self._singles = max(0, self._singles - 1)
        self.claim.strikes = 0
        self._forget()

    def _parse(self) -> list[Event]:
        """The events on offer: all that was claimed, or one while a fold is tried singly."""
        events: list[Event] = []
        for entry in self.claim.entries[: 1 if self._singles else None]:
            try:
                events.append(self._event(entry))
            except InvalidEvent:
                if not events:
                    raise
                break
        return events

    def _event(self, entry: Entry) -> Event:
        if entry.seq not in self._events:
            nobody = tuple(entry.nobody.split(",")) if entry.nobody else ()
            self._events[entry.seq] = without_nobody(parse_event(entry.raw), nobody)
        return self._events[entry.seq]

    async def _waits(self, head: Event) -> Outcome | None:
        claim = self.claim
        if (old := waiting.merges(head, claim)) is not None:
            return waiting.held_by_merge(claim, await self._tools.store.waiting(old))
        held = waiting.held_by_identify(claim)
        return held or waiting.still_without_email(claim, head, self._tools.settings)

    async def _verify_order(self) -> Outcome | None:
        """Look up an order that may have been posted. None: nothing speaks against posting it."""
        mark = read_mark(self.claim.intent)
        if not isinstance(mark, OrderMark) or mark.misses >= MISSES_TO_POST_AGAIN:
            return None
        settings, now = self._tools.settings, self.now_ms / 1000
        wait = mark.look_again_at(settings.http_timeout, settings.read_lag) - now
        if wait > 0:
            return Postponed(due_in_s=wait, why="order_unverified")
        answer = await self._call(mark.lookup, "normal")
        if isinstance(answer, Accepted):
            return Delivered(cart_after=Cart())
        if isinstance(answer, Postponed):
            return answer
        if answer.failure not in (Failure.REJECTED, Failure.USER_NOT_FOUND):
            return await self._outcome_of(mark.lookup, answer, Need("email", mark.lookup))
        missed = mark.missed(self.now_ms / 1000)
        self._intent_before = self.claim.intent = write_mark(missed)
        if missed.misses >= MISSES_TO_POST_AGAIN:
            return None
        return Postponed(due_in_s=settings.read_lag, why="order_unverified")

    async def _plan(self, events: list[Event]) -> Outcome:
        """Ask the mapping until it needs nothing more, then do what it says."""
        now = self.now_ms / 1000
        known = known_of(self.claim, events[0], now, self._tools.settings.read_lag)
        for _ in range(MOST_LOOKUPS):
            try:
                step = plan(events, known, self._tools.settings)
            except Refusal as refusal:
                return self._refused(refusal)
            except Exception as error:  # noqa: BLE001 - a bug in the mapping costs one event, not the lane
                return Rejected(Reason.CRASHED, f"the mapping failed: {type(error).__name__}")
            if not isinstance(step, Need):
                return await self._act(step)
            found = await self._look_up(step, known)
            if not isinstance(found, Known):
                return found
            known = found
        return Rejected(Reason.CRASHED, "the mapping asked for too many look-ups")

    def _refused(self, refusal: Refusal) -> Outcome:
        """A removal from a cart that reads as empty is looked up once more, past the read lag."""
        head = self.claim.head
        state = self.claim.state(head)
        lagging = self._looked_up and state.empty_since is None
        if refusal.reason is Reason.NOTHING_TO_REMOVE and lagging:
            self.claim.states[head.seq] = replace(state, empty_since=self.claim.clock)
            return Postponed(due_in_s=self._tools.settings.read_lag, why="empty_cart")
        return Rejected(refusal.reason, refusal.detail)

    async def _act(self, step: Plan) -> Outcome:
        match step:
            case Send():
                return await self._send(step)
            case NotForSailthru(reason, covers):
                return Ignored(reason, covers)
            case WaitForEmail():
                head = self.claim.head
                if self._looked_up:
                    state = self.claim.state(head)
                    self.claim.states[head.seq] = replace(state, asked=state.asked + 1)
                return WaitingForEmail()
            case _:
                return Rejected(Reason.CRASHED, f"unknown plan {type(step).__name__}")

    async def _send(self, send: Send) -> Outcome:
        claim = self.claim
        self._offered = send.covers
        if send.intent is not None:
            before = claim.intent
            mark = mark_of(send.intent, self.now_ms / 1000)
            await self._tools.store.record_intent(claim, write_mark(mark))
            self._intent_before = before
        answer = await self._call(send.call, "normal")
        if isinstance(answer, Postponed):
            return answer
        outcome = fate.fate_of_send(answer, send, self.now_ms / 1000)
        part_of_outage = await self._tools.outages.note(claim, send.call, answer, self.now_ms)
        return as_outage(outcome) if part_of_outage else outcome

    async def _look_up(self, need: Need, known: Known) -> Known | Outcome:
        answer = await self._call(need.call, _PURPOSE[need.what])
        if isinstance(answer, Postponed):
            return answer
        self._looked_up = True
        if isinstance(answer, Refused) and answer.failure is not Failure.USER_NOT_FOUND:
            return await self._outcome_of(need.call, answer, need)
        await self._tools.outages.note(self.claim, need.call, answer, self.now_ms)
        found = isinstance(answer, Accepted)
        profile = read_profile(found, answer.body if isinstance(answer, Accepted) else {})
        if need.what == "merge":
            return replace(known, merge=profile)
        if profile.email and not self.claim.memory.email:
            # Time 0: any event that shows an email knows better than a look-up.
            self._learn = {"email": profile.email, "email_at": "0"}
            self.claim.memory.email = profile.email
        return with_profile(known, profile, self.claim)

    async def _outcome_of(self, call: Call, answer: Refused, need: Need) -> Outcome:
        outcome = fate.fate_of_lookup(answer, need, self.now_ms / 1000)
        part_of_outage = await self._tools.outages.note(self.claim, call, answer, self.now_ms)
        return as_outage(outcome) if part_of_outage else outcome

    async def _call(self, call: Call, purpose: Purpose) -> Answer | Postponed:
        try:
            return await self._tools.caller.call(self._loan, call, purpose)
        except SlotTooFar as far:
            return Postponed(due_in_s=min(far.wait_s, 1.0), why="slot_too_far")
