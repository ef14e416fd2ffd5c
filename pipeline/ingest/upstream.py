"""Calls to Sailthru that the HTTP server makes for a request it is answering, within the limits of all processes.

Nothing is queued and nothing is tried again later: the client waits, and is told when to come again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError

from pipeline.addresses import with_sandbox
from pipeline.delivery.capacity import SLOT_WAIT_S
from pipeline.delivery.leases import RateFeedback
from pipeline.dryrun.calls import KeptCalls
from pipeline.errors import ConfigError
from pipeline.gates.gates import PROBED, Closure, Gates
from pipeline.ingest.answers import RETRY_AFTER_S
from pipeline.lanes import HOST_OF, KNOWN_BUCKETS, SPECS
from pipeline.ratelimit.limiter import Limiter, SlotTooFar
from pipeline.ratelimit.slots import Purpose
from pipeline.ratelimit.store_redis import RedisSlotStore
from pipeline.sailthru.answers import Accepted, Answer, Failed
from pipeline.sailthru.calls import Call, Method
from pipeline.sailthru.client import Credentials, Reply, SailthruClient
from pipeline.sailthru.transport import open_http
from pipeline.settings import AccountSettings, Settings
from pipeline.verbs.people import NotAsked

PAUSED_S = 60.0
"""When to come again while an operator has stopped delivery."""
_KEY_CODES = frozenset({3, 5})
"""A key that is being changed, and single mismatches of a good secret (reference: sailthru-api 4, 8)."""
_SCOPES = {spec.bucket: spec.scopes for spec in SPECS.values()}


class NotNow(Exception):
    """No call was made. `what` is for the client to read; it may come again in `wait_s` seconds."""

    def __init__(self, what: str, wait_s: float) -> None:
        super().__init__(what, wait_s)
        self.what = what
        self.wait_s = wait_s


class _Client(Protocol):
    async def exchange(self, call: Call) -> tuple[Answer, Reply]: ...


class Upstream:
    """Sailthru, for the accounts of these settings. Connects at the first call; `aclose` when the server ends."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        """`redis`: the caller opens and closes it."""
        limits = {name: account.limits for name, account in settings.accounts.items()}
        self._settings = settings
        self._redis = redis
        self._limiter = Limiter(RedisSlotStore(redis), limits)
        self._http: httpx.AsyncBaseTransport | None = None
        self._homes: dict[str, _Home] = {}

    async def call(
        self, account: str, method: Method, endpoint: str, params: Mapping[str, Any]
    ) -> Answer:
        """Make one call now, as `SailthruClient.send` does. Raises NotNow."""
        return (await self.exchange(account, Call(method, endpoint, params)))[0]

    async def exchange(self, account: str, call: Call) -> tuple[Answer, Reply]:
        """As `call`, with the reply itself.

        Raises:
            NotNow: the next slot is more than SLOT_WAIT_S away, a gate is closed, no sandbox runs, or Redis cannot be asked.
        """
        home = self._home(account)
        answer, reply = await self._once(home, call)
        if isinstance(answer, Failed) and answer.code in _KEY_CODES:
            return await self._once(home, call)
        return answer, reply

    async def ask(self, account: str, call: Call) -> Answer:
        """Make one call now, for an operator. Raises NotAsked."""
        try:
            return (await self.exchange(account, call))[0]
        except NotNow as error:
            raise NotAsked(error.what, error.wait_s) from None

    async def aclose(self) -> None:
        """Give up all calls that wait or are under way."""
        await self._limiter.aclose()
        if self._http is not None:
            await self._http.aclose()

    async def _once(self, home: _Home, call: Call) -> tuple[Answer, Reply]:
        bucket = call.bucket
        # Only where the lanes' calls need the rest of a bucket has this way in a share of it.
        purpose: Purpose = "pass_through" if bucket in KNOWN_BUCKETS else "normal"
        try:
            await self._check_gates(home, call)
            await self._limiter.acquire(home.name, bucket, purpose=purpose, max_wait=SLOT_WAIT_S)
        except SlotTooFar as far:
            raise NotNow("Too many calls to this endpoint wait already", far.wait_s) from None
        except RedisError:
            raise NotNow("The queue cannot be asked", RETRY_AFTER_S) from None
        with home.feedback.in_flight(bucket):
            answer, reply = await home.client.exchange(call)
        await home.feedback.observe(bucket, answer)
        return answer, reply

    async def _check_gates(self, home: _Home, call: Call) -> None:
        """One whose time is up lets the call through, as it would a probe."""
        host = HOST_OF.get(call.endpoint, "api")
        scopes = _SCOPES.get(call.bucket, ("account", host, call.bucket))
        now_ms = int(self._limiter.now(home.name, call.bucket) * 1000)
        for closure in await home.gates.closures(scopes, now_ms):
            if closure.reason not in PROBED or closure.until > now_ms:
                raise NotNow(f"Calls are stopped ({closure.reason})", _opens_in(closure, now_ms))

    def _home(self, account: str) -> _Home:
        home = self._homes.get(account)
        if home is None:
            settings = self._account(account)
            home = self._homes[account] = _Home(
                settings, self._client(settings), Gates(self._redis, account), self._limiter
            )
        return home

    def _account(self, name: str) -> AccountSettings:
        """Without an API key it is the sandbox's, and never calls the real Sailthru."""
        try:
            return with_sandbox(self._settings).account(name)
        except ConfigError:
            raise NotNow("No sandbox is running", RETRY_AFTER_S) from None

    def _client(self, settings: AccountSettings) -> _Client:
        if settings.dry_run:
            return _DryRun(KeptCalls(self._redis, settings.name))
        self._http = self._http or open_http()
        credentials = Credentials.of(settings)
        return SailthruClient(credentials, self._http, timeout_s=settings.http_timeout)


class _Home:
    """One account's part."""

    def __init__(
        self, settings: AccountSettings, client: _Client, gates: Gates, limiter: Limiter
    ) -> None:
        self.name = settings.name
        self.client = client
        self.gates = gates
        self.feedback = RateFeedback(settings.name, limiter)


class _DryRun:
    """Sends nothing (setting DRY_RUN), and says that everybody is known: no event is refused that Sailthru would take."""

    def __init__(self, kept: KeptCalls) -> None:
        self._kept = kept

    async def exchange(self, call: Call) -> tuple[Answer, Reply]:
        try:
            await self._kept.add(call)
        except RedisError:
            raise NotNow("The call cannot be kept", RETRY_AFTER_S) from None
        body = b"{}" if call.method == "GET" else b'{"ok":true}'
        headers = {"Content-Type": "application/json"}
        return Accepted(200, {}), Reply(200, headers, bytearray(body))


def _opens_in(closure: Closure, now_ms: int) -> float:
    return PAUSED_S if closure.until == 0 else max(1.0, (closure.until - now_ms) / 1000)
