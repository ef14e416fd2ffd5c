"""The mailbox store of one account: lease, claim, record intents, settle. All writes are scripts."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from typing import Any

import redis.asyncio
from pydantic_core import to_json

from pipeline.errors import StaleClaim
from pipeline.events.emails import address_key
from pipeline.events.models import Lane
from pipeline.lanes import SPECS
from pipeline.mailbox.claim import (
    STATE,
    Claim,
    Settlement,
    UserBacklog,
    WakeResult,
    read_claim,
)
from pipeline.mailbox.reservations import Reservation, Taken
from pipeline.settings.values import MEMORY_KEEP_S
from pipeline.storage import keys
from pipeline.storage.scripts import Bounds, Gathering, Scripts
from pipeline.targets import SANDBOX

MAX_BYTES = 1_000_000
"""Entries that one reply of claim.lua holds, and settlements that one request has, in bytes."""
MAX_WORK = 200
"""Of one call of settle.lua: a settlement is 1, a letter that is written 2, one that is brought back 1."""
GATHER_FROM = 4
"""Mailboxes that a process has in hand from which it pays that one claim or settlement waits for the next."""
CLAIMS = Bounds(50, MAX_BYTES, linger_s=0.001, from_in_hand=GATHER_FROM)
SETTLEMENTS = Bounds(50, MAX_BYTES, linger_s=0.010, from_in_hand=GATHER_FROM)
"""A script keeps Redis from all others. Fifty claims or settlements take it 5 ms, so much work no more than 20."""


class MailboxStore:
    """One account's mailboxes.

    `target` is what this process delivers to (`Target.name`): it is leased and may claim nothing of an account
    that belongs to another. `time_ms` replaces Redis' clock in tests. Connection errors propagate; a write that was made
    but whose answer was lost may be repeated safely.

    Claims and settlements that are asked for at about the same time are one script call. They wait some milliseconds for
    each other while enough claims are `in_hand`. `target`: the names of what this process delivers to, a line each (`Target`).
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        account: str,
        *,
        target: str = SANDBOX,
        lease_s: float = 12.0,
        memory_keep_s: float = MEMORY_KEEP_S,
        time_ms: Callable[[], int] | None = None,
        in_hand: Sized = (),
    ) -> None:
        self.account = account
        self.target = target
        self._redis = client
        self._scripts = Scripts(client, "pipeline.mailbox")
        self._prefix = keys.account_prefix(account)
        self._queues = {lane: keys.celery_queue(lane) for lane in Lane}
        self._lease_ms = int(lease_s * 1000)
        self._time = time_ms
        self._claims = {
            lane: self._gathering("claim", self._claim_args(lane), CLAIMS, in_hand) for lane in Lane
        }
        shared = [MAX_WORK, int(memory_keep_s * 1000)]
        self._settlements = self._gathering("settle", shared, SETTLEMENTS, in_hand)

    def _gathering(self, name: str, shared: list[Any], bounds: Bounds, in_hand: Sized) -> Gathering:
        return Gathering(
            self._scripts,
            name,
            self._prefix,
            shared,
            bounds,
            in_hand=in_hand,
            time_ms=self._time,
        )

    def _claim_args(self, lane: Lane) -> list[Any]:
        scopes = SPECS[lane].scopes
        return [lane, self._lease_ms, MAX_BYTES, self.target, len(scopes), *scopes]

    def hurry(self) -> None:
        """The process stops: claims and settlements wait for no others any more."""
        for gathering in (*self._claims.values(), self._settlements):
            gathering.hurry()

    def _now(self) -> str:
        return "" if self._time is None else str(self._time())

    async def wake(
        self,
        lane: Lane,
        *,
        bound: int,
        bulk_bound: int | None = None,
        max_queue_length: int,
        own_tick: int,
        reckoned: int = 0,
        serves: bool = True,
    ) -> WakeResult:
        """Take expired leases back and lease the longest-due mailboxes, up to `bound` at once: live ones, then bulk ones
        while fewer than `bulk_bound` are out (None: as many), but one call in BULK_SHARE is bulk's in any case.

        The first that is leased makes the account this process's target's; then, or when it was another's
        already, processes of other targets are leased nothing and read `foreign` in place of a gate.
        Nothing is leased through a closed gate or while the lane's Celery queue holds
        `max_queue_length` messages. `own_tick` is this waker's last `WakeResult.now` (0 at first),
        `reckoned` that and what has passed since by the waker's own clock: Redis' clock was set forward by what it says
        more (0: the waker cannot tell). Where no message can be published (see `WakeResult`), only a caller that `serves` the lane itself is leased anything.
        """
        args: list[Any] = [
            self._now(),
            lane,
            self._lease_ms,
            bound,
            bound if bulk_bound is None else bulk_bound,
            max_queue_length,
            own_tick,
            reckoned,
            int(serves),
            self.target,
        ]
        args += SPECS[lane].scopes
        reply = await self._scripts.run("wake", [self._prefix, self._queues[lane]], args)
        now, gate, in_process, out, *rest = reply
        names = tuple(name.decode() for name in rest)
        if gate == b"foreign":
            return WakeResult(int(now), "foreign", "", (), owner=names[0])
        return WakeResult(int(now), gate.decode(), in_process.decode(), names, leased=int(out))

    async def claim(self, lane: Lane, box: str, *, most: int) -> Claim | None:
        """Become the owner of a leased mailbox; None when there is nothing to own.

        Raises:
            OwnFault: what lies in the mailbox cannot be claimed, and nothing of it was.
        """
        clocks, reply = await self._claims[lane].ask(box, most)
        return None if reply[0] == b"no" else read_claim(self.account, lane, box, clocks, reply)

    async def renew(self, claims: Sequence[Claim]) -> list[Claim]:
        """Extend these leases; returns the claims that are lost."""
        args: list[Any] = [self._now(), self._lease_ms]
        for claim in claims:
            args += [claim.lane, claim.user, claim.token]
        lost = await self._scripts.run("renew", [self._prefix], args)
        return [claims[int(number) - 1] for number in lost]

    async def record_intent(
        self, claim: Claim, intent: str, order: Reservation | None = None
    ) -> Taken | None:
        """Write down what the next POST is about to do, and reserve an order's id; or say why it must not be made.

        Raises:
            StaleClaim: the mailbox is no longer this claim's; nothing was written.
        """
        args = [self._now(), claim.lane, claim.user, claim.token, claim.step, intent]
        if order is not None:
            verified = "" if order.verified is None else repr(order.verified)
            args += [order.order, order.basket, order.keep_ms, verified]
        answer = (await self._scripts.run("intent", [self._prefix], args)).decode()
        if answer == "stale":
            raise StaleClaim(claim.user)
        if answer == "yes" or order is None:
            return None
        if answer in ("held", "posted"):
            return Taken(answer, order.reserved)
        return Taken("unanswered", order.reserved, answer)

    async def settle(self, settlement: Settlement) -> int:
        """Write what became of a claim's first events; returns how many events are left in the mailbox.

        Raises:
            StaleClaim: the mailbox is no longer this claim's; nothing was written.
            OwnFault: the settlement cannot be written, and nothing of it was.
        """
        claim, text = settlement.claim, encode_settlement(settlement)
        what = claim.lane, claim.user, claim.token, claim.step, text
        _, reply = await self._settlements.ask(*what, size=len(text))
        answer, left = reply
        if answer == b"stale":
            raise StaleClaim(claim.user)
        return int(left)

    async def peek(self, user: str) -> UserBacklog:
        """What waits for another user."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for lane in Lane:
                pipe.llen(keys.mail(self.account, lane, user))
            pipe.hget(keys.user(self.account, user), "identified")
            *lengths, identified = await pipe.execute()
        return UserBacklog(dict(zip(Lane, lengths, strict=True)), int(identified or 0))

    async def cart_of(self, email: str) -> str:
        """The cart that was written last to this address, for whichever user; '' when none is known."""
        found: Any = await self._redis.get(keys.cart_of(self.account, address_key(email)))
        return (found or b"").decode()

    async def leads_to(self, visitor: str) -> str | None:
        """The id to which the events of an anonymousId go by now; None when it is not known to be any other's."""
        return next(iter(await self._aliases(visitor, "follows", "anon")), None)

    async def owner(self, email: str, *, besides: str) -> str | None:
        """The id to which an email, in lower case, belongs by what we learned: the userId that owns it,
        else the first anonymousId that identified with it. None when that is `besides`, or unknown.
        """
        owners = await self._aliases(email, "email", "visitor")
        return owners[0] if owners and owners[0] != besides else None

    async def _aliases(self, name: str, *kinds: str) -> list[str]:
        """Where a name leads, by each of these kinds by which that is known."""
        found: Any = await self._scripts.run("alias", [self._prefix], [name, *kinds])
        return [one.decode() for one in found if one is not None]


def encode_settlement(settlement: Settlement) -> bytes:
    """The settlement as settle.lua reads it: what says nothing is left out, since most settlements say little."""
    claim, learn = settlement.claim, settlement.learn
    through = claim.entries[: settlement.pop]
    gone = [STATE + one.seq for one in through if one.seq in claim.states]
    state = {STATE + seq: one.encode() for seq, one in settlement.state.items()}
    if settlement.absence is not None:
        state["absence"] = settlement.absence.encode()
    if settlement.failing is not None:
        state["failing"] = settlement.failing.encode()
    elif claim.failing is not None:
        gone.append("failing")
    doc: dict[str, Any] = {
        "pop": settlement.pop,
        "gone": gone,
        "count": settlement.count,
        "dead": settlement.dead,
        "packed": settlement.packed,
        "state": state,
        "learn": learn,
        "back": settlement.back,
        "at": settlement.at,
        "lift": settlement.lift,
        "bulk": settlement.bulk,
        "wake": settlement.wake,
    }
    said = {name: value for name, value in doc.items() if value}
    if settlement.intent is not None:
        said["intent"] = settlement.intent
    if settlement.due is not None:
        said["due"] = settlement.due
    if settlement.cart is not None:
        said |= {"cart": settlement.cart, "cart_keep": settlement.cart_keep_ms}
        if settlement.cart_of:
            said["cart_of"] = address_key(settlement.cart_of)
    if settlement.waits:
        said["waits"] = settlement.waits
        said["expected"] = _expected(settlement)
    return to_json(said)


def _expected(settlement: Settlement) -> dict[str, str]:
    """What a decision to wait was based on."""
    if settlement.order is not None:
        return {"order": settlement.order}
    claim = settlement.claim
    return {
        "email": claim.memory.email or settlement.learn.get("email", ""),
        "identified": claim.memory.identified,
        "head": claim.head_of_user,
    }
