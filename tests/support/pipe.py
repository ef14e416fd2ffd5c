"""The whole pipeline in one process and in no time: fakeredis, a clock that is moved, a sandbox.

What is real: every script, the splitter, claims, planning, limits, outcomes, gates, dead letters.
What is not: Celery and HTTP. Mailboxes are delivered one after the other, so runs are repeatable.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import AsyncIterator, Iterable, Mapping
from itertools import count
from typing import Any

import fakeredis
import httpx
import redis.exceptions

from pipeline.clock import Clock, ManualClock
from pipeline.counters import Count, all_counters
from pipeline.deadletters.letter import Letter
from pipeline.deadletters.moves import LetterMoves
from pipeline.delivery.engine import Engine, Seams
from pipeline.delivery.traces import Settled
from pipeline.events.models import Lane
from pipeline.gates.gates import Closure
from pipeline.ratelimit.limiter import Limiter
from pipeline.ratelimit.store_memory import MemorySlotStore
from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.sandbox import Sandbox
from pipeline.settings import AccountSettings, Settings
from pipeline.splitter.loop import Splitter
from pipeline.storage import keys
from pipeline.trace.log import TraceLog
from pipeline.trace.queue import TraceQueue
from pipeline.trace.records import Record
from tests.support.fake_sailthru import FakeSailthru, Killed
from tests.support.key_table import check_keys

START = 1_700_000_000.0
ACCOUNT = "default"
BOUND = 100
MAX_ROUNDS = 5_000
MAX_STEP_S = 5.0
"""While anything is leased, time moves in steps no waker would take for a standstill."""


class Pipe:
    """One account's pipeline. `clock` may be moved and `sailthru` troubled at any time."""

    def __init__(
        self, settings: AccountSettings, sandbox: SandboxOptions, seed: int, client: Any = None
    ) -> None:
        self.clock = ManualClock(START)
        self.server = fakeredis.FakeServer()
        self.redis: Any = client or fakeredis.FakeAsyncRedis(server=self.server)
        self.settings = settings
        self.sailthru = FakeSailthru(Sandbox(sandbox), self.clock)
        self.random = random.Random(seed)
        self.alerts: list[Closure] = []
        self.kills = 0
        self.unsettled = 0
        self._slots = MemorySlotStore(self.clock)
        self.limiter = Limiter(self._slots, {}, self.clock)
        self._numbers = count(1)
        self._queues: list[TraceQueue[Any]] = []
        self._ticks: dict[Lane, int] = {}
        self.moves = LetterMoves(self.redis, ACCOUNT, time_ms=self.now_ms)
        self._due = [due(ACCOUNT, lane) for lane in Lane for due in (keys.due, keys.due_bulk)]
        self._out = [keys.leased(ACCOUNT, lane) for lane in Lane]
        self._all = Settings(accounts={ACCOUNT: settings})
        self._http = httpx.MockTransport(_no_network)
        self.start_process()
        self._splitter = Splitter(
            self.redis, self._all, "splitter", lambda _due: None, self.clock, time_ms=self.now_ms
        )

    def start_process(self, clock: Clock | None = None) -> None:
        """A worker process that knows nothing but what is in Redis. `clock`: its machine's, if that is wrong."""
        if clock is not None:
            self.limiter = Limiter(self._slots, {}, clock)
        seams = Seams(
            http=self._http,
            sender=self.sailthru,
            limiter=self.limiter,
            alert=lambda _, closure: self.alerts.append(closure),
            time_ms=self.now_ms,
        )
        engine = Engine(self._all, self.redis, clock or self.clock, self.random, seams)
        delivery = engine.accounts[ACCOUNT]
        self.leases, self.processor = engine.leases, delivery.processor
        self.store, self.gates = delivery.context.store, delivery.gates
        self._queues = [*self._queues, engine.traces]

    def now_ms(self) -> int:
        return int(self.clock.now() * 1000)

    async def post(self, *events: dict[str, Any], bulk: bool = False) -> None:
        """Accept and split these events, now. Each gets a messageId unless it has one."""
        for event in events:
            number = next(self._numbers)
            body = json.dumps({"messageId": f"m{number}", **event})
            await self._accept({"event": body} | ({"class": "bulk"} if bulk else {}), number)
        await self._split()

    async def post_raw(self, entries: Iterable[Mapping[Any, Any]]) -> None:
        """Accept and split these entries of the raw stream, whatever fields they have."""
        for fields in entries:
            await self._accept(fields, next(self._numbers))
        await self._split()

    async def _accept(self, fields: Mapping[Any, Any], number: int) -> None:
        await self.redis.xadd(keys.RAW, dict(fields), id=f"{self.now_ms()}-{number}")

    async def _split(self) -> None:
        await self.redis.set(keys.SPLITTER, "splitter")
        while await self._splitter.step():
            pass

    async def run(self, seconds: float = 0.0) -> None:
        """Deliver what is due until that much time has passed and nothing is due any more."""
        end = self.clock.now() + seconds
        rounds = 0
        while True:
            rounds += 1
            assert rounds < MAX_ROUNDS, "the same mailbox is leased again and again"
            if await self._round():
                continue
            soon = await self._next_change()
            if soon is None or soon > end or self.clock.now() >= end:
                self.clock.advance(max(0.0, end - self.clock.now()))
                return
            self.clock.advance(max(0.001, soon - self.clock.now()))

    def settled(self) -> list[Settled]:
        """What was settled and is not written into the log yet."""
        return [one for queue in self._queues for one in queue.pending]

    async def outcomes(self, *names: bytes) -> list[Record]:
        """What the log says by now of what has one of these names, the oldest first."""
        for queue in (self._splitter.traces, *self._queues):
            await queue.flush()
        return await TraceLog(self.redis, ACCOUNT).find(names)

    async def letters(self) -> list[Letter]:
        """The dead letters, oldest first."""
        ids = await self.redis.zrange(keys.dead_by_time(ACCOUNT), 0, -1)
        found = [(name, await self.redis.hget(keys.dead(ACCOUNT), name)) for name in ids]
        return [Letter.read(ACCOUNT, name.decode(), blob) for name, blob in found]

    async def reasons(self) -> list[str]:
        """What the dead letters died of, oldest first."""
        return [letter.header.reason for letter in await self.letters()]

    async def counts(self) -> dict[str, int]:
        """The account's counters that are not zero, but for those of the ways in and of tries."""
        table = await self.redis.hgetall(keys.counts(ACCOUNT))
        counts = {name.decode(): int(value) for name, value in table.items() if int(value)}
        assert counts.keys() <= all_counters(), "a counter that pipeline/counters.py does not name"
        beside = (Count.CAME_IN, Count.RETRIED)
        return {name: n for name, n in counts.items() if not name.startswith(beside)}

    async def closures(self) -> list[Closure]:
        """Why gates are closed."""
        return await self.gates.all_closures(self.now_ms())

    async def waiting(self, lane: Lane, user: str) -> list[str]:
        """The ids in a mailbox, in order."""
        blobs = await self.redis.lrange(keys.mail(ACCOUNT, lane, user), 0, -1)
        return [json.loads(blob.partition(b"\n")[0])["id"] for blob in blobs]

    async def pause(self, scope: str) -> None:
        """As an operator does."""
        await self.gates.close(Closure(scope, "paused", 0, self.now_ms()))
        await self.run()

    async def resume(self, scope: str) -> None:
        """Take away what only a person takes away."""
        await self.gates.open(scope, "paused")
        await self.gates.open(scope, "brake")

    async def lease(self, lane: Lane) -> tuple[str, ...]:
        """What a waker would publish now."""
        leased = await self.store.wake(
            lane, bound=BOUND, max_queue_length=10, own_tick=self._ticks.get(lane, 0)
        )
        self._ticks[lane] = leased.now
        return leased.boxes

    async def _round(self) -> bool:
        worked = False
        for lane in Lane:
            for box in await self.lease(lane):
                worked = True
                await self.deliver(lane, box)
        return worked

    async def deliver(self, lane: Lane, box: str) -> None:
        """As a worker does: a process that dies over it is started anew."""
        try:
            await self.processor.process(lane, box)
        except Killed:
            self.kills += 1
            self.start_process()
        except redis.exceptions.ResponseError:  # as a worker's runtime: the lease runs out
            self.unsettled += 1

    async def _next_change(self) -> float | None:
        """When something is next due, expires, or may be probed (Unix seconds)."""
        times = [
            closure.until for closure in await self.closures() if closure.until > self.now_ms()
        ]
        leased = False
        for key in (*self._due, *self._out):
            first = await self.redis.zrange(key, 0, 0, withscores=True)
            times += [int(score) for _, score in first if score > self.now_ms()]
            leased = leased or bool(first and key in self._out)
        if not times:
            return None
        soon = (min(times) + 1) / 1000
        return min(soon, self.clock.now() + MAX_STEP_S) if leased else soon

    async def aclose(self) -> None:
        await self.limiter.aclose()
        await self._http.aclose()
        await self.redis.aclose()


def _no_network(request: httpx.Request) -> httpx.Response:
    msg = f"nothing here may call {request.url.host}"
    raise AssertionError(msg)


@contextlib.asynccontextmanager
async def open_pipe(
    *, seed: int = 1, sandbox: SandboxOptions | None = None, client: Any = None, **settings: Any
) -> AsyncIterator[Pipe]:
    """A pipeline with these account settings; its sandbox refuses events of unknown users.

    `client`: of a real, empty Redis, to be closed with the pipeline.
    """
    account = AccountSettings(customer_id="customer", **settings)
    pipe = Pipe(account, sandbox or SandboxOptions(), seed, client)
    try:
        yield pipe
        await check_keys(pipe.redis)
    finally:
        await pipe.aclose()


def identify(user: str, **more: Any) -> dict[str, Any]:
    """An identify with an email, unless `traits` says otherwise."""
    return {"type": "identify", "userId": user, "traits": {"email": f"{user}@example.org"}, **more}


def track(user: str, event: str = "Reached the end", **properties: Any) -> dict[str, Any]:
    """A custom event."""
    return {"type": "track", "userId": user, "event": event, "properties": properties}


def order(user: str, number: str, *, email: bool = True) -> dict[str, Any]:
    """An order of one product."""
    known = {"email": f"{user}@example.org"} if email else {}
    properties = {"order_id": number, "products": [product("p1")], "total": 12.5, **known}
    return track(user, "Order Completed", **properties)


def added(user: str, item: str = "p1", *, email: bool = True, **more: Any) -> dict[str, Any]:
    """A product put into the cart."""
    known = {"email": f"{user}@example.org"} if email else {}
    return track(user, "Product Added", **product(item), **known, **more)


def removed(user: str, item: str = "p1") -> dict[str, Any]:
    """A product taken out of the cart again."""
    return track(user, "Product Removed", **product(item), email=f"{user}@example.org")


def page(user: str) -> dict[str, Any]:
    """A pageview."""
    url = "https://shop.example.org/a"
    return {"type": "page", "userId": user, "properties": {"url": url, "title": "A"}}


def product(item: str) -> dict[str, Any]:
    """One product as Segment describes it."""
    return {
        "product_id": item,
        "name": f"Product {item}",
        "price": 12.5,
        "quantity": 1,
        "url": f"https://shop.example.org/{item}",
    }
