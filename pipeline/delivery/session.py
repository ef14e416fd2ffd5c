"""Works the turns of one claim: looks up what its first events need, and makes the calls they become."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import overload

import redis.exceptions

from pipeline.clock import Clock, Random
from pipeline.delivery import waiting
from pipeline.delivery.classify import (
    Crashed,
    NoAnswer,
    NotSent,
    Request,
    Struck,
    decide,
)
from pipeline.delivery.context import (
    TurnState,
    known_address,
    plan_context,
    turn_state,
    with_profile,
)
from pipeline.delivery.intents import IntentLog, PendingOrder, reservation_of
from pipeline.delivery.leases import Caller, Lease, Leases, Stopping
from pipeline.delivery.traces import Settled
from pipeline.errors import InvalidEvent, MappingRejected
from pipeline.events.emails import address_key, email_in_user_id, first_usable
from pipeline.events.models import Event, OptOut, parse_event
from pipeline.events.rights import restricted
from pipeline.gates.brake import Brake
from pipeline.gates.outages import Outages
from pipeline.identity.placement import without_shared_ids
from pipeline.mailbox.claim import Claim, Entry
from pipeline.mailbox.store import MailboxStore
from pipeline.mapping import plan
from pipeline.mapping.plan import Ignored, Intent, Need, Owner, PlanContext, Profile, Send
from pipeline.outcomes import LookedUp, Outcome, PostAgain, Verdict
from pipeline.ratelimit.limiter import SlotTooFar
from pipeline.ratelimit.slots import Purpose
from pipeline.roles import Role
from pipeline.settings import AccountSettings
from pipeline.storage.numbers import POISON_AFTER

MAX_LOOKUPS = 4
"""Look-ups one plan may ask for; more is a bug in the mapping."""
_PURPOSE: dict[str, Purpose] = {
    "cart": "cart",
    "email": "email",
    "merge": "normal",
    "owner": "normal",
}


@dataclass(frozen=True, slots=True)
class DeliveryContext:
    """What delivering for one account takes. Made once a process; all claims share what is in it.

    traces: where settlements go for the log of outcomes; None when the account keeps none.
    """

    settings: AccountSettings
    store: MailboxStore
    caller: Caller
    outages: Outages
    brake: Brake
    leases: Leases
    clock: Clock
    random: Random
    traces: deque[Settled] | None = None


class CallSession:
    """One claim's turns. `state` is what the present turn is based on, kept up to date for its settlement. `events`: those
    of the claim that were read, by `seq`; `calls`: those that were made (see `Settled` in traces.py).

    Once there is an answer it becomes an Outcome: errors of Redis are raised only before a call is made.
    """

    state: TurnState

    def __init__(
        self, context: DeliveryContext, lease: Lease, claim: Claim, started: float
    ) -> None:
        """`started`: monotonic time before the claim was asked for."""
        self._context = context
        self._lease = lease
        self._claimed_ms = claim.now
        self._started = started
        self.events: dict[str, Event] = {}
        self.calls: list[tuple[str, int | None, float, int]] = []

    @property
    def now_ms(self) -> int:
        """Redis' time now, reckoned from the claim's."""
        return self._claimed_ms + int((self._context.clock.monotonic() - self._started) * 1000)

    async def turn(self, claim: Claim, *, alone: bool) -> Outcome:
        """Do the next thing about the claim's first events, or with `alone` about its first. Raises StaleClaim."""
        self.state = turn_state(claim)
        if self._context.caller.stopping:
            return self._without_answer(NotSent("stopping"))
        if claim.strikes >= POISON_AFTER:
            return self._without_answer(Struck(claim.strikes))
        try:
            events = self._offer(claim, alone=alone)
        except InvalidEvent as error:
            return self._without_answer(error)
        self.state = replace(self.state, event=events[0], offered=len(events))
        try:
            return (
                await self._must_wait(events[0])
                or (self.state.intents.pending and await self._verify_order())
                or await self._deliver(events)
            )
        except redis.exceptions.RedisError as error:
            return self._without_answer(NotSent(type(error).__name__, due_in_s=1.0))

    def _offer(self, claim: Claim, *, alone: bool) -> list[Event]:
        """The events on offer: all that was claimed, or one while a fold is tried one by one."""
        events: list[Event] = []
        for entry in claim.entries[: 1 if alone else None]:
            try:
                events.append(self._event(entry))
            except InvalidEvent:
                if not events:
                    raise
                break
        return events

    def _event(self, entry: Entry) -> Event:
        event = self.events.get(entry.seq)
        if event is None:
            event = parse_event(entry.raw)
            if entry.role is not Role.SERVER:
                event = restricted(event, entry.role)
            if entry.shared_ids:
                event = without_shared_ids(event, tuple(entry.shared_ids.split(",")))
            if entry.optout == "only":
                event = OptOut.of(event)
            self.events[entry.seq] = event
        return event

    async def _must_wait(self, head: Event) -> Outcome | None:
        state, settings = self.state, self._context.settings
        old = waiting.merged_away(state, head)
        if old is None:
            return waiting.must_wait(state, head, settings)
        backlog = await self._context.store.peek(old)
        return waiting.waits_for_merge(state, backlog, self.now_ms, settings)

    async def _verify_order(self) -> Outcome | None:
        """Look up an order that may have been posted. None: nothing speaks against posting it."""
        order = self.state.intents.unverified
        if order is None:
            return None
        wait_s = order.look_at(self._context.settings.read_lag) - self.now_ms / 1000
        if wait_s > 0:
            return self._without_answer(NotSent("order_unverified", wait_s))
        verdict = await self._ask(order, "normal")
        if not isinstance(verdict, PostAgain):
            return verdict
        missed = self.state.intents.missed(self.now_ms / 1000)
        self.state = replace(self.state, intents=missed)
        return None

    async def _deliver(self, events: list[Event]) -> Outcome:
        """Ask the mapping until it needs nothing more, then do what it says."""
        settings = self._context.settings
        known = plan_context(self.state, events[0], self.now_ms / 1000, settings.read_lag)
        for _ in range(MAX_LOOKUPS):
            try:
                step = plan(events, known, settings)
            except MappingRejected as refusal:
                return self._without_answer(refusal)
            except Exception as error:  # noqa: BLE001 - a bug in the mapping costs one event, not the lane
                return self._without_answer(Crashed(f"the mapping failed: {type(error).__name__}"))
            if isinstance(step, Send):
                outcome = await self._send(step)
                user = isinstance(outcome, Ignored) and await self._signed_in(known)
                if not user:
                    return outcome
                known = replace(known, user_id=user)
                continue
            if not isinstance(step, Need):
                return self._without_answer(step)
            found = await self._look_up(step, known)
            if not isinstance(found, PlanContext):
                return found
            known = found
        return self._without_answer(Crashed("the mapping asked for too many look-ups"))

    async def _signed_in(self, known: PlanContext) -> str | None:
        """The user whom a visitor turned out to be, of whom Sailthru has just not known the profile: a merge has
        taken it away before this event's turn came."""
        visitor = self.state.event and self.state.event.anonymous_id
        if known.user_id is not None or visitor != self.state.claim.user:
            return None
        user = await self._context.store.leads_to(self.state.claim.user)
        return None if user == self.state.claim.user else user

    async def _look_up(self, need: Need, known: PlanContext) -> PlanContext | Outcome:
        """What planning may rely on once this is known; an outcome when Sailthru could not be asked."""
        if need.what == "owner":
            return await self._find_owner(need, known)
        found = await self._ask_for_profile(need)
        if not isinstance(found, Profile):
            return found
        if need.what == "merge":
            return replace(known, merge=found)
        claim = self.state.claim
        is_known = first_usable((claim.memory.email, email_in_user_id(claim.user)), known.refused)
        email = None if is_known else first_usable([found.email], known.refused)
        self.state = replace(self.state, email=self.state.email or email)
        if need.what == "cart" and found.email and known_address(self.state) is None:
            there = address_key(found.email), await self._context.store.cart_of(found.email)
            self.state = replace(self.state, claim=replace(claim, cart_of=there))
        return with_profile(known, found, self.state)

    async def _find_owner(self, need: Need, known: PlanContext) -> PlanContext | Outcome:
        """What was learned of an email, what its last look-up said, or else Sailthru.

        Sailthru's reads lag our writes, and another worker's call may just be under way: what was
        learned is asked at every identify, and once more after a look-up.
        """
        email, visitor = str(need.call.params["id"]).lower(), self.state.claim.user
        store, last = self._context.store, known.last_identify
        owner = Owner(email, learned=await store.owner(email, besides=visitor) is not None)
        if not owner.learned and last and (last.email, last.key) == (email, "extid"):
            owner = replace(owner, extid=last.id, exists=True)
        elif not owner.learned:
            found = await self._ask_for_profile(need)
            if not isinstance(found, Profile):
                return found
            learned = await store.owner(email, besides=visitor) is not None
            owner = Owner(email, found.extid, learned, found.exists)
        return replace(known, owner=owner)

    async def _ask_for_profile(self, need: Need) -> Profile | Outcome:
        found = await self._ask(need, _PURPOSE[need.what])
        if not isinstance(found, LookedUp):
            return found
        self.state = replace(self.state, looked_up=True)
        return found.profile

    async def _send(self, send: Send) -> Outcome:
        """Make a call that delivers, with its intent on record first."""
        state, settings = self.state, self._context.settings
        if state.claim.absence and (absent := waiting.still_absent(state, send.call, settings)):
            return self._without_answer(absent)
        if send.intent is not None:
            obstacle = await self._begin(send.intent)
            if obstacle is not None:
                return obstacle
        return await self._ask(send, "normal")

    async def _begin(self, intent: Intent) -> Outcome | None:
        """Put on record what the call is about to do. An outcome when it must not be made, or not yet."""
        settings, intents = self._context.settings, self.state.intents
        begun = intents.begin(intent, self.now_ms / 1000, settings.http_timeout)
        order = reservation_of(intent, intents, settings)
        taken = await self._context.store.record_intent(self.state.claim, begun.encode(), order)
        if taken is None:
            self.state = replace(self.state, intents=begun)
            return None
        if taken.how != "unanswered":
            return self._without_answer(taken)
        # Another event of this order died while nothing was known of its call: that is looked up first.
        self.state = replace(self.state, intents=IntentLog.read(taken.intent))
        return await self._verify_order() or await self._begin(intent)

    @overload
    async def _ask(self, request: Send, purpose: Purpose) -> Outcome: ...
    @overload
    async def _ask(self, request: Need, purpose: Purpose) -> Outcome | LookedUp: ...
    @overload
    async def _ask(self, request: PendingOrder, purpose: Purpose) -> Outcome | PostAgain: ...
    async def _ask(self, request: Request, purpose: Purpose) -> Verdict:
        """Make one call, decide what its answer means, and let gates follow."""
        call, context = request.call, self._context
        outages = context.outages
        if outages.held and (wait_s := outages.held_s(call, self.now_ms)):
            return self._without_answer(NotSent("endpoint_closed", wait_s))
        try:
            answer = await context.caller.call(self._lease, call, purpose, self._ids_of(request))
        except SlotTooFar as far:
            return self._without_answer(NotSent("slot_too_far", far.wait_s))
        except Stopping:
            return self._without_answer(NotSent("stopping"))
        now_ms, claim = self.now_ms, self.state.claim
        health = await context.outages.seen(claim, call, answer, now_ms)
        self.calls.append((health.bucket, answer.status, answer.duration_s, now_ms))
        verdict = decide(answer, request, self.state, health, context.settings, now_ms / 1000)
        if health.moves_gates:
            await context.outages.apply(verdict, claim, health, now_ms)
        return verdict

    def _ids_of(self, request: Request) -> list[str]:
        """The events that a call is about: those that it delivers, or the one that needs what it looks up."""
        covers = request.covers if isinstance(request, Send) else 1
        return [entry.id for entry in self.state.claim.entries[:covers]]

    def _without_answer(self, met: NoAnswer) -> Outcome:
        return decide(met, None, self.state, None, self._context.settings, self.now_ms / 1000)
