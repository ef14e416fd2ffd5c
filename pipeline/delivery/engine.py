"""Everything one process needs to deliver, for all accounts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import redis.asyncio

from pipeline.clock import Clock, Random
from pipeline.delivery.caller import Caller, DryRun, Sender
from pipeline.delivery.drain import Drain
from pipeline.delivery.loans import Loans
from pipeline.delivery.outages import Outages
from pipeline.delivery.turn import Tools
from pipeline.events import Lane
from pipeline.mailbox.gates import Gates
from pipeline.mailbox.lanes import BUCKETS
from pipeline.mailbox.store import MailboxStore
from pipeline.ratelimit.limiter import Limiter
from pipeline.ratelimit.store_redis import RedisSlotStore
from pipeline.sailthru.client import Credentials, SailthruClient
from pipeline.sailthru.transport import open_http
from pipeline.settings import AccountSettings, Settings

MOST_OUT = 2_000
"""Mailboxes of a lane that are lent at a time, however fast it goes."""


@dataclass(slots=True)
class _Account:
    store: MailboxStore
    caller: Caller
    drain: Drain


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
        self._clock = clock
        self._random = random
        limits = {name: account.limits for name, account in settings.accounts.items()}
        self.limiter = Limiter(RedisSlotStore(client), limits)
        loan_s = min(account.loan for account in settings.accounts.values())
        self.loans = Loans(clock, loan_s=loan_s)
        self._accounts = {name: self._open(one, loan_s) for name, one in settings.accounts.items()}
        self._renewing: asyncio.Task[None] | None = None
        self.on_settled: Callable[[], None] = _nothing

    @classmethod
    async def open(
        cls, settings: Settings, client: redis.asyncio.Redis, clock: Clock, random: Random
    ) -> Engine:
        """Connect nothing yet; start renewing loans."""
        engine = cls(settings, client, open_http(), clock, random)
        engine._renewing = asyncio.create_task(engine.loans.renew_forever(engine.stores))
        return engine

    @property
    def stores(self) -> dict[str, MailboxStore]:
        return {name: account.store for name, account in self._accounts.items()}

    async def deliver(self, account: str, lane: Lane, box: str) -> None:
        """Deliver what waits in one lent mailbox."""
        try:
            await self._accounts[account].drain.drain(lane, box)
        finally:
            self.on_settled()

    def bound(self, account: str, lane: Lane) -> int:
        """How many mailboxes of a lane may be lent at once: what two seconds and a call can use."""
        rate = self.limiter.rate(account, BUCKETS[lane])
        latency_s = self._accounts[account].caller.latency_s
        return max(4, min(MOST_OUT, int(rate * (latency_s + 2.0))))

    def stop(self) -> None:
        """Begin no further call."""
        for account in self._accounts.values():
            account.drain.stop()

    async def close(self) -> None:
        """Close connections and background work."""
        if self._renewing is not None:
            self._renewing.cancel()
        await self.limiter.aclose()
        await self._http.aclose()
        await self.redis.aclose()

    def _open(self, account: AccountSettings, loan_s: float) -> _Account:
        store = MailboxStore(self.redis, account.name, loan_s=loan_s)
        caller = Caller(
            account.name,
            self._sender(account),
            self.limiter,
            self.loans,
            self._clock,
            http_timeout=account.http_timeout,
        )
        outages = Outages(Gates(self.redis, account.name), self._clock)
        tools = Tools(account, store, caller, outages, self.loans, self._clock, self._random)
        return _Account(store, caller, Drain(tools))

    def _sender(self, account: AccountSettings) -> Sender:
        if account.dry_run:
            return DryRun()
        secret = account.api_secret
        credentials = Credentials(
            api_key=account.api_key or "",
            api_secret=secret.get_secret_value() if secret else "",
            api_url=account.api_url,
            customer_id=account.customer_id,
            pageview_url=account.pageview_url,
        )
        return SailthruClient(credentials, self._http, timeout_s=account.http_timeout)


def _nothing() -> None:
    """Nobody waits to hear of a settled mailbox."""
