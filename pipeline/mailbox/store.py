"""The mailbox store of one account: lend, claim, record intents, settle. All writes are scripts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

import redis.asyncio

from pipeline import keys
from pipeline.errors import StaleClaim
from pipeline.events import Lane
from pipeline.mailbox.entry import Entry, EventState, Memory, start_state
from pipeline.mailbox.lanes import scopes
from pipeline.mailbox.names import boxes_of, user_of
from pipeline.mailbox.scripts import Scripts

MEMORY_KEEP_MS = 180 * 86_400_000
"""How long a user nobody hears of is remembered: email, merged ids."""


@dataclass(frozen=True, slots=True)
class Lent:
    """What a wake-up lends: publish these mailboxes. `now` is Redis' time (ms)."""

    now: int
    gate: str
    boxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Glance:
    """A look at another user: how many events wait in each lane, and when the last of the user
    lane was delivered (ms, 0 = not known)."""

    waiting: dict[Lane, int]
    identified: int


@dataclass(slots=True)
class Claim:
    """A mailbox owned by this process, and what was in it when it was claimed.

    Clocks are lane clocks in ms. `head_of_user` is the header of the oldest entry in the same
    user's user-lane mailbox, empty when there is none. `probe`: it was lent to see whether a
    closed gate's cause is over.
    """

    account: str
    lane: Lane
    box: str
    token: str
    now: int
    clock: int
    user_clock: int
    head_of_user: str
    entries: list[Entry]
    states: dict[str, EventState]
    memory: Memory
    cart: str
    intent: str
    strikes: int
    probe: bool
    step: int = 0

    @property
    def user(self) -> str:
        return user_of(self.box)

    @property
    def head(self) -> Entry:
        return self.entries[0]

    def state(self, entry: Entry) -> EventState:
        return self.states.get(entry.seq) or start_state(entry)


@dataclass(slots=True)
class Deed:
    """What to write when events of a claim are settled; see settle.lua."""

    pop: int = 0
    count: dict[str, int] = field(default_factory=dict)
    dead: list[tuple[int, str, str]] = field(default_factory=list)
    state: dict[str, EventState] = field(default_factory=dict)
    intent: str | None = None
    learn: dict[str, str] = field(default_factory=dict)
    cart: str | None = None
    cart_keep_ms: int = 0
    back: bool = False
    due: int | Literal["old"] | None = None
    waits: Literal["email", "user", "turn"] | None = None
    wake: tuple[Lane, ...] = ()


class MailboxStore:
    """One account's mailboxes.

    `time_ms` replaces Redis' clock in tests. Connection errors propagate; a write that was made
    but whose answer was lost may be repeated safely.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        account: str,
        *,
        loan_s: float = 12.0,
        time_ms: Callable[[], int] | None = None,
    ) -> None:
        self.account = account
        self._redis = client
        self._scripts = Scripts(client)
        self._prefix = keys.account_prefix(account)
        self._loan_ms = int(loan_s * 1000)
        self._time = time_ms

    def _now(self) -> str:
        return "" if self._time is None else str(self._time())

    async def wake(self, lane: Lane, *, bound: int, longest_queue: int, own_tick: int) -> Lent:
        """Take expired loans back and lend the longest-due mailboxes, up to `bound` out at once.

        Nothing is lent through a closed gate or while the lane's Celery queue holds
        `longest_queue` messages. `own_tick` is this waker's last `Lent.now` (0 at first).
        """
        args = [self._now(), lane, self._loan_ms, bound, longest_queue, own_tick, *scopes(lane)]
        reply = await self._scripts.run("wake", [self._prefix, keys.celery_queue(lane)], args)
        return Lent(int(reply[0]), reply[1].decode(), tuple(box.decode() for box in reply[2:]))

    async def claim(self, lane: Lane, box: str, *, most: int) -> Claim | None:
        """Become the owner of a lent mailbox; None when there is nothing to own."""
        args = [self._now(), lane, box, user_of(box), self._loan_ms, most, *scopes(lane)]
        reply = await self._scripts.run("claim", [self._prefix], args)
        return None if reply[0] == b"no" else _read_claim(self.account, lane, box, reply)

    async def renew(self, claims: Sequence[Claim]) -> list[Claim]:
        """Extend these loans; returns the claims that are lost."""
        args: list[Any] = [self._now(), self._loan_ms]
        for claim in claims:
            args += [claim.lane, claim.box, claim.token]
        lost = await self._scripts.run("renew", [self._prefix], args)
        return [claims[int(number) - 1] for number in lost]

    async def record_intent(self, claim: Claim, intent: str) -> None:
        """Write down what the next POST is about to do. Raises StaleClaim."""
        args = [claim.lane, claim.box, claim.token, claim.step, intent]
        answer = (await self._scripts.run("intent", [self._prefix], args)).decode()
        if answer == "stale":
            raise StaleClaim(claim.box)
        claim.intent = intent

    async def settle(self, claim: Claim, deed: Deed) -> int:
        """Write what became of the first events; returns how many events are left.

        The claim itself is brought up to date: popped events leave it, states replace states.

        Raises:
            StaleClaim: the mailbox is no longer this claim's; nothing was written.
        """
        args = [self._now(), claim.lane, claim.box, claim.token, claim.step, _deed(claim, deed)]
        answer, left = await self._scripts.run("settle", [self._prefix], args)
        if answer == b"stale":
            raise StaleClaim(claim.box)
        claim.step += 1
        del claim.entries[: deed.pop]
        claim.states.update(deed.state)
        if deed.intent is not None:
            claim.intent = deed.intent
        if deed.pop and claim.entries:
            claim.intent = claim.intent or claim.head.mark
        return int(left)

    async def glance(self, user: str) -> Glance:
        """What waits for another user, in ordered and unordered lanes."""
        boxes = boxes_of(user)
        async with self._redis.pipeline(transaction=False) as pipe:
            for lane in Lane:
                for box in boxes:
                    pipe.llen(keys.mail(self.account, lane, box))
            pipe.hget(keys.user(self.account, user), "identified")
            *lengths, identified = await pipe.execute()
        each = iter(lengths)
        waiting = {lane: sum(islice(each, len(boxes))) for lane in Lane}
        return Glance(waiting, int(identified or 0))

    async def replay(self, ids: Sequence[str]) -> list[str]:
        """Put dead letters back into their mailboxes; returns the ids that were still there."""
        done = await self._scripts.run("replay", [self._prefix], [self._now(), *ids])
        return [identity.decode() for identity in done]

    async def drop(self, ids: Sequence[str]) -> int:
        """Remove dead letters for good, counted as removed; returns how many were there."""
        return int(await self._scripts.run("drop", [self._prefix], list(ids)))


def _read_claim(account: str, lane: Lane, box: str, reply: list[Any]) -> Claim:
    token, now, clock, user_clock, head, cart, book, memory, *blobs = reply
    record = _pairs(book)
    claim = Claim(
        account=account,
        lane=lane,
        box=box,
        token=token.decode(),
        now=int(now),
        clock=int(clock),
        user_clock=int(user_clock),
        head_of_user=head.decode(),
        entries=[Entry.decode(blob) for blob in blobs],
        states={
            name[2:]: EventState.decode(value)
            for name, value in record.items()
            if name.startswith("s:")
        },
        memory=_read_memory(_pairs(memory)),
        cart=cart.decode(),
        intent=record.get("intent", b"").decode(),
        strikes=int(record.get("strikes", 0)),
        probe=record.get("probe") == b"1",
    )
    if not claim.intent:
        claim.intent = claim.head.mark
    return claim


def _pairs(flat: list[bytes]) -> dict[str, bytes]:
    return {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}


def _read_memory(fields: dict[str, bytes]) -> Memory:
    email = fields.get("email")
    return Memory(
        email=email.decode() if email else None,
        email_at=int(fields.get("email_at", 0)),
        identified=fields.get("identified", b"").decode(),
        merged=frozenset(json.loads(fields.get("merged", b"[]"))),
    )


def _deed(claim: Claim, deed: Deed) -> str:
    """The deed as settle.lua reads it; what is None is left out, cjson has no nil."""
    doc: dict[str, Any] = {
        "pop": deed.pop,
        "count": deed.count,
        "dead": deed.dead,
        "state": {seq: state.encode() for seq, state in deed.state.items()},
        "intent": deed.intent,
        "user": claim.user,
        "learn": deed.learn,
        "keep": MEMORY_KEEP_MS,
        "cart": deed.cart,
        "cart_keep": deed.cart_keep_ms,
        "back": deed.back,
        "due": deed.due,
        "waits": deed.waits,
        "saw": {
            "email": claim.memory.email or "",
            "identified": claim.memory.identified,
            "head": claim.head_of_user,
        },
        "wake": deed.wake,
    }
    return json.dumps({name: value for name, value in doc.items() if value is not None})
