"""Any history of posts, wakes, claims, deaths, gates and replays, against a model: I1, I2, I3, I5."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from pipeline.errors import StaleClaim
from pipeline.events.models import Lane
from pipeline.gates.gates import Closure, GateReason
from pipeline.mailbox.claim import Entry, Settlement
from pipeline.mailbox.moves import Doomed, WaitingMoves
from pipeline.settings import DEFAULT_ACCOUNT
from pipeline.storage import keys
from tests.support.key_table import check_keys
from tests.support.lease_rules import LANES, LATE_EMAIL, USERS, LeaseRules, Owner
from tests.support.letter_rules import PICK
from tests.support.mailbox_model import LEASE, Box, Expected
from tests.support.mailboxes import delivered, letter, tried_again

EXAMPLES = 1_000 if settings.get_current_profile_name() == "deep" else 40


class MailboxMachine(LeaseRules):
    """Rules act on Redis and on the model and compare answers; invariants compare the rest."""

    def teardown(self) -> None:
        self.run(check_keys(self.boxes.redis))
        self.run(self.boxes.redis.aclose())
        self.runner.close()

    # --- owners

    def _owner(self, pick: int) -> tuple[Owner, Box, bool]:
        """One of the latest owners, its mailbox, and whether it still owns that."""
        owner = self.owners[-1 - pick % min(4, len(self.owners))]
        box = self.model.box(owner.lane, owner.claim.user)
        return owner, box, box.token == owner.claim.token

    @precondition(lambda self: self.owners)
    @rule()
    def renew(self) -> None:
        claims = [owner.claim for owner in self.owners]
        lost = self.run(self.boxes.store.renew(claims))
        for owner in self.owners:
            box = self.model.box(owner.lane, owner.claim.user)
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
        if still:
            self.model.settles(owner.lane, box, owner.claim.step)
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

    def _recall(self, owner: Owner, *, bulk: bool) -> None:
        if owner.lane is Lane.PURCHASE and owner.claim.user in self.model.emails:
            self.model.recall(owner.claim.user, bulk=bulk)

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
            box = self.model.box(owner.lane, owner.claim.user)
            if box.token == owner.claim.token:
                assert left >= 0
                self.model.settles(owner.lane, box, owner.claim.step)
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
        count, bulk = settlement.pop, box.is_bulk
        self.model.progress(box, count)
        self.model.counts["delivered"] += count
        self._recall(owner, bulk=bulk)
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
        bulk = box.is_bulk
        for item in self.model.progress(box, 1):
            self.model.bury(item, reason)
        self._recall(owner, bulk=bulk)
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
    @rule(
        pick=PICK,
        what=st.sampled_from(["email", "user", "identify"]),
        late_email=st.booleans(),
        lift=st.none() | USERS,
        as_bulk=st.booleans(),
    )
    def settle_waits(
        self, pick: int, what: Any, late_email: bool, lift: str | None, as_bulk: bool
    ) -> None:
        """What it waits for may have come since it was claimed: then it waits no longer. Else it is no more bulk than
        what waits for it. All that it holds may be bulk from now on, but nothing that its owner has not seen."""
        owner, box, still = self._owner(pick)
        if late_email:
            message_id = f"late {self.model.accepted}"
            self.arrive_with_email(message_id, owner.claim.user, LATE_EMAIL, split=True)
        due = self.model.now + 60_000
        seen = len(owner.claim.entries)
        bulk = seen if as_bulk else 0
        settlement = Settlement(owner.claim, back=True, due=due, waits=what, lift=lift, bulk=bulk)
        if self._settle(owner, box, settlement, still=still):
            if bulk == len(box.items):
                for item in box.items:
                    item.bulk, item.lifted = True, False
            box.waits = what
            self.model.outlive(box)
            changed = owner.expected != self._expected_now(owner)
            if not box.is_bulk:
                lifted = [(Lane.USER, owner.claim.user), *((lane, lift) for lane in Lane if lift)]
                for lane, user in lifted:
                    self.model.lift(self.model.box(lane, user))
            self._give_back(owner, box, self.model.now if changed else due)

    def _expected_now(self, owner: Owner) -> Expected:
        head = self.model.box(Lane.USER, owner.claim.user).items[:1]
        return *self.model.expected(owner.lane, owner.claim.user)[:2], head[0] if head else None

    @precondition(lambda self: self.owners)
    @rule(pick=PICK)
    def release(self, pick: int) -> None:
        owner, box, still = self._owner(pick)
        if self._settle(owner, box, Settlement(owner.claim, back=True, due="old"), still=still):
            self._give_back(owner, box, box.leased_due)

    @precondition(lambda self: self.owners)
    @rule(pick=PICK)
    def kill(self, pick: int) -> None:
        """A process dies: its claim is never settled."""
        self.owners.remove(self._owner(pick)[0])

    # --- an operator

    @rule(lane=LANES, user=USERS, count=st.integers(1, 3), due=st.booleans())
    def remove_what_waits(self, lane: Lane, user: str, count: int, due: bool) -> None:
        """From a mailbox that is not leased, and waits for what the operator saw; else nothing goes."""
        box = self.model.box(lane, user)
        redis: Any = self.boxes.redis
        entries = self.run(redis.lrange(keys.mail(DEFAULT_ACCOUNT, lane, user), 0, 0))
        seq = Entry.decode(entries[0]).seq if entries else "1-1"
        waits = box.waits if due else "order"
        moves = WaitingMoves(self.boxes.redis, DEFAULT_ACCOUNT, time_ms=self.boxes.now_ms)
        [gone] = self.run(moves.remove(lane, waits, [Doomed(user, seq, count)]))
        if box.due is None or waits != box.waits:
            assert gone == 0
            return
        assert gone == min(count, len(box.items))
        box.items = box.items[gone:]
        box.waits, box.intent, box.strikes, box.singles = "", "", 0, 0
        box.due = min(box.due, self.model.now) if box.items else None
        self.model.counts["removed"] += gone
        if lane is Lane.USER:
            for other in Lane:
                self.model.bring_forward(other, user, {"user", "identify"})

    # --- gates

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
                assert self.run(self.boxes.gates.open(scope, reason))
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
        """I2: in exactly one of the two, at its time, the due ones by class; empty ones in neither, unless owned."""
        for lane in (Lane.USER, Lane.EVENT, Lane.PURCHASE):
            mine = {user: box for (at, user), box in self.model.boxes.items() if at is lane}
            leased, due = self.run(self.boxes.leased(lane)), dict[str, int]()
            for bulk in (False, True):
                waiting = self.run(self.boxes.due(lane, bulk=bulk))
                assert waiting == {
                    user: box.due - self.model.now
                    for user, box in mine.items()
                    if box.due is not None and box.is_bulk == bulk
                }
                due |= waiting
            assert not set(due) & set(leased)
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
