"""Several processes on one account, simulated in virtual time over one store."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from redis.exceptions import ConnectionError as RedisConnectionError

from pipeline.lanes import KNOWN_BUCKETS
from pipeline.ratelimit import limiter as limiter_module
from pipeline.ratelimit.limiter import Limiter, SlotTooFar
from pipeline.ratelimit.slots import Purpose, pace
from pipeline.ratelimit.store_memory import MemorySlotStore
from pipeline.sailthru.answers import RateHeaders
from tests.support.virtual_time import VirtualClock
from tests.support.windows import worst_clock_minute, worst_second

USERS, EVENTS = "POST /user", "POST /event"
PATIENT = 1e6


@dataclass
class Fleet:
    """Limiters that stand for processes, each kept busy by callers that never have enough."""

    clock: VirtualClock
    store: MemorySlotStore
    limiters: list[Limiter]
    sent: dict[str, list[float]] = field(default_factory=dict)
    by_purpose: Counter[str] = field(default_factory=Counter)
    tasks: dict[int, list[asyncio.Task[None]]] = field(default_factory=dict)

    def saturate(self, bucket: str, purpose: Purpose = "normal", callers: int = 8) -> None:
        for i, limiter in enumerate(self.limiters):
            self.tasks.setdefault(i, []).extend(
                asyncio.create_task(self._call(limiter, bucket, purpose)) for _ in range(callers)
            )

    async def _call(self, limiter: Limiter, bucket: str, purpose: Purpose) -> None:
        while True:
            await limiter.acquire("default", bucket, purpose=purpose, max_wait=PATIENT)
            self.sent.setdefault(bucket, []).append(self.clock.now())
            self.by_purpose[purpose] += 1

    async def kill(self, index: int) -> None:
        """Gone at once, with all it had reserved."""
        for task in self.tasks.pop(index, []):
            task.cancel()
        await self.limiters[index].aclose()

    async def stop(self) -> None:
        for index in list(self.tasks):
            for task in self.tasks.pop(index):
                task.cancel()
        await self.clock.settle()


@pytest_asyncio.fixture
async def fleet() -> AsyncIterator[Fleet]:
    clock = VirtualClock()
    store = MemorySlotStore(clock)
    fleet = Fleet(clock, store, [Limiter(store, clock=clock) for _ in range(4)])
    yield fleet
    await fleet.stop()
    for limiter in fleet.limiters:
        await limiter.aclose()


async def test_four_processes_use_a_limit_up_and_never_break_it(fleet: Fleet) -> None:
    """Any sliding second, and any clock minute across its edge."""
    fleet.clock.jump(30.0)
    fleet.saturate(EVENTS)
    fleet.saturate(USERS, callers=15)
    await fleet.clock.run(40.0)
    for bucket, limit in ((EVENTS, 40), (USERS, 300)):
        assert worst_second(fleet.sent[bucket]) <= limit
        assert worst_clock_minute(fleet.sent[bucket]) <= 60 * limit
        assert len(fleet.sent[bucket]) >= 0.999 * 40.0 * pace(limit)


async def test_processes_share_evenly(fleet: Fleet) -> None:
    """Slots go to processes in turn, since each asks when its last is used."""
    served = Counter[int]()

    async def call(index: int) -> None:
        while True:
            await fleet.limiters[index].acquire("default", EVENTS, max_wait=PATIENT)
            served[index] += 1

    fleet.tasks[0] = [asyncio.create_task(call(i)) for i in range(4) for _ in range(3)]
    await fleet.clock.run(10.0)
    assert max(served.values()) - min(served.values()) <= 2


async def test_an_idle_minute_earns_no_burst(fleet: Fleet) -> None:
    """A cold start looks like any other second."""
    fleet.saturate(EVENTS)
    await fleet.clock.run(2.0)
    await fleet.stop()
    await fleet.clock.run(90.0)
    fleet.saturate(EVENTS)
    await fleet.clock.run(3.0)
    assert worst_second(fleet.sent[EVENTS]) <= 40


async def test_a_killed_process_neither_stops_nor_exceeds(fleet: Fleet) -> None:
    """What it had reserved is lost, nothing more."""
    fleet.saturate(USERS)
    await fleet.clock.run(2.0)
    await fleet.kill(0)
    before = len(fleet.sent[USERS])
    await fleet.clock.run(2.0)
    assert worst_second(fleet.sent[USERS]) <= 300
    assert len(fleet.sent[USERS]) - before >= 2 * 300 * 0.97


async def test_a_429_in_one_process_stops_all_of_them(fleet: Fleet) -> None:
    """Until Reset; what others had reserved is a handful, and there is no burst when it opens."""
    fleet.saturate(USERS)
    await fleet.clock.run(1.0)
    reset = fleet.clock.now() + 20.0
    await fleet.limiters[0].close("default", USERS, reset)
    before = len(fleet.sent[USERS])
    await fleet.clock.run(19.99)
    assert len(fleet.sent[USERS]) - before <= 3 * 7
    await fleet.clock.run(3.0)
    assert len([at for at in fleet.sent[USERS] if at >= reset]) >= 2.9 * 295
    assert worst_second(fleet.sent[USERS]) <= 300


class WrongClock(VirtualClock):
    """A machine whose wall clock is off: it runs as `real` does."""

    def __init__(self, real: VirtualClock, off_by_s: float) -> None:
        super().__init__()
        self._real = real
        self._off_by_s = off_by_s

    def now(self) -> float:
        return self._real.now() + self._off_by_s

    def monotonic(self) -> float:
        return self._real.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._real.sleep(seconds)


@pytest.mark.parametrize("off_by_s", [-60.0, 60.0])
async def test_a_process_whose_clock_is_a_minute_off_closes_a_bucket_until_the_reset(
    fleet: Fleet, off_by_s: float
) -> None:
    """In every process: neither a minute longer, nor not at all."""
    clock = WrongClock(fleet.clock, off_by_s)
    fleet.limiters[0] = limiter = Limiter(fleet.store, clock=clock)
    for bucket in (USERS, EVENTS):
        fleet.saturate(bucket)
    await fleet.clock.run(1.0)
    reset = fleet.clock.now() + 20.0
    await limiter.close("default", USERS, reset)
    await limiter.observe("default", EVENTS, RateHeaders(2400, 0, reset), in_flight=0)
    for bucket in (USERS, EVENTS):
        before = len(fleet.sent[bucket])
        await fleet.clock.run(reset - 0.01 - fleet.clock.now())
        assert len(fleet.sent[bucket]) - before <= 3 * 7
    await fleet.clock.run(3.0)
    for bucket in (USERS, EVENTS):
        assert len([at for at in fleet.sent[bucket] if at >= reset]) >= 75


async def test_a_closure_that_is_over_still_lasts_a_moment(fleet: Fleet) -> None:
    """Our clock may be ahead of Sailthru's: a Reset in the past must not become a storm of 429."""
    limiter = fleet.limiters[0]
    await limiter.close("default", EVENTS, fleet.clock.now() - 5.0)
    with pytest.raises(SlotTooFar) as refused:
        await limiter.acquire("default", EVENTS, max_wait=0.5)
    assert refused.value.wait_s == pytest.approx(1.0)
    assert limiter.rate("default", EVENTS) == 0.0


async def test_a_reset_further_away_than_a_minute_is_not_believed(fleet: Fleet) -> None:
    """Believed, a proxy's header or one in milliseconds would stop a lane for ever, in every process."""
    milliseconds = (fleet.clock.now() + 30.0) * 1000
    await fleet.limiters[0].close("default", EVENTS, milliseconds)
    spent = RateHeaders(2400, 0, milliseconds)
    await fleet.limiters[1].observe("default", USERS, spent, in_flight=0)
    for bucket in (EVENTS, USERS):
        for limiter in fleet.limiters:
            with pytest.raises(SlotTooFar) as refused:
                await limiter.acquire("default", bucket)
            assert refused.value.wait_s <= 60.0
    await fleet.clock.run(60.1)
    for bucket in (EVENTS, USERS):
        fleet.saturate(bucket)
    await fleet.clock.run(2.0)
    assert set(fleet.sent) == {EVENTS, USERS}


async def test_an_answer_that_is_no_refusal_closes_nothing_whatever_its_reset(fleet: Fleet) -> None:
    """Nearly all of the minute is left."""
    reset = (fleet.clock.now() + 30.0) * 1000
    await fleet.limiters[0].observe("default", EVENTS, RateHeaders(2400, 2399, reset), in_flight=1)
    fleet.saturate(EVENTS)
    await fleet.clock.run(10.0)
    assert len(fleet.sent[EVENTS]) >= 9.8 * 39.0


async def test_reads_are_shared_by_purpose(fleet: Fleet) -> None:
    """Waiting-for-email has at most 10 %, pass-through 30 %; the rest is not held back by them."""
    for purpose in ("email", "pass_through", "normal"):
        fleet.saturate("GET /user", purpose)
    await fleet.clock.run(10.0)
    total = fleet.by_purpose.total()
    assert total >= 0.98 * 3000
    assert 0.08 * 3000 <= fleet.by_purpose["email"] <= 0.1 * 3000
    assert 0.25 * 3000 <= fleet.by_purpose["pass_through"] <= 0.3 * 3000
    assert fleet.by_purpose["normal"] >= 0.55 * 3000
    assert worst_second(fleet.sent["GET /user"]) <= 300


async def test_a_carts_read_waits_for_no_queue(fleet: Fleet) -> None:
    """Carts first: one slot of the process's own, whatever waits."""
    fleet.saturate("GET /user", callers=100)
    await fleet.clock.run(1.0)
    start = fleet.clock.now()
    cart = asyncio.create_task(fleet.limiters[0].acquire("default", "GET /user", purpose="cart"))
    while not cart.done():
        await fleet.clock.run(0.001)
    assert fleet.clock.now() - start < 0.1
    await cart


async def test_waiting_for_email_is_refused_at_once_while_reads_are_closed(fleet: Fleet) -> None:
    """It must not take a place in its own share's queue first."""
    limiter = fleet.limiters[0]
    await limiter.close("default", "GET /user", fleet.clock.now() + 20.0)
    with pytest.raises(SlotTooFar) as refused:
        await limiter.acquire("default", "GET /user", purpose="email")
    assert refused.value.wait_s == pytest.approx(20.0, abs=0.01)


async def test_a_wait_for_both_of_a_reads_slots_is_no_longer_than_a_wait_for_one(
    clock: VirtualClock,
) -> None:
    """What the purpose's share has used up is not there for the whole bucket."""
    limiter = Limiter(MemorySlotStore(clock), {"default": {"GET /user": 10.0}}, clock)
    await clock.run(1.0)
    for _ in range(28):
        reading = asyncio.create_task(limiter.acquire("default", "GET /user", max_wait=PATIENT))
    emails = [
        asyncio.create_task(limiter.acquire("default", "GET /user", purpose="email"))
        for _ in range(2)
    ]
    await clock.run(
        1.2
    )  # the second's slot of its share came after one, and 18 of all reads are before it
    assert [type(one.exception()) for one in emails if one.done()] == [SlotTooFar] * 2
    await asyncio.gather(reading, clock.run(3.0))
    await limiter.aclose()


@dataclass
class SharedAccount:
    """Sailthru's count of one minute, and someone else who spends half of it."""

    clock: VirtualClock
    limit: int = 2400
    counts: Counter[int] = field(default_factory=Counter)

    def count(self) -> tuple[int, float]:
        minute = int(self.clock.now() // 60)
        self.counts[minute] += 1
        return max(0, self.limit - self.counts[minute]), (minute + 1) * 60.0

    async def spend(self, rate: float) -> None:
        while True:
            await self.clock.sleep(1.0 / rate)
            self.count()


async def _deliver(fleet: Fleet, limiter: Limiter, sailthru: SharedAccount) -> None:
    while True:
        with suppress(SlotTooFar):
            await limiter.acquire("default", EVENTS, max_wait=PATIENT)
            remaining, reset = sailthru.count()
            fleet.sent.setdefault(EVENTS, []).append(fleet.clock.now())
            await fleet.clock.sleep(0.06)
            await limiter.observe(
                "default", EVENTS, RateHeaders(sailthru.limit, remaining, reset), in_flight=4
            )


async def test_someone_elses_half_of_the_account_is_left_to_them(fleet: Fleet) -> None:
    """From the first whole minute on, no call is refused and we use what is left."""
    sailthru = SharedAccount(fleet.clock)
    fleet.tasks[0] = [
        asyncio.create_task(_deliver(fleet, limiter, sailthru))
        for limiter in fleet.limiters
        for _ in range(4)
    ]
    fleet.tasks[1] = [asyncio.create_task(sailthru.spend(20.0))]
    await fleet.clock.run(180.0)
    assert max(sailthru.counts.values()) <= sailthru.limit
    assert len(fleet.sent[EVENTS]) >= 0.93 * 20 * 180


async def test_a_slowed_bucket_is_logged_once_a_minute(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says why a lane is slow, but not ten thousand times."""
    said: list[dict[str, object]] = []
    monkeypatch.setattr(limiter_module, "log_event", lambda name, **rest: said.append(rest))
    reset = fleet.clock.now() + 40
    for remaining in (400, 390, 380):
        headers = RateHeaders(2400, remaining, reset)
        await fleet.limiters[0].observe("default", EVENTS, headers, in_flight=0)
    assert said == [{"account": "default", "bucket": EVENTS, "calls_per_s": 10.0}]


async def test_a_larger_limit_header_speeds_every_process_up(fleet: Fleet) -> None:
    """The account was raised to 80/s: one process sees it, all use it, usage says so."""
    await fleet.limiters[0].observe(
        "default", EVENTS, RateHeaders(4800, 4799, fleet.clock.now() + 60), in_flight=1
    )
    fleet.saturate(EVENTS)
    await fleet.clock.run(2.0)
    assert 40 < worst_second(fleet.sent[EVENTS]) <= 80
    usage = {use.bucket: use for use in await fleet.limiters[3].usage("default")}
    assert (usage[EVENTS].limit, usage[EVENTS].source) == (80.0, "header")


async def test_a_limit_header_that_is_smaller_again_is_believed_after_a_restart(
    fleet: Fleet,
) -> None:
    """What an earlier process adopted does not outlive what Sailthru says today."""
    for limiter, limit in zip(fleet.limiters, (4800, 2400), strict=False):
        await limiter.observe(
            "default", EVENTS, RateHeaders(limit, 2000, fleet.clock.now() + 60), in_flight=1
        )
    usage = {use.bucket: use for use in await fleet.limiters[3].usage("default")}
    assert (usage[EVENTS].limit, usage[EVENTS].source) == (40.0, "default")


async def test_a_spent_minute_closes_the_bucket_before_a_429_does(fleet: Fleet) -> None:
    """Remaining 0 is as good as a refusal."""
    reset = fleet.clock.now() + 30.0
    await fleet.limiters[0].observe("default", EVENTS, RateHeaders(2400, 0, reset), in_flight=0)
    with pytest.raises(SlotTooFar) as refused:
        await fleet.limiters[1].acquire("default", EVENTS)
    assert refused.value.wait_s == pytest.approx(30.0, abs=0.3)


class AwayStore(MemorySlotStore):
    """A Redis that went away after the slot was given."""

    async def close(self, account: str, bucket: str, until: float) -> None:
        raise RedisConnectionError

    async def adopt(self, account: str, bucket: str, limit: float | None) -> None:
        raise RedisConnectionError


async def test_an_answer_is_not_lost_because_its_headers_could_not_be_shared(
    clock: VirtualClock,
) -> None:
    """`observe` runs between an answer and its settling: it closes here and raises nothing."""
    limiter = Limiter(AwayStore(clock), clock=clock)
    reset = clock.now() + 30.0
    await limiter.observe("default", EVENTS, RateHeaders(4800, 0, reset), in_flight=0)
    assert limiter.rate("default", EVENTS) == 0.0


async def test_the_operators_limit_reaches_every_process(fleet: Fleet) -> None:
    """Set by one (the CLI), kept by all, gone when it is taken back."""
    await fleet.limiters[0].set_limit("default", EVENTS, 10.0)
    fleet.saturate(EVENTS)
    await fleet.clock.run(3.0)
    assert 9 <= worst_second(fleet.sent[EVENTS]) <= 10
    assert fleet.limiters[2].rate("default", EVENTS) == pytest.approx(10.0, rel=0.02)


@pytest.mark.parametrize("limit", [0.0, -1.0, float("inf"), float("nan")])
async def test_a_limit_that_is_no_rate_is_refused(fleet: Fleet, limit: float) -> None:
    """Zero would stop the lane for ever; `pause` is the word for that."""
    with pytest.raises(ValueError, match="above zero"):
        await fleet.limiters[0].set_limit("default", EVENTS, limit)


async def test_usage_lists_known_set_and_operated_buckets_once(clock: VirtualClock) -> None:
    """In a stable order, each with who says so."""
    store = MemorySlotStore(clock)
    limiter = Limiter(store, {"default": {EVENTS: 20.0, "POST /send": 200.0}}, clock)
    await limiter.set_limit("default", "POST /list", 5.0)
    usage = [(use.bucket, use.limit, use.source) for use in await limiter.usage("default")]
    assert [bucket for bucket, _, _ in usage[:-2]] == list(KNOWN_BUCKETS)
    assert {(USERS, 300.0, "default"), (EVENTS, 20.0, "setting")} < set(usage)
    assert usage[-2:] == [("POST /send", 200.0, "setting"), ("POST /list", 5.0, "operator")]
    assert len(usage) == len({bucket for bucket, _, _ in usage})


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()
