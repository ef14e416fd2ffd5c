"""A claim of a mailbox, and what is to be written into it: values, as the scripts read them. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pipeline.events import Lane
from pipeline.mailbox.entry import Entry, EventState, Memory, start_state
from pipeline.mailbox.names import user_of

MEMORY_KEEP_MS = 180 * 86_400_000
"""How long a user nobody hears of is remembered: email, merged ids."""


@dataclass(frozen=True, slots=True)
class Lent:
    """What a wake-up lends: publish these mailboxes, or deliver them here when Redis is too full for
    messages. `now` is Redis' time (ms)."""

    now: int
    gate: str
    full: bool
    boxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Glance:
    """A look at another user: how many events wait in each lane, and when the last of the user
    lane was delivered (ms, 0 = not known)."""

    waiting: dict[Lane, int]
    identified: int


@dataclass(frozen=True, slots=True)
class Hold:
    """What a mailbox's heads, one after the other, are held for: an entry of the user lane (`seq`),
    since when (ms of the user lane's clock)."""

    seq: str
    since: int

    def encode(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


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
    hold: Hold | None = None
    step: int = 0

    @property
    def user(self) -> str:
        return user_of(self.box)

    @property
    def head(self) -> Entry:
        return self.entries[0]

    @property
    def seq_of_user(self) -> str:
        """Where the user lane's oldest entry stands in the order of arrival; '' when there is none."""
        return str(json.loads(self.head_of_user)["seq"]) if self.head_of_user else ""

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
    hold: Hold | None = None
    learn: dict[str, str] = field(default_factory=dict)
    cart: str | None = None
    cart_keep_ms: int = 0
    back: bool = False
    due: int | Literal["old"] | None = None
    at: int | None = None
    waits: Literal["email", "user", "turn"] | None = None
    wake: tuple[Lane, ...] = ()


def read_claim(account: str, lane: Lane, box: str, reply: list[Any]) -> Claim:
    """A claim from what claim.lua answers."""
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
        hold=Hold(**json.loads(record["hold"])) if "hold" in record else None,
    )
    if not claim.intent:
        claim.intent = claim.head.mark
    return claim


def _pairs(flat: list[bytes]) -> dict[str, bytes]:
    return {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}


def _read_memory(fields: dict[str, bytes]) -> Memory:
    email = fields.get("email")
    last = fields.get("last_identify")
    return Memory(
        email=email.decode() if email else None,
        identified=fields.get("identified", b"").decode(),
        merged=tuple(json.loads(fields.get("merged", b"[]"))),
        newest={
            name.removeprefix("newest:"): int(value)
            for name, value in fields.items()
            if name.startswith("newest:")
        },
        last_identify=tuple(json.loads(last)) if last else None,
    )


def write_deed(claim: Claim, deed: Deed) -> str:
    """The deed as settle.lua reads it; what is None is left out, cjson has no nil."""
    doc: dict[str, Any] = {
        "pop": deed.pop,
        "count": deed.count,
        "dead": deed.dead,
        "state": {seq: state.encode() for seq, state in deed.state.items()},
        "intent": deed.intent,
        "hold": deed.hold.encode() if deed.hold else None,
        "user": claim.user,
        "learn": deed.learn,
        "keep": MEMORY_KEEP_MS,
        "cart": deed.cart,
        "cart_keep": deed.cart_keep_ms,
        "back": deed.back,
        "due": deed.due,
        "at": deed.at,
        "waits": deed.waits,
        "saw": {
            "email": claim.memory.email or "",
            "identified": claim.memory.identified,
            "head": claim.head_of_user,
        },
        "wake": deed.wake,
    }
    return json.dumps({name: value for name, value in doc.items() if value is not None})
