"""Everything one process needs to deliver, for all accounts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx
import redis.asyncio
import redis.exceptions

from pipeline.calltimes import CallTimes
from pipeline.clock import Clock, Random
from pipeline.delivery.capacity import (
    AdaptiveLimiter,
    ClaimPool,
    bulk_bound,
    claimed_bound,
    leased_bound,
)
from pipeline.delivery.leases import Caller, Leases, Sender
from pipeline.delivery.processor import MailboxProcessor
from pipeline.delivery.session import DeliveryContext
from pipeline.delivery.traces import settled_records
from pipeline.dryrun.answers import DryRun
from pipeline.dryrun.calls import KeptCalls
from pipeline.events.models import Lane
from pipeline.gates.brake import Brake
from pipeline.gates.gates import Alert, Closure, Gates
from pipeline.gates.outages import Outages
from pipeline.gates.slow_start import SlowStart
from pipeline.lanes import BUCKETS
from pipeline.mailbox.store import MailboxStore
from pipeline.ratelimit.limiter import Limiter
from pipeline.ratelimit.store_redis import RedisSlotStore
from pipeline.sailthru.answers import Accepted
from pipeline.sailthru.client import Credentials, SailthruClient
from pipeline.sailthru.transport import open_http
from pipeline.settings import AccountSettings, Settings
from pipeline.storage import keys
from pipeline.targets import NO_TARGET, target_of
from pipeline.trace.queue import LAST_FLUSH_S, TraceQueue

TIMES_EVERY_S = 1.0
"""How often a process writes how long its calls took."""


@dataclass(frozen=True, slots=True)
class Seams:
    """What may stand in for the parts that reach outside: tests put in their own.

    sender: in the place of Sailthru, for every account. limiter: one that keeps its slots elsewhere. alert: told
    of gates that close. time_ms: in the place of Redis' clock.
    """

    http: httpx.AsyncBaseTransport | None = None
    sender: Sender | None = None
    limiter: Limiter | None = None
    alert: Alert | None = None
    time_ms: Callable[[], int] | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One account's part in a process."""

    gates: Gates
    context: DeliveryContext
    processor: MailboxProcessor
    capacity: dict[Lane, AdaptiveLimiter]
    times: CallTimes = field(default_factory=CallTimes)
    waiting: dict[Lane, set[str]] = field(default_factory=lambda: {lane: set() for lane in Lane})
    slow_starts: dict[Lane, SlowStart] = field(
        default_factory=lambda: {lane: SlowStart() for lane in Lane}
    )


class Engine:
    """One per process, on its event loop. `open` also keeps leases renewed; without it nothing runs by itself."""

    def __init__(
        self,
        settings: Settings,
        client: redis.asyncio.Redis,
        clock: Clock,
        random: Random,
        seams: Seams = Seams(),
    ) -> None:
        self.redis = client
        self._http = seams.http or open_http()
        self._seams = seams
        self._clock = clock
        self._random = random
        limits = {name: account.limits for name, account in settings.accounts.items()}
        self.limiter = seams.limiter or Limiter(RedisSlotStore(client), limits)
        lease_s = {name: account.lease for name, account in settings.accounts.items()}
        self.leases = Leases(clock, lease_s=lease_s)
        self._claims = ClaimPool()
        self.traces = TraceQueue(client, settings.accounts, settled_records, clock)
        self.accounts = {name: self._open(one) for name, one in settings.accounts.items()}
        self.renewing: asyncio.Task[None] | None = None
        self._tracing: asyncio.Task[None] | None = None
        self.timing: asyncio.Task[None] | None = None
        self.on_settled: Callable[[str, Lane], None] = _nothing

    @classmethod
    async def open(
        cls,
        settings: Settings,
        client: redis.asyncio.Redis,
        clock: Clock,
        random: Random,
        *,
        sender: Sender | None = None,
    ) -> Engine:
        """Connect nothing yet; start renewing leases and writing outcomes. `sender` stands in for Sailthru."""
        engine = cls(settings, client, clock, random, Seams(sender=sender))
        engine._tracing = asyncio.create_task(engine.traces.run())
        engine.renewing = asyncio.create_task(engine.leases.renew_forever(engine.stores))
        engine.timing = asyncio.create_task(engine.write_times_forever())
        return engine

    @property
    def stores(self) -> dict[str, MailboxStore]:
        return {name: account.context.store for name, account in self.accounts.items()}

    async def deliver(self, account: str, lane: Lane, box: str) -> None:
        """Deliver what waits in one leased mailbox. Returns at once while it waits here for room already."""
        home = self.accounts[account]
        waiting = home.waiting[lane]
        if box in waiting:
            return
        waiting.add(box)
        try:
            async with home.capacity[lane]:
                waiting.discard(box)
                await home.processor.process(lane, box)
        finally:
            self.on_settled(account, lane)

    async def hand_back(self, account: str, lane: Lane, boxes: Sequence[str]) -> None:
        """Give leased mailboxes of an account that these settings do not name back, as those of another target:
        the account's own processes deliver them, and publish nothing for a while."""
        store = MailboxStore(self.redis, account, target=NO_TARGET)
        await asyncio.gather(*(store.claim(lane, box, most=1) for box in boxes))

    def bounds(self, account: str, lane: Lane) -> tuple[int, int]:
        """How many mailboxes of a lane may be leased at once, and how many when a bulk one is to be among them."""
        home = self.accounts[account]
        pace = self._pace(account, lane, home.context.caller)
        bound = home.slow_starts[lane].bound(leased_bound(*pace), self._clock.monotonic())
        return bound, min(bound, bulk_bound(*pace))

    def rate(self, account: str, lane: Lane) -> float:
        """Calls/s that a lane may make."""
        return self.limiter.rate(account, BUCKETS[lane])

    def observe_gate(self, account: str, lane: Lane, state: str) -> None:
        """A wake-up found a lane's gate `open`, `closed` or to be tried with a `probe`."""
        slow_start = self.accounts[account].slow_starts[lane]
        slow_start.observe(is_open=state == "open", now=self._clock.monotonic())

    def stop(self) -> None:
        """Begin no further call."""
        for account in self.accounts.values():
            account.processor.stop()

    async def close(self) -> None:
        """Close connections and background work."""
        for task in (self.renewing, self.timing):
            if task is not None:
                task.cancel()
        if self._tracing is not None:
            self._tracing.cancel()
            await asyncio.wait([self._tracing], timeout=LAST_FLUSH_S)
        await self.write_times()
        await self.limiter.aclose()
        await self._http.aclose()
        await self.redis.aclose()

    async def write_times_forever(self) -> None:
        """Write how long calls took, once a second while there were any."""
        while True:
            await asyncio.sleep(TIMES_EVERY_S)
            await self.write_times()

    async def write_times(self) -> None:
        """What a Redis that is away does not take is written later, so that nothing of an outage goes missing."""
        for name, account in self.accounts.items():
            ended, times = account.context.caller.ended, account.times
            while ended:
                bucket, answer = ended.popleft()
                result = "ok" if isinstance(answer, Accepted) else answer.failure.value
                times.add(bucket, result, answer.duration_s)
            taken = times.take()
            if not taken:
                continue
            try:
                async with self.redis.pipeline(transaction=True) as pipe:
                    for field_name, by in taken.items():
                        pipe.hincrby(keys.calls(name), field_name, by)
                    await pipe.execute()
            except redis.exceptions.RedisError:
                times.put_back(taken)

    def _pace(self, account: str, lane: Lane, caller: Caller) -> tuple[float, float]:
        """Calls/s of a lane, and how long one takes (s)."""
        return self.rate(account, lane), caller.latency_s

    def _open(self, account: AccountSettings) -> Delivery:
        store = MailboxStore(
            self.redis,
            account.name,
            target="\n".join(target_of(account).names),
            lease_s=account.lease,
            memory_keep_s=account.memory_keep,
            time_ms=self._seams.time_ms,
            in_hand=self.leases.held,
        )
        caller = Caller(
            account.name,
            self._seams.sender or self._sender(account),
            self.limiter,
            self.leases,
            http_timeout=account.http_timeout,
            kept=KeptCalls(self.redis, account.name) if account.dry_run else None,
        )
        gates = Gates(self.redis, account.name, self._seams.alert or _logged)
        outages, brake = Outages(gates, self._clock), Brake(self.redis, gates)
        own = account, store, caller, outages, brake
        traces = self.traces.pending if account.trace_keep is not None else None
        context = DeliveryContext(*own, self.leases, self._clock, self._random, traces)
        capacity = {lane: self._capacity_of(account.name, lane, caller) for lane in Lane}
        return Delivery(gates, context, MailboxProcessor(context), capacity)

    def _capacity_of(self, account: str, lane: Lane, caller: Caller) -> AdaptiveLimiter:
        return AdaptiveLimiter(
            lambda: claimed_bound(*self._pace(account, lane, caller)), self._claims
        )

    def _sender(self, account: AccountSettings) -> Sender:
        if account.dry_run:
            return DryRun(self.redis, account.name)
        credentials = Credentials.of(account)
        return SailthruClient(credentials, self._http, timeout_s=account.http_timeout)


def _logged(_account: str, _closure: Closure) -> None:
    """The default of `alert`: gates log it themselves, and pipeline/alerting finds them closed."""


def _nothing(_account: str, _lane: Lane) -> None:
    """The default of `on_settled`: there is no waker to notify of a settled mailbox."""
