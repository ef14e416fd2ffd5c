"""What mailboxes must do, in plain Python: lists, and a dictionary of state a mailbox.

Times are milliseconds. Each event is an `Item` that is in exactly one place.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.events.models import Lane
from pipeline.gates.gates import GateReason
from pipeline.splitter.triage import dedupe_hash
from pipeline.storage.numbers import BULK_SHARE

LEASE = 12_000
STEP = 1_000
BoxKey = tuple[Lane, str]
Expected = tuple[str, str, "Item | None"]
Key = tuple[str, str, str]
"""What a repeat shares: messageId, type, name."""


@dataclass(eq=False)
class Item:
    """One accepted event; compared by identity, since a replay may repeat a message id.

    id: what its letter is called, if that is free. number: no other event has it. bulk: it came so; lifted: it goes with
    a live one all the same.
    """

    id: str
    key: Key
    number: int
    user: str
    lane: Lane | None
    email: str = ""
    replay: bool = False
    from_store: bool = False
    tried: int = 0
    bulk: bool = False
    lifted: bool = False


@dataclass
class Box:
    """A mailbox. `due` or `leased` is set whenever it holds events."""

    items: list[Item] = field(default_factory=list)
    due: int | None = None
    leased: int | None = None
    leased_due: int = 0
    token: str | None = None
    probe: bool = False
    strikes: int = 0
    singles: int = 0
    claimed: int = 0
    intent: str = ""
    waits: str = ""

    @property
    def is_bulk(self) -> bool:
        """Whether all its events are, and no live one waits for them."""
        return bool(self.items) and all(item.bulk and not item.lifted for item in self.items)


@dataclass
class LaneModel:
    clock: int
    tick: int = 0
    closed: bool = False
    stood: bool = False
    strayed: float = -math.inf
    owed: int = 0


class Model:
    """The account. `closures` is scope -> reason -> (until, probed)."""

    def __init__(self, now: int, name_of: Callable[[Item], str]) -> None:
        """`name_of` looks up what Redis calls a letter whose id holds a number."""
        self.now = now
        self._name_of = name_of
        self.raw: list[Item] = []
        self.boxes: dict[BoxKey, Box] = {}
        self.dead: dict[str, tuple[Item, str]] = {}
        self.counts: Counter[str] = Counter()
        self.accepted = 0
        self.seen: set[Key] = set()
        self.replayed: set[tuple[str, Key]] = set()
        self.emails: dict[str, str] = {}
        self.identified: dict[str, str] = {}
        self.lanes = {lane: LaneModel(now) for lane in Lane}
        self.closures: dict[str, dict[GateReason, tuple[int, bool]]] = {}
        self.suspect: Box | None = None
        self.has_owner = False

    def pass_time(self, ms: int) -> None:
        """I5: a lane's clock stands still from a tick that found its gate closed to the next."""
        self.now += ms
        for lane in self.lanes.values():
            lane.clock += 0 if lane.closed else ms

    def box(self, lane: Lane, user: str) -> Box:
        return self.boxes.setdefault((lane, user), Box())

    def accept(self, item: Item) -> None:
        self.raw.append(item)
        self.accepted += 1

    def split(self) -> None:
        for item in self.raw:
            self._split(item)
        self.raw.clear()

    def _split(self, item: Item) -> None:
        if item.replay:
            if (name := self._letter_of(item)) is not None:
                del self.dead[name]
                self.counts["removed"] += 1
                self.replayed.add((name, item.key))
            elif (item.id, item.key) in self.replayed:
                self.counts["duplicates"] += 1
                return
            self.replayed.add((item.id, item.key))
        elif item.key in self.seen and not item.from_store:
            self.counts["duplicates"] += 1
            return
        if not item.replay and not item.from_store:
            self.seen.add(item.key)
        if item.email:
            self.learn_email(item.user, item.email, bulk=item.bulk)
        if item.lane is None:
            self.bury(item, "invalid_event")
        else:
            self.post(item)

    def post(self, item: Item) -> None:
        assert item.lane is not None
        box = self.box(item.lane, item.user)
        box.items.append(item)
        if box.leased is None and box.due is None:
            box.due = self.now
        elif not item.bulk:
            self.lift(box)

    def lift(self, box: Box) -> None:
        """Its events so far go with a live one. If it waits for something, that is to be lifted by its next owner."""
        if box.is_bulk and box.waits and box.due is not None:
            box.due = min(box.due, self.now)
        for item in box.items:
            item.lifted = True

    def learn_email(self, user: str, email: str, *, bulk: bool) -> None:
        self.emails[user] = email
        self.bring_forward(Lane.PURCHASE, user, {"email"})
        self.recall(user, bulk=bulk)

    def recall(self, user: str, *, bulk: bool) -> None:
        """What died for want of an email that is known by now; bulk if what made it known is."""
        letters = [
            name
            for name, (item, reason) in self.dead.items()
            if reason == "missing_email" and item.user == user
        ]
        for name in letters:
            self.revive(name, bulk=bulk)

    def bring_forward(self, lane: Lane, user: str, what: set[str]) -> None:
        box = self.box(lane, user)
        if box.waits in what and box.due is not None:
            box.due = min(box.due, self.now)

    def bury(self, item: Item, reason: str) -> None:
        name = self._free_name(item)
        self.replayed.discard((name, item.key))
        self.dead[name] = (item, reason)

    def _free_name(self, item: Item) -> str:
        own = own_name(item)
        if own not in self.dead:
            if item.id not in self.dead:
                return item.id
            if self.dead[item.id][0].key != item.key:
                return own
        return self._name_of(item)

    def _letter_of(self, item: Item) -> str | None:
        """The letter that an exported copy takes the place of."""
        for name in (item.id, own_name(item)):
            if name in self.dead and self.dead[name][0].key == item.key:
                return name
        return None

    def revive(self, name: str, *, bulk: bool = True) -> None:
        item, _ = self.dead.pop(name)
        self.replayed.add((name, item.key))
        as_new: Any = {"id": name, "replay": False, "tried": 0, "bulk": bulk, "lifted": False}
        if item.lane is None:
            self.raw.append(replace(item, from_store=True, **as_new))
        else:
            self.post(replace(item, from_store=False, **as_new))

    def gate(self, lane: Lane) -> str:
        state = "open"
        for scope in (str(lane), "account"):
            for reason, (until, probed) in list(self.closures.get(scope, {}).items()):
                if until == 0 or until > self.now:
                    state = "closed"
                elif not probed:
                    del self.closures[scope][reason]
                elif state == "open":
                    state = "probe"
        return state

    def wake(self, lane: Lane, own: int, reckoned: int = 0) -> str:
        """Everything but the choice of what to lease: expire or extend leases, tick."""
        home = self.lanes[lane]
        self._notice_step(lane, self.now - reckoned if reckoned else 0)
        late = self.now - home.tick > LEASE // 2
        mine = {user: box for (at, user), box in self.boxes.items() if at is lane}
        stood = late and home.stood
        spare = late and not stood and own > 0 and home.tick - own < LEASE // 2
        for box in mine.values():
            if spare and box.leased is not None and box.leased <= self.now + LEASE:
                box.leased = self.now + LEASE
            if box.leased is not None and box.leased <= self.now:
                self._expire(box)
        state = self.gate(lane)
        home.tick, home.closed, home.stood = self.now, state != "open", stood or spare
        return state

    def _notice_step(self, lane: Lane, step: int) -> None:
        """A step forward since the waker's own last tick takes nothing of a lease, and counts for no deadline."""
        home = self.lanes[lane]
        if step <= STEP or home.tick > self.now - step / 2:
            return
        for (at, _), box in self.boxes.items():
            if at is lane and box.leased is not None and box.leased <= self.now + LEASE - step / 2:
                box.leased += step
        home.clock -= 0 if home.closed else step

    def wake_foreign(self, lane: Lane) -> None:
        """By a process of another target: it keeps a lane that is closed, or that its own have left."""
        home = self.lanes[lane]
        if home.closed or self.now - home.tick > LEASE:
            self.wake(lane, own=0)
            home.closed = True

    def is_shared(self, lane: Lane) -> bool:
        """A process of another target took a message from the lane's queue less than a minute ago."""
        return self.now - self.lanes[lane].strayed < 60_000

    def lease(self, lane: Lane, state: str, bound: int) -> list[str]:
        """The longest-due mailboxes, live ones before bulk; of those with two strikes in the account one at a time."""
        mine = {user: box for (at, user), box in self.boxes.items() if at is lane}
        in_use = sum(box.leased is not None for box in mine.values())
        capacity = {"open": bound - in_use, "probe": int(in_use == 0), "closed": 0}[state]
        leased: list[str] = []
        self._lease_in_turn(self.lanes[lane], mine, leased, capacity, probe=state == "probe")
        self.has_owner = self.has_owner or bool(leased)
        return leased

    def _lease_in_turn(
        self, home: LaneModel, mine: dict[str, Box], leased: list[str], most: int, *, probe: bool
    ) -> None:
        """What bulk is owed, then live, then bulk again while there is room: see `BULK_SHARE`."""

        def take(limit: int, *, bulk: bool) -> int:
            before, limit = len(leased), min(most, len(leased) + limit)
            for due, user in sorted((b.due, u) for u, b in mine.items() if b.due is not None):
                box = mine[user]
                is_wanted = due <= self.now and box.is_bulk == bulk
                if len(leased) < limit and is_wanted and not self._held_back(box):
                    leased.append(user)
                    box.leased_due, box.due, box.leased = due, None, self.now + LEASE
                    box.probe = probe
            return len(leased) - before

        if not any(b.is_bulk and b.due is not None and b.due <= self.now for b in mine.values()):
            home.owed = 0
        share = max(0, home.owed // (BULK_SHARE - 1))
        if (taken := take(share, bulk=True)) < share:
            home.owed = min(home.owed, BULK_SHARE - 1)
        home.owed -= taken * (BULK_SHARE - 1)
        take(most, bulk=False)
        if take(most, bulk=True):
            home.owed = 0

    def settles(self, lane: Lane, box: Box, step: int) -> None:
        """A call for this mailbox was made. Of a bulk one the first was paid for when it was leased."""
        if not box.is_bulk:
            self.lanes[lane].owed += 1
        elif step:
            self.lanes[lane].owed -= BULK_SHARE - 1

    def _held_back(self, box: Box) -> bool:
        if box.strikes < 2:
            return False
        other = self.suspect
        if (
            other is not None
            and other is not box
            and other.strikes >= 2
            and other.leased is not None
        ):
            return True
        self.suspect = box
        return False

    def _expire(self, box: Box) -> None:
        box.leased = None
        if not box.items:
            self.forget(box)
            return
        if box.token is not None:
            box.token = None
            box.strikes += 1
            box.singles = box.singles or box.claimed
        box.due = box.leased_due

    def forget(self, box: Box) -> None:
        """Nothing is left of a mailbox that was emptied."""
        box.__dict__.update(replace(Box()).__dict__)

    def progress(self, box: Box, count: int) -> list[Item]:
        """The first events leave, and their strikes with them."""
        gone, box.items = box.items[:count], box.items[count:]
        if gone:
            left = box.singles - len(gone)
            box.strikes, box.singles = (2, left) if box.strikes >= 2 and left > 0 else (0, 0)
        return gone

    def outlive(self, box: Box) -> None:
        """An event was found waiting; its worker did not die."""
        box.strikes = 2 if box.strikes >= 2 and box.singles > 0 else box.strikes

    def expected(self, lane: Lane, user: str) -> Expected:
        """What a decision to wait is based on."""
        users = self.box(Lane.USER, user).items
        head = users[0] if users and lane is not Lane.USER else None
        return self.emails.get(user, ""), self.identified.get(user, ""), head

    def expected_counts(self) -> Counter[str]:
        waiting = Counter(
            {f"waiting:{lane}": 0 for lane in Lane},
        )
        for (lane, _), box in self.boxes.items():
            waiting[f"waiting:{lane}"] += len(box.items)
        dead = Counter(f"dead:{reason}" for _, reason in self.dead.values())
        return +(self.counts + waiting + dead)


def own_name(item: Item) -> str:
    """What a letter is called when an event of another kind has its messageId."""
    return f"{item.id}~{dedupe_hash(*item.key)[-8:]}"
