"""What lies in a mailbox, and a claim of it: values, as the scripts read and write them. No I/O.

Events wait for days and dead letters for weeks, so another version may have written them: a field that
is not known here is left out, and every field added later has a default.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from pydantic_core import from_json, to_json

from pipeline.events.emails import first_usable
from pipeline.events.models import Lane
from pipeline.mailbox.history import Absence, EventState, Failing, read_attempts, read_record
from pipeline.packed import unpack
from pipeline.roles import Role
from pipeline.ways_in import WayIn

OptOutFlag: TypeAlias = Literal["", "only", "seen to"]
Waits: TypeAlias = Literal["email", "user", "identify", "order"]
"""What a mailbox may wait for, so that it is looked at as soon as that has happened."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An accepted event. Its raw bytes are what the producer sent, unchanged.

    id: the event's messageId, else its stream entry id; of a replayed dead letter, the letter's id.
    seq: `ms-n`, where it stands in the order of arrival over all lanes; of a second entry `ms-n.1`.
    at: Redis' wall time of acceptance (ms), which `seq` begins with.
    clock: the lane's clock then (ms; it stands still behind closed gates), for deadlines.
    key: what a repeat of the event shares with it (see the splitter's `dedupe_hash`).
    shared_ids: id fields that hold a shared id, comma-separated, and are left out of the mapping.
    first, past, pending_intent: of a replayed dead letter: when it was first seen (ms), its attempts (JSON)
        and its unsettled intent (JSON).
    optout: `only` when the event's optoutValue alone is meant (a second entry of it), `seen to` when it has, or
        needs, no second one any more.
    role: of the write key it came with. via: the way by which it came.
    """

    id: str
    seq: str
    at: int
    clock: int
    raw: bytes
    key: str = ""
    shared_ids: str = ""
    first: int | None = None
    past: str = ""
    pending_intent: str = ""
    replay: bool = False
    optout: OptOutFlag = ""
    role: Role = Role.SERVER
    via: WayIn = WayIn.REDIS

    def encode(self) -> bytes:
        """`HEADER JSON\\nRAW`, what the mailbox list holds: no field that another one says, a million may wait."""
        header = {
            name: value
            for name in self.__slots__
            if name not in _NOT_IN_HEADER
            and (value := getattr(self, name)) not in (None, "", False)
        }
        if self.clock != self.at:
            header["clock"] = self.clock
        if self.role is not Role.SERVER:
            header["role"] = self.role.value
        if self.via is not WayIn.REDIS:
            header["via"] = self.via.value
        return to_json(header) + b"\n" + self.raw

    @classmethod
    def decode(cls, blob: bytes) -> Entry:
        """Read what `encode` or the revive function of lib.lua wrote."""
        header, _, raw = blob.partition(b"\n")
        fields = from_json(header)
        found = {name: fields[name] for name in fields if name in cls.__slots__}
        at = seq_order(found["seq"])[0]
        for name in ("clock", "first"):
            if name in found:
                found[name] = int(found[name])
        if "role" in found:
            found["role"] = Role.read(found["role"])
        if "via" in found:
            found["via"] = WayIn.read(found["via"])
        if fields.get("packed"):  # a replayed letter's
            raw = unpack(raw)
        return cls(raw=raw, **{"at": at, "clock": at, **found})

    @property
    def came_by(self) -> WayIn:
        """The way by which it came into its mailbox."""
        return WayIn.REPLAY if self.replay else self.via

    @property
    def order(self) -> tuple[int, int, int]:
        """Sorts by arrival."""
        return seq_order(self.seq)


_NOT_IN_HEADER = frozenset({"raw", "at", "clock", "role", "via"})


def seq_order(seq: str) -> tuple[int, int, int]:
    """`ms-n` or `ms-n.m` as numbers that sort by arrival."""
    first, _, rest = seq.partition("-")
    second, _, third = rest.partition(".")
    return int(first), int(second or 0), int(third or 0)


def start_state(entry: Entry) -> EventState:
    """The state of an event nothing has happened to, but for what a dead letter brought back."""
    past = read_attempts(json.loads(entry.past)) if entry.past else ()
    return EventState(attempts=past)


STATE = "s:"
"""What the fields of a mailbox's state begin with that hold an event's; its seq follows."""
REFUSED_KEPT = 10
"""Addresses of a user of which it is remembered that they were refused: more than one event can try."""
NEWEST = "newest:"
"""What the fields begin with that say when the newest delivered event of a kind first came."""
MERGED_KEPT = 100
"""Every claim reads them, and a shared device has a new one each day. One that is forgotten costs a
look-up, which finds that its profile is gone."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of a user, as a claim reads it.

    refused: address (`address_key`) -> when Sailthru refused it (ms), the newest last; see REFUSED_KEPT.
    merged: anonymousIds merged into this user, the newest last; see MERGED_KEPT.
    newest: `identify` or `cart` -> when the latest one delivered first came (ms).
    email_by_page: only a key of role `browser` has shown the email.
    last_identify: of an anonymousId: the email its latest identify with one showed, and the key and id
        of the profile that went to.
    """

    email: str | None = None
    identified: str = ""
    merged: tuple[str, ...] = ()
    newest: Mapping[str, int] = field(default_factory=dict)
    last_identify: tuple[str, str, str] | None = None
    refused: Mapping[str, int] = field(default_factory=dict)
    email_by_page: bool = False

    @classmethod
    def read(cls, fields: Mapping[str, bytes]) -> Memory:
        """From the fields of the user's hash."""
        email, merged, last = map(fields.get, ("email", "merged", "last_identify"))
        return cls(
            email=email.decode() if email else None,
            identified=fields.get("identified", b"").decode(),
            merged=tuple(json.loads(merged)) if merged else (),
            newest={
                name.removeprefix(NEWEST): int(value)
                for name, value in fields.items()
                if name.startswith(NEWEST)
            },
            last_identify=tuple(json.loads(last)) if last else None,
            refused=json.loads(fields.get("refused", b"{}")),
            email_by_page=fields.get("email_by") == Role.BROWSER.value.encode(),
        )

    def with_learned(self, learn: Mapping[str, str]) -> Memory:
        """With what a settlement has added to these fields. An email that is known is not replaced, and one
        that was refused is forgotten."""
        last = learn.get("last_identify")
        newest = {
            name.removeprefix(NEWEST): int(at)
            for name, at in learn.items()
            if name.startswith(NEWEST)
        }
        refused = json.loads(learn.get("refused", "{}"))  # all that count at this moment
        return Memory(
            email=first_usable([self.email or learn.get("email")], refused),
            identified=learn.get("identified", self.identified),
            merged=tuple(json.loads(learn["merged"])) if "merged" in learn else self.merged,
            newest={**self.newest, **newest},
            last_identify=tuple(json.loads(last)) if last else self.last_identify,
            refused=refused or self.refused,
            email_by_page=self.email_by_page,
        )


@dataclass(frozen=True, slots=True)
class WakeResult:
    """What a wake-up leases: these mailboxes are to be published, or delivered by this process.

    `now` is Redis' time (ms). `gate` is `foreign` when the account belongs to another target: `owner`, as Redis keeps
    it. `in_process` says why there is to be no message: Redis is too `full` for one, or processes of another target
    consume the lane's Celery queue as well (`shared`). `leased`: how many mailboxes of the lane are out by now, these
    included.
    """

    now: int
    gate: str
    in_process: str
    boxes: tuple[str, ...]
    owner: str = ""
    leased: int = 0


@dataclass(frozen=True, slots=True)
class UserBacklog:
    """How many events of another user wait in each lane, and when the last of the user lane was
    delivered (ms, 0 = not known)."""

    waiting: Mapping[Lane, int]
    identified: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A mailbox owned by this process, and what was in it when it was claimed or last settled.

    user: whose mailbox it is, and its name. `clock` is the lane's, in ms. `head_of_user` is the header of the oldest
    entry in the same user's user-lane mailbox, empty when there is none. `probe`: it was leased to see
    whether a closed gate's cause is over. `bulk`: it holds bulk events only. cart: what was written last for the user, as
    `write_cart` writes it, '' when none is known. cart_of: an address (`address_key`), and the cart that another user left
    there, '' when none is known. step: how many settlements of this claim have been written.
    """

    account: str
    lane: Lane
    user: str
    token: str
    now: int
    clock: int
    head_of_user: str
    entries: tuple[Entry, ...]
    states: Mapping[str, EventState]
    memory: Memory
    cart: str
    intent: str
    strikes: int
    probe: bool
    bulk: bool = False
    absence: Absence | None = None
    failing: Failing | None = None
    step: int = 0
    cart_of: tuple[str, str] = ("", "")

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

    def failing_since(self, entry: Entry, bucket: str) -> int | None:
        """Since when one of its events has failed, or will have if its next call to this endpoint does.

        It inherits the time of the event before it, but none from before its own acceptance.
        """
        own, before = self.state(entry).failing_since, self.failing
        if own is not None or before is None or before.bucket != bucket:
            return own
        return max(before.since, entry.clock)

    def apply(self, settlement: Settlement) -> Claim:
        """The claim after this settlement of it was written: the only way a claim changes."""
        entries = self.entries[settlement.pop :]
        intent = self.intent if settlement.intent is None else settlement.intent
        if settlement.pop and entries:
            intent = intent or entries[0].pending_intent
        return replace(
            self,
            entries=entries,
            states={**self.states, **settlement.state},
            memory=self.memory.with_learned(settlement.learn),
            cart=self.cart if settlement.cart is None else settlement.cart,
            intent=intent,
            strikes=0,
            absence=settlement.absence or self.absence,
            failing=settlement.failing,
            step=self.step + 1,
        )


@dataclass(frozen=True, slots=True)
class Settlement:
    """All that is written when the first events of a claim are settled; see settle.lua.

    packed: the raw events of those in `dead`, in order, as packed.py writes them; '' or none keeps one as it came.
    order: what another mailbox has reserved, when this one waits for it. lift: the user for whose mailboxes this one waits,
        which are bulk no more unless it is. bulk: how many events it holds, if all of them may wait as bulk from now on: it
        is bulk then, unless more have come. cart_of: the address to which the cart was written, if it is known.
        absence: None leaves what is on record. failing: what is on record afterwards. Only the owner's next step is
        written, so that a settlement may be repeated.
    """

    claim: Claim
    pop: int = 0
    count: Mapping[str, int] = field(default_factory=dict)
    dead: Sequence[tuple[int, str, str]] = ()
    packed: Sequence[str] = ()
    state: Mapping[str, EventState] = field(default_factory=dict)
    intent: str | None = None
    absence: Absence | None = None
    failing: Failing | None = None
    learn: Mapping[str, str] = field(default_factory=dict)
    cart: str | None = None
    cart_keep_ms: int = 0
    cart_of: str | None = None
    back: bool = False
    due: int | Literal["old"] | None = None
    at: int | None = None
    waits: Waits | None = None
    order: str | None = None
    lift: str | None = None
    bulk: int = 0
    wake: Sequence[Lane] = ()


def read_claim(
    account: str, lane: Lane, user: str, clocks: Sequence[bytes], reply: Sequence[Any]
) -> Claim:
    """A claim from what claim.lua answers: the clocks of all that it claimed, and what it says of this mailbox."""
    now, clock = clocks
    token, head, cart, email, cart_there, state, memory, *blobs = reply
    fields = _pairs(state)
    entries = tuple(Entry.decode(blob) for blob in blobs)
    return Claim(
        account=account,
        lane=lane,
        user=user,
        token=token.decode(),
        now=int(now),
        clock=int(clock),
        head_of_user=head.decode(),
        entries=entries,
        states={
            name.removeprefix(STATE): EventState.decode(value)
            for name, value in fields.items()
            if name.startswith(STATE)
        },
        memory=Memory.read(_pairs(memory)),
        cart=cart.decode(),
        intent=fields.get("intent", b"").decode() or entries[0].pending_intent,
        strikes=int(fields.get("strikes", 0)),
        probe=fields.get("probe") == b"1",
        bulk=fields.get("lifted") == b"0",
        absence=read_record(Absence, fields["absence"]) if "absence" in fields else None,
        failing=read_record(Failing, fields["failing"]) if "failing" in fields else None,
        cart_of=(email.decode(), cart_there.decode()),
    )


def _pairs(flat: list[bytes]) -> dict[str, bytes]:
    return {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}
