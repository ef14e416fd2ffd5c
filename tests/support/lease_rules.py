"""How events arrive and mailboxes are leased in any history: rules for the machine that compares it to a model."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from pipeline.events.emails import EMAILS_A_DAY
from pipeline.events.models import Lane
from pipeline.mailbox.claim import Claim
from tests.support.letter_rules import PICK, LetterRules
from tests.support.mailbox_model import LEASE, Expected, Item
from tests.support.mailboxes import FAR, identify, order, track

LANES = st.sampled_from([Lane.USER, Lane.EVENT, Lane.PURCHASE])
USERS = st.sampled_from(["ann", "bob"])
LATE_EMAIL = EMAILS_A_DAY
"""Number of the email that a user shows only between a claim and its settlement. With more emails a day the
user would be a shared id."""
FLAG = st.booleans()
IDS = st.integers(1, 30).map("m{}".format)
EVENTS = {Lane.USER: identify, Lane.EVENT: track, Lane.PURCHASE: order}


@dataclass(eq=False)
class Owner:
    """A process's view of a claim, which it may hold long after losing it."""

    claim: Claim
    expected: Expected

    @property
    def lane(self) -> Lane:
        return self.claim.lane


class LeaseRules(LetterRules):
    """The rules up to the claim: events arrive, time passes, mailboxes are leased and claimed."""

    def __init__(self) -> None:
        super().__init__()
        self.foreign = self.boxes.process_of("sailthru.example.com #1")
        self.owners: list[Owner] = []
        self.leased: list[tuple[Lane, str]] = []
        self.ticks: dict[tuple[int, Lane], tuple[int, int]] = {}
        self.stepped = 0

    @rule(ms=st.sampled_from([1, 250, 2_000, 5_000, LEASE, 60_000]))
    def let_time_pass(self, ms: int) -> None:
        self.boxes.clock.advance(ms / 1000)
        self.model.pass_time(ms)
        assert self.boxes.now_ms() == self.model.now

    @rule(ms=st.sampled_from([1_500, 5_900, LEASE, 60_000]))
    def set_the_clock_forward(self, ms: int) -> None:
        """Redis' clock, and no waker's."""
        self.boxes.clock.advance(ms / 1000)
        self.model.pass_time(ms)
        self.stepped += ms

    # --- arrival

    @rule(message_id=IDS, lane=LANES, user=USERS, replay=FLAG, split=FLAG, bulk=FLAG)
    def arrive(
        self, message_id: str, lane: Lane, user: str, replay: bool, split: bool, bulk: bool
    ) -> None:
        """One more event; a repeated id is a duplicate, unless it says that it is a replay."""
        event = EVENTS[lane](message_id, user) | ({"sailpipe": {"replay": True}} if replay else {})
        self._accept(event, user, lane, split, replay=replay, bulk=bulk)

    @rule(message_id=IDS, user=USERS, number=st.integers(1, LATE_EMAIL - 1), split=FLAG, bulk=FLAG)
    def arrive_with_email(
        self, message_id: str, user: str, number: int, split: bool, bulk: bool = False
    ) -> None:
        email = f"{user}{number}@example.com"
        event = identify(message_id, user, email=email)
        self._accept(event, user, Lane.USER, split, email=email, bulk=bulk)

    @rule(message_id=IDS, split=st.booleans())
    def arrive_invalid(self, message_id: str, split: bool) -> None:
        self._accept({"messageId": message_id, "type": "nonsense"}, "", None, split)

    def _accept(
        self, event: dict[str, Any], user: str, lane: Lane | None, split: bool, **more: Any
    ) -> None:
        number, message_id = self.model.accepted, event["messageId"]
        labels = {"class": "bulk"} if more.get("bulk") else {}
        self.run(self.boxes.accept(event | {"number": number}, **labels))
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
        own, stepped = self.ticks.get((waker, lane), (0, 0))
        reckoned = own and self.model.now - (self.stepped - stepped)
        leased = self.run(
            self.boxes.store.wake(
                lane,
                bound=bound,
                max_queue_length=max_queue_length,
                own_tick=own,
                reckoned=reckoned,
            )
        )
        self.ticks[waker, lane] = leased.now, self.stepped
        state = self.model.wake(lane, own, reckoned)
        assert leased.gate == state
        shared = self.model.is_shared(lane)
        assert leased.in_process == ("shared" if shared else "")
        users = self.model.lease(lane, state, bound) if max_queue_length or shared else []
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
        self.model.lanes[lane].strayed = self.model.now
        box = self.model.box(lane, user)
        if box.leased is not None and box.token is None:
            box.leased, box.due = None, box.leased_due

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
        self.owners.append(Owner(claim, self.model.expected(lane, user)))

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
