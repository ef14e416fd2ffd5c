"""One turn of a claim: what to do about its first events, done, as one Outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline import retry
from pipeline.delivery import fate, waiting
from pipeline.delivery.known import known_of, with_profile
from pipeline.delivery.loans import Loan
from pipeline.delivery.talk import Talk
from pipeline.delivery.tools import Tools
from pipeline.emails import email_in_user_id
from pipeline.errors import InvalidEvent, Reason
from pipeline.errors import Rejected as Refusal
from pipeline.events import Event, parse_event
from pipeline.identity import without_nobody
from pipeline.mailbox.claim import Claim, Deed
from pipeline.mailbox.entry import Entry
from pipeline.mapping import plan
from pipeline.mapping.plan import Known, Need, Owner, Plan, Profile, Send
from pipeline.outcomes import (
    Delivered,
    Ignored,
    Outcome,
    Postponed,
    Rejected,
    Single,
    WaitingForEmail,
)

MOST_LOOKUPS = 4
"""Look-ups one plan may ask for; more is a bug in the mapping."""


class Turn:
    """What a claim does next, and what has to be remembered from one turn to the next."""

    def __init__(self, tools: Tools, claim: Claim, loan: Loan, started: float) -> None:
        self.claim = claim
        self._tools = tools
        self._loan = loan
        self._started = started
        self._events: dict[str, Event] = {}
        self._singles = 0
        self._begin()

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
            events = self._offer()
        except InvalidEvent as error:
            return Rejected(error.reason, error.detail)
        return (
            await self._wait(events[0])
            or await self._talk.verify_order()
            or await self._deliver(events)
        )

    def resolve(self, outcome: Outcome) -> None:
        """Let the claim carry the mark that is true after this outcome."""
        self._talk.resolve(outcome)

    def complete(self, deed: Deed) -> None:
        """Add to a deed what this turn found out besides its outcome."""
        deed.learn |= self._learn
        if deed.pop:
            return
        deed.intent = self.claim.intent
        head = self.claim.head.seq
        if head in self.claim.states:
            deed.state.setdefault(head, self.claim.states[head])

    def advance(self, outcome: Outcome) -> None:
        """Get ready for the next turn: what failed together is tried one by one."""
        if isinstance(outcome, Single):
            self._singles = outcome.covers
        elif isinstance(outcome, Delivered | Ignored | Rejected):
            self._singles = max(0, self._singles - 1)
        self.claim.strikes = 0
        self._begin()

    def _begin(self) -> None:
        self._talk = Talk(self._tools, self.claim, self._loan, lambda: self.now_ms)
        self._learn: dict[str, str] = {}

    def _offer(self) -> list[Event]:
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

    async def _wait(self, head: Event) -> Outcome | None:
        claim, settings = self.claim, self._tools.settings
        if (old := waiting.merges(head, claim)) is not None:
            glance = await self._tools.store.glance(old)
            return waiting.held_by_merge(claim, glance, self.now_ms, settings)
        return waiting.held_by_identify(claim) or waiting.still_without_email(claim, head, settings)

    async def _deliver(self, events: list[Event]) -> Outcome:
        """Ask the mapping until it needs nothing more, then do what it says."""
        settings = self._tools.settings
        known = known_of(self.claim, events[0], self.now_ms / 1000, settings.read_lag)
        for _ in range(MOST_LOOKUPS):
            try:
                step = plan(events, known, settings)
            except Refusal as refusal:
                return self._refused(refusal)
            except Exception as error:  # noqa: BLE001 - a bug in the mapping costs one event, not the lane
                return _crashed(events, f"the mapping failed: {type(error).__name__}")
            if not isinstance(step, Need):
                return await self._act(step)
            found = await self._look_up(step, known)
            if not isinstance(found, Known):
                return found
            known = found
        return _crashed(events, "the mapping asked for too many look-ups")

    async def _look_up(self, need: Need, known: Known) -> Known | Outcome:
        if need.what == "owner":
            return await self._find_owner(need, known)
        found = await self._talk.look_up(need)
        if not isinstance(found, Profile):
            return found
        if need.what == "merge":
            return replace(known, merge=found)
        if found.email and not (self.claim.memory.email or email_in_user_id(self.claim.user)):
            # Time 0: any event that shows an email knows better than a look-up.
            self._learn = {"email": found.email, "email_at": "0"}
            self.claim.memory.email = found.email
        return with_profile(known, found, self.claim)

    async def _find_owner(self, need: Need, known: Known) -> Known | Outcome:
        """What was learned of an email, what its last look-up said, or else Sailthru.

        Sailthru's reads lag our writes, and another worker's call may just be under way: what was
        learned is asked at every identify, and once more after a look-up.
        """
        email, visitor = str(need.call.params["id"]).lower(), self.claim.user
        store, last = self._tools.store, known.last_identify
        owner = Owner(email, learned=await store.owner(email, besides=visitor) is not None)
        if not owner.learned and last and (last.email, last.key) == (email, "extid"):
            owner = replace(owner, extid=last.id)
        elif not owner.learned:
            found = await self._talk.look_up(need)
            if not isinstance(found, Profile):
                return found
            learned = await store.owner(email, besides=visitor) is not None
            owner = Owner(email, found.extid, learned)
        return replace(known, owner=owner)

    async def _act(self, step: Plan) -> Outcome:
        if isinstance(step, Send):
            return await self._talk.send(step)
        if isinstance(step, Ignored):
            return step
        # Without a look-up there is nobody whom Sailthru could be asked about, now or later.
        state = self.claim.state(self.claim.head)
        asked = state.asked + 1 if self._talk.looked_up else retry.ALL_ASKED
        self.claim.states[self.claim.head.seq] = replace(state, asked=asked)
        return WaitingForEmail()

    def _refused(self, refusal: Refusal) -> Outcome:
        """A removal from a cart that reads as empty is looked up once more, past the read lag."""
        head = self.claim.head
        state = self.claim.state(head)
        lagging = self._talk.looked_up and state.empty_since is None
        if refusal.reason is Reason.NOTHING_TO_REMOVE and lagging:
            self.claim.states[head.seq] = replace(state, empty_since=self.claim.clock)
            return Postponed(due_in_s=self._tools.settings.read_lag, why="empty_cart")
        return Rejected(refusal.reason, refusal.detail)


def _crashed(events: Sequence[Event], detail: str) -> Outcome:
    """The mapping reads all that is on offer, so that any of it may have met the bug."""
    return Single(len(events)) if len(events) > 1 else Rejected(Reason.CRASHED, detail)
