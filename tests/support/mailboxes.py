"""One account's mailboxes on any Redis, with a time that stands until a test moves it."""

from __future__ import annotations

import json
from typing import Any

import redis.asyncio

from pipeline.clock import ManualClock
from pipeline.counters import Count, all_counters
from pipeline.deadletters.letter import Header
from pipeline.deadletters.moves import LetterMoves
from pipeline.deadletters.trimming import TrimGroup
from pipeline.events.models import Lane
from pipeline.gates.gates import Gates
from pipeline.mailbox.claim import Claim, Entry, Settlement, WakeResult
from pipeline.mailbox.history import EventState
from pipeline.mailbox.store import MailboxStore
from pipeline.settings import AccountSettings, Settings
from pipeline.splitter.loop import Splitter
from pipeline.splitter.stream import RawStream
from pipeline.storage import keys

START = 2_000_000_000.0
"""Unix seconds. Later than now: a stream that Redis itself added to keeps accepting our ids."""
LEASE_S = 12.0
FAR = 1_000_000


class Mailboxes:
    """A store, its gates and a splitter that holds the lease, all on the same clock."""

    def __init__(
        self, client: redis.asyncio.Redis, *accounts: AccountSettings, splitter: str = "first"
    ) -> None:
        self.redis = client
        self.clock = ManualClock(START)
        self.store = MailboxStore(client, "default", lease_s=LEASE_S, time_ms=self.now_ms)
        self.moves = LetterMoves(client, "default", time_ms=self.now_ms)
        self.gates = Gates(client, "default")
        names = {one.name: one for one in accounts or (AccountSettings(),)}
        self.settings = Settings(accounts=names)
        self.splitter = self.make_splitter(splitter)
        self._sent = 0

    def make_splitter(self, token: str, stream: RawStream | None = None) -> Splitter:
        """Another splitter; nobody is woken, tests do that by hand. stream: one that fails at times."""
        return Splitter(
            self.redis,
            self.settings,
            token,
            lambda _due: None,
            self.clock,
            time_ms=self.now_ms,
            stream=stream,
        )

    def process_of(self, target: str) -> MailboxStore:
        """The same mailboxes as a process sees them that delivers to `target`."""
        return MailboxStore(
            self.redis, "default", target=target, lease_s=LEASE_S, time_ms=self.now_ms
        )

    def now_ms(self) -> int:
        return round(self.clock.now() * 1000)

    async def accept(self, *events: dict[str, Any], **fields: str) -> None:
        """Into the raw stream, as a producer does it."""
        for event in events:
            await self.accept_raw({"event": json.dumps(event), **fields})

    async def accept_raw(self, fields: dict[Any, Any]) -> str:
        self._sent += 1
        sid = f"{self.now_ms()}-{self._sent * 1000}"
        await self.redis.xadd(keys.RAW, fields, id=sid)
        return sid

    async def split(self) -> int:
        """What the raw stream holds, up to a batch, goes where it belongs."""
        assert await self.splitter.hold_lease()
        return await self.splitter.step()

    async def post(self, *events: dict[str, Any]) -> None:
        await self.accept(*events)
        await self.split()

    async def wake(
        self, lane: Lane, *, bound: int = 100, own_tick: int = 0, reckoned: int = 0
    ) -> WakeResult:
        return await self.store.wake(
            lane, bound=bound, max_queue_length=FAR, own_tick=own_tick, reckoned=reckoned
        )

    async def claim(self, lane: Lane, box: str, *, most: int = 40) -> Claim:
        """Claim what is leased; it must be there."""
        claim = await self.store.claim(lane, box, most=most)
        assert claim is not None
        return claim

    async def settle(self, settlement: Settlement) -> Claim:
        """Settle, and return the claim as it is from then on."""
        await self.store.settle(settlement)
        return settlement.claim.apply(settlement)

    async def lease_and_claim(self, lane: Lane, box: str) -> Claim:
        assert box in (await self.wake(lane)).boxes
        return await self.claim(lane, box)

    async def die(self, lane: Lane, box: str) -> Claim:
        """Claim a mailbox in a process that is never heard of again; its lease runs out."""
        claim = await self.lease_and_claim(lane, box)
        self.clock.advance(LEASE_S + 0.001)
        return claim

    async def backlog(self) -> int:
        return int(await self.redis.xlen(keys.RAW))

    async def mail(self, lane: Lane, box: str) -> list[str]:
        """The ids of the events in a mailbox."""
        blobs: Any = await self.redis.lrange(keys.mail("default", lane, box), 0, -1)
        return [Entry.decode(blob).id for blob in blobs]

    async def due(self, lane: Lane, *, bulk: bool = False) -> dict[str, int]:
        """Mailbox -> when it is due, in ms from now."""
        name = keys.due_bulk if bulk else keys.due
        return await self._scores(name("default", lane))

    async def leased(self, lane: Lane) -> dict[str, int]:
        """Mailbox -> when its lease expires, in ms from now."""
        return await self._scores(keys.leased("default", lane))

    async def counts(self) -> dict[str, int]:
        """The account's counters that are not zero, but for those of the ways in and of tries."""
        table: Any = await self.redis.hgetall(keys.counts("default"))
        counts = {name.decode(): int(n) for name, n in table.items() if int(n)}
        assert counts.keys() <= all_counters(), "a counter that pipeline/counters.py does not name"
        beside = (Count.CAME_IN, Count.RETRIED)
        return {name: n for name, n in counts.items() if not name.startswith(beside)}

    async def dead(self, account: str = "default") -> dict[str, dict[str, Any]]:
        """The headers of the dead letters by id, each with its `raw`."""
        letters: Any = await self.redis.hgetall(keys.dead(account))
        found = {}
        for name, blob in letters.items():
            header, _, raw = blob.partition(b"\n")
            found[name.decode()] = json.loads(header) | {"raw": raw}
        return found

    async def dead_groups(self) -> dict[TrimGroup, int]:
        """How many dead letters each group is said to have."""
        sizes: Any = await self.redis.hgetall(keys.dead_groups("default"))
        return {TrimGroup.parse(text.decode()): int(size) for text, size in sizes.items()}

    async def _scores(self, key: str) -> dict[str, int]:
        found: Any = await self.redis.zrange(key, 0, -1, withscores=True)
        return {box.decode(): int(at) - self.now_ms() for box, at in found}


def identify(message_id: str, user: str | None = None, **fields: Any) -> dict[str, Any]:
    traits = {"email": fields.pop("email")} if "email" in fields else {}
    return _event(message_id, user, type="identify", traits=traits, **fields)


def track(message_id: str, user: str | None = None, **fields: Any) -> dict[str, Any]:
    return _event(message_id, user, type="track", **{"event": "Song Played", **fields})


def order(message_id: str, user: str | None = None, **fields: Any) -> dict[str, Any]:
    return track(message_id, user, event="Order Completed", **fields)


def _event(message_id: str, user: str | None, **fields: Any) -> dict[str, Any]:
    return {"messageId": message_id, **({"userId": user} if user else {}), **fields}


def letter(
    claim: Claim, *, reason: str = "rejected", pending_intent: str = "", pop: int = 1
) -> Settlement:
    """The settlement by which the first event dies and `pop` events leave."""
    head = claim.head
    header = Header(
        account=claim.account,
        lane=claim.lane,
        user=claim.user,
        reason=reason,
        died_at=claim.now,
        first_seen_ms=head.first or head.at,
        key=head.key,
        pending_intent=pending_intent,
        order=claim.lane is Lane.PURCHASE,
        awaits_email=reason == "missing_email",
    )
    counts = {"delivered": pop - 1} if pop > 1 else {}
    dead = [(1, head.id, header.as_line())]
    return Settlement(claim, pop=pop, dead=dead, count=counts, intent="")


def delivered(claim: Claim, count: int = 1, **fields: Any) -> Settlement:
    """The settlement by which the first `count` events were delivered."""
    return Settlement(claim, pop=count, count={"delivered": count}, intent="", **fields)


def tried_again(claim: Claim, due: int) -> Settlement:
    """The head failed and has its next try at `due` (ms)."""
    state = claim.state(claim.head)
    failed = EventState(tried=state.tried + 1, failing_since=claim.clock)
    return Settlement(claim, back=True, due=due, state={claim.head.seq: failed})
