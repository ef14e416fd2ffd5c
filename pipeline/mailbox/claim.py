"""A claim of a mailbox, and what is to be written into it: values, as the scripts read them. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeAlias

from pipeline.events import Lane
from pipeline.mailbox.entry import Entry, EventState, Memory, start_state
from pipeline.mailbox.names import user_of

MEMORY_KEEP_MS = 180 * 86_400_000
"""How long a user nobody hears of is remembered: email, merged ids."""
Waits: TypeAlias = Literal["email", "user", "identify"]
"""What a mailbox may wait for, so that it is looked at as soon as that has happened."""


@dataclass(frozen=True, slots=True)
class Lent:
    """What a wake-up lends: publish these mailboxes, or deliver them here when Redis is too full for
    messages. `now` is Redis' time (ms)."""

    now: int
    gate: str
    full: bool
    boxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UserBacklog:
    """How many events of another user wait in each lane, and when the last of the user lane was
    delivered (ms, 0 = not known)."""

    waiting: Mapping[Lane, int]
    identified: int


@dataclass(frozen=True, slots=True)
class Hold:
    """What a mailbox's heads, one after the other, are held for: an entry of the user lane (`seq`),
    since when (ms of the user lane's clock)."""

    seq: str
    since: int

    def encode(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Claim:
    """A mailbox owned by this process, and what was in it when it was claimed or last settled.

    user: whose mailbox it is. Clocks are lane clocks in ms. `head_of_user` is the header of the oldest
    entry in the same user's user-lane mailbox, empty when there is none. `probe`: it was lent to see
    whether a closed gate's cause is over. step: how many settlements of this claim have been written.
    """

    account: str
    lane: Lane
    box: str
    user: str
    token: str
    now: int
    clock: int
    user_clock: int
    head_of_user: str
    entries: tuple[Entry, ...]
    states: Mapping[str, EventState]
    memory: Memory
    cart: str
    intent: str
    strikes: int
    probe: bool
    hold: Hold | None = None
    step: int = 0

    @property
    def head(self) -> Entry:
        return self.entries[0]

    @property
    def seq_of_user(self) -> str:
        """Where the user lane's oldest entry stands in the order of arrival; '' when there is none."""
        return str(json.loads(self.head_of_user)["seq"]) if self.head_of_user else ""

    def state(self, entry: Entry) -> EventState:
        """What happened to one of its events so far."""
        return self.states.get(entry.seq) or start_state(entry)

    def apply(self, settlement: Settlement) -> Claim:
        """The claim after this settlement of it was written: the only way a claim changes."""
        entries = self.entries[settlement.pop :]
        intent = self.intent if settlement.intent is None else settlement.intent
        if settlement.pop and entries:
            intent = intent or entries[0].mark
        return replace(
            self,
            entries=entries,
            states={**self.states, **settlement.state},
            memory=self.memory.with_learned(settlement.learn),
            cart=self.cart if settlement.cart is None else settlement.cart,
            intent=intent,
            strikes=0,
            hold=settlement.hold or self.hold,
            step=self.step + 1,
        )


@dataclass(frozen=True, slots=True)
class Settlement:
    """All that is written when the first events of a claim are settled; see settle.lua.

    Only the owner's next step is written, so that a settlement may be repeated.
    """

    claim: Claim
    pop: int = 0
    count: Mapping[str, int] = field(default_factory=dict)
    dead: Sequence[tuple[int, str, str]] = ()
    state: Mapping[str, EventState] = field(default_factory=dict)
    intent: str | None = None
    hold: Hold | None = None
    learn: Mapping[str, str] = field(default_factory=dict)
    cart: str | None = None
    cart_keep_ms: int = 0
    back: bool = False
    due: int | Literal["old"] | None = None
    at: int | None = None
    waits: Waits | None = None
    wake: Sequence[Lane] = ()


def read_claim(account: str, lane: Lane, box: str, reply: list[Any]) -> Claim:
    """A claim from what claim.lua answers."""
    token, now, clock, user_clock, head, cart, book, memory, *blobs = reply
    record = _pairs(book)
    entries = tuple(Entry.decode(blob) for blob in blobs)
    return Claim(
        account=account,
        lane=lane,
        box=box,
        user=user_of(box),
        token=token.decode(),
        now=int(now),
        clock=int(clock),
        user_clock=int(user_clock),
        head_of_user=head.decode(),
        entries=entries,
        states={
            name[2:]: EventState.decode(value)
            for name, value in record.items()
            if name.startswith("s:")
        },
        memory=Memory.read(_pairs(memory)),
        cart=cart.decode(),
        intent=record.get("intent", b"").decode() or entries[0].mark,
        strikes=int(record.get("strikes", 0)),
        probe=record.get("probe") == b"1",
        hold=Hold(**json.loads(record["hold"])) if "hold" in record else None,
    )


def _pairs(flat: list[bytes]) -> dict[str, bytes]:
    return {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}


def encode_settlement(settlement: Settlement) -> str:
    """The settlement as settle.lua reads it; what is None is left out, cjson has no nil."""
    claim, learn = settlement.claim, settlement.learn
    doc: dict[str, Any] = {
        "pop": settlement.pop,
        "count": settlement.count,
        "dead": settlement.dead,
        "state": {seq: state.encode() for seq, state in settlement.state.items()},
        "intent": settlement.intent,
        "hold": settlement.hold.encode() if settlement.hold else None,
        "user": claim.user,
        "learn": learn,
        "keep": MEMORY_KEEP_MS,
        "cart": settlement.cart,
        "cart_keep": settlement.cart_keep_ms,
        "back": settlement.back,
        "due": settlement.due,
        "at": settlement.at,
        "waits": settlement.waits,
        "expected": {
            "email": claim.memory.email or learn.get("email", ""),
            "identified": claim.memory.identified,
            "head": claim.head_of_user,
        },
        "wake": settlement.wake,
    }
    return json.dumps({name: value for name, value in doc.items() if value is not None})
