"""Any history of posts, wakes, claims, deaths, gates and replays, against a model: I1, I2, I3, I5."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pipeline.errors import StaleClaim
from pipeline.events.models import Lane
from pipeline.gates.gates import Closure, GateReason
from pipeline.identity.placement import EMAILS_A_DAY
from pipeline.mailbox.claim import Claim, Settlement
from tests.support.letter_rules import PICK, LetterRules
from tests.support.mailbox_model import LEASE, Box, Item, Saw
from tests.support.mailboxes import (
    FAR,
    delivered,
    identify,
    letter,
    order,
    track,
    tried_again,
)

LANES = st.sampled_from([Lane.USER, Lane.EVENT, Lane.PURCHASE])
USERS = st.sampled_from(["ann", "bob"])
NEWS = EMAILS_A_DAY
"""Number of the email that only news bring. Whoever shows more emails a day shares no mailbox."""
IDS = st.integers(1, 30).map("m{}".format)
PAUSE = 250
"""Milliseconds for which a mailbox rests that a process of another target wanted to claim."""
EXAMPLES = 1_000 if settings.get_current_profile_name() == "deep" else 40
EVENTS = {Lane.USER: identify, Lane.EVENT: track, Lane.PURCHASE: order}


@dataclass(eq=False)
class Owner:
    """A process's view of a claim, which it may hold long after losing it."""

    claim: Claim
    saw: Saw

    @property
    def lane(self) -> Lane:
        return self.claim.lane


class MailboxMachine(LetterRules):
    """Rules act on Redis and on the model and compare answers; invariants compare the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.foreign = self.boxes.process_of("sailthru.example.com #1")
        self.owners: list[Owner] = []
        self.leased: list[tuple[Lane, str]] = []
        self.ticks: dict[tuple[int, Lane], int] = {}

    def teardown(self) -> None:
        self.run(self.boxes.redis.aclose())
        self.runner.close()

    # --- arrival

    @rule(message_id=IDS, lane=LANES, user=USERS, replay=st.booleans(), split=st.booleans())
    def arrive(self, message_id: str, lane: Lane, user: str, replay: bool, split: bool) -> None:
        """One more event; a repeated id is a duplicate, unless it says that it is a replay."""
        event = EVENTS[lane](message_id, user) | ({"sailpipe": {"replay": True}} if replay else {})
        self._accept(event, user, lane, split, replay=replay)

    @rule(message_id=IDS, user=USERS, number=st.integers(1, NEWS - 1), split=st.booleans())
    def arrive_with_email(self, message_id: str, user: str, number: int, split: bool) -> None:
        email = f"{user}{number}@example.com"
        event = identify(message_id, user, email=email)
        self._accept(event, user, Lane.USER, split, email=email)

    @rule(message_id=IDS, split=st.booleans())
    def arrive_invalid(self, message_id: str, split: bool) -> None:
        self._accept({"messageId": message_id, "type": "nonsense"}, "", None, split)

    def _accept(
        self, event: dict[str, Any], user: str, lane: Lane | None, split: bool, **more: Any
    ) -> None:
        number, message_id = self.model.accepted, event["messageId"]
        self.run(self.boxes.accept(event | {"number": number}))
        key = message_id, event["type"], event.get("event", "")
        self.model.accept(Item(message_id, key, number, user, lane, **more))
        if split:
            self.split()

    @rule()
    def split(self) -> None:
        self.run(self.boxes.split())
        self.model.split()

    # --- leasing

    @rule(lane=LANES, waker=st.integers(0, 1), bound=st.sampled_from([1, 2, 10]))
    def wake(self, lane: Lane, waker: int, bound: int) -> None:
        self._wake(lane, waker, bound, max_queue_length=FAR)

    @rule(lane=LANES, times=st.integers(1, 3))
    def wake_late(self, lane: Lane, times: int) -> None:
        """A machine that stands still, or is always slow."""
        for _ in range(times):
            self.let_time_pass(LEASE // 2 + 1_000)
            self._wake(lane, 0, 10, max_queue_length=FAR)

    @rule(lane=LANES, waker=st.integers(0, 1))
    def wake_while_the_queue_is_long(self, lane: Lane, waker: int) -> None:
        self._wake(lane, waker, 10, max_queue_length=0)

    def _wake(self, lane: Lane, waker: int, bound: int, *, max_queue_length: int) -> None:
        own = self.ticks.get((waker, lane), 0)
        leased = self.run(
            self.boxes.store.wake(
                lane, bound=bound, max_queue_length=max_queue_length, own_tick=own
            )
        )
        self.ticks[waker, lane] = leased.now
        state = self.model.wake(lane, own)
        assert leased.gate == state
        users = self.model.lease(lane, state, bound) if max_queue_length else []
        assert list(leased.boxes) == users
        self.leased += [(lane, user) for user in users]

    @precondition(lambda self: self.model.has_owner)
    @rule(lane=LANES)
    def wake_in_a_process_of_another_target(self, lane: Lane) -> None:
        leased = self.run(self.foreign.wake(lane, bound=10, max_queue_length=FAR, own_tick=0))
        assert (leased.gate, leased.owner, leased.boxes) == ("foreign", self.boxes.store.target, ())
        self.model.wake_foreign(lane)

    @precondition(lambda self: self.leased)
    @rule(pick=PICK)
    def claim_in_a_process_of_another_target(self, pick: int) -> None:
        """It goes back, for a process of its own target to be leased."""
        lane, user = self.leased[-1 - pick % min(3, len(self.leased))]
        assert self.run(self.foreign.claim(lane, user, most=40)) is None
        box = self.model.box(lane, user)
        if box.leased is not None and box.token is None:
            box.leased, box.due = None, self.model.now + PAUSE

    @rule(lane=LANES, user=USERS, most=st.sampled_from([1, 3, 40]))
    def claim(self, lane: Lane, user: str, most: int) -> None:
        """Also by a wake-up that is late, doubled or made up."""
        self._claimed(lane, user, most, self.run(self.boxes.store.claim(lane, user, most=most)))

    @rule(lane=LANES, users=st.lists(USERS, min_size=2, max_size=4), most=st.sampled_from([1, 40]))
    def claim_together(self, lane: Lane, users: list[str], most: int) -> None:
        """One script call; each as if those before it had been claimed alone."""

        async def claim_all() -> list[Claim | None]:
            store = self.boxes.store
            return await asyncio.gather(*(store.claim(lane, one, most=most) for one in users))

        for user, claim in zip(users, self.run(claim_all()), strict=True):
            self._claimed(lane, user, most, claim)

    def _claimed(self, lane: Lane, user: str, most: int, claim: Claim | None) -> None:
        box = self.model.box(lane, user)
        state = self.model.gate(lane)
        if box.leased is None or box.token is not None:
            assert claim is None
            return
        if state == "closed" or (state == "probe" and not box.probe):
            assert claim is None
            box.leased, box.due = None, box.leased_due
            return
        assert claim is not None
        most = 1 if box.strikes >= 2 and box.singles > 0 else most
        assert [entry.id for entry in claim.entries] == [one.id for one in box.items[:most]]
        assert [claim.state(e).tried for e in claim.entries] == [i.tried for i in box.items[:most]]
        assert (claim.strikes, claim.intent) == (box.strikes, box.intent)
        assert claim.clock == self.model.lanes[lane].clock
        assert claim.memory.email == self.model.emails.get(user)
        box.claimed = box.claimed if box.singles else len(claim.entries)
        box.token, box.leased, box.waits = claim.token, self.model.now + LEASE, ""
        self.owners.append(Owner(claim, self.model.saw(lane, user)))

    @rule(lane=LANES, most=st.sampled_from([1, 40]))
    def wake_and_claim(self, lane: Lane, most: int) -> None:
        """As it mostly goes."""
        self.leased.clear()
        self._wake(lane, 0, 10, max_queue_length=FAR)
        for _, user in self.leased[:2]:
            self.claim(lane, user, most)

    @rule(lane=LANES, times=st.integers(1, 3))
    def die_with_all_in_hand(self, lane: Lane, times: int) -> None:
        """Processes, one after the other."""
        for _ in range(times):
            self.wake_and_claim(lane, 40)
            self.let_time_pass(LEASE)

    @precondition(lambda self: self.leased)
    @rule(pick=PICK)
    def claim_what_was_leased(self, pick: int) -> None:
        lane, user = self.leased[-1 - pick % min(3, len(self.leased))]
        self.claim(lane, user, 40)

    # --- owners

    def _owner(self, pick: int) -> tuple[Owner, Box, bool]:
        """One of the latest owners, its mailbox, and whether it still owns that."""
        owner = self.owners[-1 - pick % min(4, len(self.owners))]
        box = self.model.box(owner.lane, owner.claim.box)
        return owner, box, box.token == owner.claim.token

    @precondition(lambda self: self.owners)
    @rule()
    def renew(self) -> None:
        claims = [owner.claim for owner in self.owners]
        lost = self.run(self.boxes.store.renew(claims))
        for owner in self.owners:
            box = self.model.box(owner.lane, owner.claim.box)
            still = box.token == owner.claim.token
            assert (owner.claim not in lost) == still
            if still:
                box.leased = self.model.now + LEASE

    @precondition(lambda self: self.owners)
    @rule(pick=PICK)
    def record_intent(self, pick: int) -> None:
        owner, box, still = self._owner(pick)
        intent = f"intent {pick}"
        try:
            self.run(self.boxes.store.record_intent(owner.claim, intent))
        except StaleClaim:
            assert not still
        else:
            assert still
            box.intent = intent

    def _settle(self, owner: Owner, box: Box, settlement: Settlement, *, still: bool) -> bool:
        try:
            owner.claim = self.run(self.boxes.settle(settlement))
        except StaleClaim:
            assert not still
            self.owners.remove(owner)
            return False
        assert still
        if settlement.intent is not None:
            box.intent = settlement.intent
        return True

    def _recall(self, owner: Owner) -> None:
        if owner.lane is Lane.PURCHASE and owner.claim.user in self.model.emails:
            self.model.recall(owner.claim.user)

    def _give_back(self, owner: Owner, box: Box, due: int) -> None:
        self.owners.remove(owner)
        box.leased = box.token = None
        if box.items:
            box.due = due
        else:
            self.model.forget(box)

    @precondition(lambda self: self.owners)
    @rule(pick=PICK, count=st.integers(1, 3), back=st.booleans())
    def settle_delivered(self, pick: int, count: int, back: bool) -> None:
        owner, box, still = self._owner(pick)
        count = min(count, len(owner.claim.entries))
        back = back or count == len(owner.claim.entries)
        settlement = self._delivery(owner, count, back=back)
        if self._settle(owner, box, settlement, still=still):
            self._delivered(owner, box, settlement)

    @precondition(lambda self: self.owners)
    @rule(most=st.integers(2, 4))
    def settle_together(self, most: int) -> None:
        """One script call; each as if those before it had been settled alone."""
        owners = self.owners[-most:]
        settlements = [self._delivery(one, 1, back=True) for one in owners]

        async def settle_all() -> list[Any]:
            calls = map(self.boxes.store.settle, settlements)
            return await asyncio.gather(*calls, return_exceptions=True)

        for owner, settlement, left in zip(
            owners, settlements, self.run(settle_all()), strict=True
        ):
            box = self.model.box(owner.lane, owner.claim.box)
            if box.token == owner.claim.token:
                assert left >= 0
                if settlement.intent is not None:
                    box.intent = settlement.intent
                self._delivered(owner, box, settlement)
            else:
                assert isinstance(left, StaleClaim)
                self.owners.remove(owner)

    def _delivery(self, owner: Owner, count: int, *, back: bool) -> Settlement:
        settlement = delivered(owner.claim, count, back=back)
        if owner.lane is not Lane.USER:
            return settlement
        learn = {"identified": str(self.model.now)}
        return replace(settlement, learn=learn, wake=(Lane.EVENT, Lane.PURCHASE, Lane.PAGE))

    def _delivered(self, owner: Owner, box: Box, settlement: Settlement) -> None:
        count = settlement.pop
        self.model.progress(box, count)
        self.model.counts["delivered"] += count
        self._recall(owner)
        if settlement.learn:
            self.model.identified[owner.claim.user] = settlement.learn["identified"]
            for lane in settlement.wake:
                self.model.bring_forward(lane, owner.claim.user, {"user", "identify"})
        if settlement.back:
            self._give_back(owner, box, self.model.now)

    @precondition(lambda self: self.owners)
    @rule(pick=PICK, reason=st.sampled_from(["rejected", "missing_email"]), back=st.booleans())
    def settle_dead(self, pick: int, reason: str, back: bool) -> None:
        owner, box, still = self._owner(pick)
        settlement = letter(owner.claim, reason=reason)
        settlement = replace(settlement, back=back or len(owner.claim.entries) == 1)
        if not self._settle(owner, box, settlement, still=still):
            return
        for item in self.model.progress(box, 1):
            self.model.bury(item, reason)
        self._recall(owner)
        if settlement.back:
            self._give_back(owner, box, self.model.now)

    @precondition(lambda self: self.owners)
    @rule(pick=PICK, wait=st.sampled_from([1_000, 30_000]))
    def settle_retry(self, pick: int, wait: int) -> None:
        owner, box, still = self._owner(pick)
        due = self.model.now + wait
        if self._settle(owner, box, tried_again(owner.claim, due), still=still):
            box.items[0].tried += 1
            self._give_back(owner, box, due)

    @precondition(lambda self: self.owners)
    @rule(pick=PICK, what=st.sampled_from(["email", "user", "identify"]), news=st.booleans())
    def settle_waits(self, pick: int, what: Any, news: bool) -> None:
        """What it waits for may have come since it was claimed: then it waits no longer."""
        owner, box, still = self._owner(pick)
        if news:
            message_id = f"news {self.model.accepted}"
            self.arrive_with_email(message_id, owner.claim.user, NEWS, split=True)
        due = self.model.now + 60_000
        settlement = Settlement(owner.claim, back=True, due=due, waits=what)
        if self._settle(owner, box, settlement, still=still):
            box.waits = what
            self.model.outlive(box)
            changed = owner.saw != self._saw_now(owner)
            self._give_back(owner, box, self.model.now if changed else due)

    def _saw_now(self, owner: Owner) -> Saw:
        head = self.model.box(Lane.USER, owner.claim.user).items[:1]
        return *self.model.saw(owner.lane, owner.claim.user)[:2], head[0] if head else None

    @precondition(lambda self: self.owners)
    @rule(pick=PICK)
    def release(self, pick: int) -> None:
        owner, box, still = self._owner(pick)
        if self._settle(owner, box, Settlement(owner.claim, back=True, due="old"), still=still):
            self._give_back(owner, box, box.leased_due)

    @precondition(lambda self: self.owners)
    @rule(pick=PICK)
    def kill(self, pick: int) -> None:
        """A process dies: nobody speaks for its claim any more."""
        self.owners.remove(self._owner(pick)[0])

    # --- time, gates, dead letters

    @rule(ms=st.sampled_from([1, 250, 2_000, 5_000, LEASE, 60_000]))
    def let_time_pass(self, ms: int) -> None:
        self.boxes.clock.advance(ms / 1000)
        self.model.pass_time(ms)
        assert self.boxes.now_ms() == self.model.now

    @rule(
        scope=st.sampled_from(["user", "event", "account"]),
        reason=st.sampled_from(["paused", "throttled", "circuit"]),
        wait=st.sampled_from([0, 3_000]),
    )
    def close_gate(self, scope: str, reason: GateReason, wait: int) -> None:
        until = self.model.now + wait if wait else 0
        self.run(self.boxes.gates.close(Closure(scope, reason, until, self.model.now)))
        self.model.closures.setdefault(scope, {})[reason] = (until, reason == "circuit")

    @precondition(lambda self: any(self.model.closures.values()))
    @rule()
    def open_gates(self) -> None:
        for scope, closures in self.model.closures.items():
            for reason in closures:
                assert self.run(self.boxes.gates.open(scope, reason))  # type: ignore[arg-type]
        self.model.closures.clear()

    # --- invariants

    @invariant()
    def every_event_is_in_exactly_one_place(self) -> None:
        """I1, and the order of every mailbox."""
        assert self.run(self.boxes.backlog()) == len(self.model.raw)
        assert set(self.run(self.boxes.dead())) == set(self.model.dead)
        for (lane, user), box in self.model.boxes.items():
            assert self.run(self.boxes.mail(lane, user)) == [item.id for item in box.items]

    @invariant()
    def counts_add_up(self) -> None:
        """I1: what was accepted is the sum of all that became of it."""
        counts = self.run(self.boxes.counts())
        assert counts == self.model.expected_counts()
        trimmed = sum(count for name, count in counts.items() if name.startswith("trimmed:"))
        assert sum(counts.values()) - trimmed + len(self.model.raw) == self.model.accepted

    @invariant()
    def full_mailboxes_are_due_or_leased(self) -> None:
        """I2: in exactly one of the two, at its time; empty ones in neither, unless owned."""
        for lane in (Lane.USER, Lane.EVENT, Lane.PURCHASE):
            mine = {user: box for (at, user), box in self.model.boxes.items() if at is lane}
            due, leased = self.run(self.boxes.due(lane)), self.run(self.boxes.leased(lane))
            assert not set(due) & set(leased)
            assert due == {u: b.due - self.model.now for u, b in mine.items() if b.due is not None}
            assert leased == {
                u: b.leased - self.model.now for u, b in mine.items() if b.leased is not None
            }
            held = {user for user, box in mine.items() if box.items or box.token}
            assert held == {*due, *leased}


@pytest.mark.hypothesis
def test_any_history_keeps_the_invariants() -> None:
    """I1, I2, I3, I5, on fakeredis."""
    budget = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
    run_state_machine_as_test(MailboxMachine, settings=budget)


@pytest.mark.hypothesis
def test_any_history_keeps_the_invariants_on_a_real_redis(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same scripts under Redis' own Lua."""
    monkeypatch.setattr(MailboxMachine, "url", redis_url)
    budget = settings(max_examples=EXAMPLES, stateful_step_count=50, deadline=None)
    run_state_machine_as_test(MailboxMachine, settings=budget)
