"""Everything one process needs to deliver, for all accounts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import httpx
import redis.asyncio

from pipeline.clock import Clock, Random
from pipeline.delivery.alerts import Alerts
from pipeline.delivery.brake import Brake
from pipeline.delivery.caller import Caller, DryRun, Sender
from pipeline.delivery.drain import Drain
from pipeline.delivery.gatekeeper import Gatekeeper
from pipeline.delivery.loans import Loans
from pipeline.delivery.outages import Outages
from pipeline.delivery.ramp import Ramp
from pipeline.delivery.room import Room
from pipeline.delivery.tools import Tools
from pipeline.events import Lane
from pipeline.mailbox.gates import Gates
from pipeline.mailbox.lanes import BUCKETS
from pipeline.mailbox.store import MailboxStore
from pipeline.ratelimit.limiter import Limiter
from pipeline.ratelimit.store_redis import RedisSlotStore
from pipeline.sailthru.client import Credentials, SailthruClient
from pipeline.sailthru.transport import open_http
from pipeline.settings import AccountSettings, Settings
from pipeline.targets import target_of

MOST_OUT = 2_000
"""Mailboxes of a lane that are lent at a time, however fast it goes."""
LENT_AHEAD_S = 2.0
CLAIMED_AHEAD_S = 0.3
"""Of what is lent, a process claims no more than so many seconds of the lane's rate can use."""


@dataclass(slots=True)
class _Account:
    store: MailboxStore
    caller: Caller
    drain: Drain
    rooms: dict[Lane, Room]
    ramps: dict[Lane, Ramp] = field(default_factory=lambda: {lane: Ramp() for lane in Lane})


class Engine:
    """One per process, on its event loop. Make it with `open`."""

    def __init__(
        self,
        settings: Settings,
        client: redis.asyncio.Redis,
        http: httpx.AsyncClient,
        clock: Clock,
        random: Random,
    ) -> None:
        self.redis = client
        self._http = http
        self._alerts = Alerts(settings.alert_url, http)
        self._clock = clock
        self._random = random
        limits = {name: account.limits for name, account in settings.accounts.items()}
        self.limiter = Limiter(RedisSlotStore(client), limits)
        loan_s = {name: account.loan for name, account in settings.accounts.items()}
        self.loans = Loans(clock, loan_s=loan_s)
        self._accounts = {name: self._open(one) for name, one in settings.accounts.items()}
        self.renewing: asyncio.Task[None] | None = None
        self.on_settled: Callable[[], None] = _nothing

    @classmethod
    async def open(
        cls, settings: Settings, client: redis.asyncio.Redis, clock: Clock, random: Random
    ) -> Engine:
        """Connect nothing yet; start renewing loans."""
        engine = cls(settings, client, open_http(), clock, random)
        engine.renewing = asyncio.create_task(engine.loans.renew_forever(engine.stores))
        return engine

    @property
    def stores(self) -> dict[str, MailboxStore]:
        return {name: account.store for name, account in self._accounts.items()}

    async def deliver(self, account: str, lane: Lane, box: str) -> None:
        """Deliver what waits in one lent mailbox."""
        home = self._accounts[account]
        try:
            async with home.rooms[lane]:
                await home.drain.drain(lane, box)
        finally:
            self.on_settled()

    def bound(self, account: str, lane: Lane) -> int:
        """How many mailboxes of a lane may be lent at once: what two seconds and a call can use."""
        home = self._accounts[account]
        full = self._usable(account, lane, home.caller, LENT_AHEAD_S)
        return home.ramps[lane].bound(full, self._clock.monotonic())

    def saw_gate(self, account: str, lane: Lane, state: str) -> None:
        """A wake-up found a lane's gate `open`, `closed` or to be tried with a `probe`."""
        ramp = self._accounts[account].ramps[lane]
        ramp.saw(is_open=state == "open", now=self._clock.monotonic())

    def _usable(self, account: str, lane: Lane, caller: Caller, ahead_s: float) -> int:
        """How many mailboxes a lane's rate can use in the time of a call and `ahead_s`."""
        rate = self.limiter.rate(account, BUCKETS[lane])
        return max(4, min(MOST_OUT, int(rate * (caller.latency_s + ahead_s))))

    def stop(self) -> None:
        """Begin no further call."""
        for account in self._accounts.values():
            account.drain.stop()

    async def close(self) -> None:
        """Close connections and background work."""
        if self.renewing is not None:
            self.renewing.cancel()
        await self.limiter.aclose()
        await self._alerts.aclose()
        await self._http.aclose()
        await self.redis.aclose()

    def _open(self, account: AccountSettings) -> _Account:
        store = MailboxStore(
            self.redis, account.name, target=target_of(account).name, loan_s=account.loan
        )
        caller = Caller(
            account.name,
            self._sender(account),
            self.limiter,
            self.loans,
            self._clock,
            http_timeout=account.http_timeout,
        )
        gatekeeper = Gatekeeper(account.name, Gates(self.redis, account.name), self._alerts.tell)
        outages, brake = Outages(gatekeeper, self._clock), Brake(self.redis, gatekeeper)
        tools = Tools(account, store, caller, outages, brake, self.loans, self._clock, self._random)
        rooms = {
            lane: Room(partial(self._usable, account.name, lane, caller, CLAIMED_AHEAD_S))
            for lane in Lane
        }
        return _Account(store, caller, Drain(tools), rooms)

    def _sender(self, account: AccountSettings) -> Sender:
        if account.dry_run:
            return DryRun()
        credentials = Credentials.of(account)
        return SailthruClient(credentials, self._http, timeout_s=account.http_timeout)


def _nothing() -> None:
    """Nobody waits to hear of a settled mailbox."""
