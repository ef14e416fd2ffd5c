"""One process's queue: order, cancelling, lateness, closing, a store that fails. Virtual time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from unittest.mock import patch

import pytest
import pytest_asyncio
from redis.exceptions import ConnectionError as RedisConnectionError

from pipeline.ratelimit.feedback import Headroom
from pipeline.ratelimit.pacer import Pacer, SlotTooFar
from pipeline.ratelimit.slots import Ask, Bucket, Grant, lateness, pace
from pipeline.ratelimit.store_memory import MemorySlotStore
from tests.support.virtual_time import VirtualClock

USERS = Bucket("default", "POST /user", default=300.0)
EVENTS = Bucket("default", "POST /event")
PATIENT = 1e6


@dataclass
class CountingStore(MemorySlotStore):
    """Notes what is asked, and can be away."""

    clock: VirtualClock
    asked: list[int] = field(default_factory=list)
    away: bool = False
    before_answer: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        super().__init__(self.clock)

    async def reserve(self, bucket: Bucket, ask: Ask) -> Grant:
        self.asked.append(ask.count)
        await asyncio.sleep(0)
        if self.away:
            raise RedisConnectionError
        grant = await super().reserve(bucket, ask)
        self.before_answer()
        return grant


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def store(clock: VirtualClock) -> CountingStore:
    return CountingStore(clock)


@pytest_asyncio.fixture
async def events(store: CountingStore, clock: VirtualClock) -> AsyncIterator[Pacer]:
    pacer = Pacer(EVENTS, store, clock, Headroom())
    yield pacer
    await pacer.aclose()


@pytest_asyncio.fixture
async def users(store: CountingStore, clock: VirtualClock) -> AsyncIterator[Pacer]:
    pacer = Pacer(USERS, store, clock, Headroom())
    yield pacer
    await pacer.aclose()


@dataclass
class Callers:
    """Tasks that acquire, and who of them got a slot when."""

    pacer: Pacer
    clock: VirtualClock
    served: list[tuple[str, float]] = field(default_factory=list)

    def start(
        self, name: str, *, urgent: bool = False, max_wait: float = PATIENT
    ) -> asyncio.Task[None]:
        return asyncio.create_task(self._acquire(name, urgent, max_wait))

    async def _acquire(self, name: str, urgent: bool, max_wait: float) -> None:
        await self.pacer.acquire(urgent=urgent, max_wait=max_wait)
        self.served.append((name, self.clock.now()))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.served]


async def test_waiters_are_served_in_order_of_arrival(events: Pacer, clock: VirtualClock) -> None:
    """First come, first served."""
    callers = Callers(events, clock)
    tasks = [callers.start(str(i)) for i in range(20)]
    await clock.run(1.0)
    assert callers.names == [str(i) for i in range(20)]
    await asyncio.gather(*tasks)


async def test_urgent_waiters_go_before_all_others(events: Pacer, clock: VirtualClock) -> None:
    """A cart's read waits for the slot under way, not for the queue."""
    callers = Callers(events, clock)
    tasks = [callers.start(f"later{i}") for i in range(5)]
    await clock.run(0.0)
    tasks += [callers.start(f"cart{i}", urgent=True) for i in range(2)]
    await clock.run(1.0)
    assert callers.names == ["later0", "cart0", "cart1", *(f"later{i}" for i in range(1, 5))]
    await asyncio.gather(*tasks)


async def test_a_cancelled_waiters_slot_goes_to_the_next(
    events: Pacer, store: CountingStore, clock: VirtualClock
) -> None:
    """The reserved slot is not lost: the next waiter gets it, at the same time."""
    callers = Callers(events, clock)
    first, second, third = (callers.start(name) for name in "abc")
    await clock.run(0.0)
    second.cancel()
    await clock.run(1.0)
    assert callers.names == ["a", "c"]
    assert store.asked == [1, 1]
    await asyncio.gather(first, third)


async def test_a_slot_given_to_a_waiter_that_is_cancelled_in_that_moment_is_passed_on(
    events: Pacer, store: CountingStore, clock: VirtualClock
) -> None:
    """Between giving a slot and taking it the caller may be cancelled."""
    callers = Callers(events, clock)
    tasks = [callers.start(name) for name in "ab"]
    await asyncio.sleep(0)
    events._give(clock.now())
    tasks[0].cancel()
    await clock.settle()
    assert callers.names == ["b"]
    assert store.asked == [1]


async def test_a_late_slot_is_dropped_and_no_burst_follows(
    users: Pacer, clock: VirtualClock
) -> None:
    """A loop that stood still for 100 ms does not catch up."""
    callers = Callers(users, clock)
    tasks = [callers.start(str(i)) for i in range(100)]
    await clock.run(0.1)
    clock.jump(0.1)
    await clock.run(1.0)
    await asyncio.gather(*tasks)
    times = [at for _, at in callers.served]
    gaps = sorted(b - a for a, b in itertools.pairwise(times))
    assert users.late > 0
    assert gaps[0] > 1 / 300 - lateness(300.0)
    assert callers.names == [str(i) for i in range(100)]


async def test_a_slot_that_is_late_when_it_is_given_wakes_no_waiter(
    events: Pacer, clock: VirtualClock
) -> None:
    """A waiter that is woken for it would only find that out, and wait again."""
    task = Callers(events, clock).start("a")
    await asyncio.sleep(0)
    events._give(clock.now() - lateness(40.0) - 0.001)
    assert (events.late, len(events._queue)) == (1, 1)
    await asyncio.gather(task, clock.run(1.0))


async def test_a_slot_that_went_stale_before_its_owner_ran_is_not_used(
    events: Pacer, clock: VirtualClock
) -> None:
    """The last look at the clock is the caller's own, after the loop got round to it."""
    callers = Callers(events, clock)
    task = callers.start("a")
    await asyncio.sleep(0)
    events._give(clock.now())
    clock.jump(lateness(40.0) + 0.05)
    await clock.settle()
    assert (events.late, callers.names) == (1, [])
    await asyncio.gather(task, clock.run(1.0))
    assert callers.names == ["a"]


async def test_a_call_that_hung_before_it_was_sent_is_paid_for_with_the_next_slot(
    events: Pacer, clock: VirtualClock
) -> None:
    """The process stood still between taking its slot and sending: the second that begins with that
    call would have one too many."""

    async def hang() -> None:
        await events.acquire(urgent=False, max_wait=PATIENT)
        clock.jump(0.021)

    callers = Callers(events, clock)
    start = clock.now()
    await asyncio.gather(asyncio.create_task(hang()), *map(callers.start, "ab"), clock.run(1.0))
    interval = 1 / pace(40.0)
    expected = [start + 2 * interval, start + 3 * interval]
    assert [at for _, at in callers.served] == pytest.approx(expected, abs=1e-4)
    assert events.late == 1


async def test_what_a_hung_call_owes_is_forgotten_after_a_second(
    events: Pacer, clock: VirtualClock
) -> None:
    """The second in which it was late is over by then."""
    events._owed.append(clock.now() + 1.0)
    clock.jump(1.1)
    callers = Callers(events, clock)
    await asyncio.gather(callers.start("a"), clock.run(0.0))
    assert events.late == 0


async def test_one_slot_at_a_time_is_reserved_at_forty_a_second(
    events: Pacer, store: CountingStore, clock: VirtualClock
) -> None:
    """A killed process wastes one slot."""
    callers = Callers(events, clock)
    tasks = [callers.start(str(i)) for i in range(10)]
    await clock.run(1.0)
    assert store.asked == [1] * 10
    await asyncio.gather(*tasks)


async def test_reserving_several_slots_saves_round_trips_at_three_hundred_a_second(
    users: Pacer, store: CountingStore, clock: VirtualClock
) -> None:
    """Several slots in one round trip, never more than are wanted."""
    callers = Callers(users, clock)
    tasks = [callers.start(str(i)) for i in range(60)]
    await clock.run(1.0)
    assert sum(store.asked) == 60
    assert len(store.asked) <= 20
    await asyncio.gather(*tasks)


async def test_an_idle_pacer_has_no_task_and_asks_nothing(
    events: Pacer, store: CountingStore, clock: VirtualClock
) -> None:
    """No polling."""
    await asyncio.gather(Callers(events, clock).start("a"), clock.run(1.0))
    await clock.run(100.0)
    assert store.asked == [1]
    assert len(asyncio.all_tasks()) == 1


async def test_a_queue_longer_than_the_patience_is_refused_at_once(
    events: Pacer, clock: VirtualClock
) -> None:
    """The mailbox is released rather than held for seconds."""
    callers = Callers(events, clock)
    tasks = [callers.start(str(i)) for i in range(100)]
    await clock.run(0.0)
    with pytest.raises(SlotTooFar) as refused:
        await events.acquire(urgent=False, max_wait=2.0)
    assert refused.value.wait_s == pytest.approx(99 / 40, rel=0.05)
    for task in tasks:
        task.cancel()


async def test_who_cannot_wait_for_the_next_slot_of_a_slow_limit_hears_at_once_when_it_is(
    store: CountingStore, clock: VirtualClock
) -> None:
    """The slot before may be another process's: only the store knows."""
    slow = Bucket("default", "POST /event", setting=0.2)
    first, second = (Pacer(slow, store, clock, Headroom()) for _ in range(2))
    await asyncio.gather(first.acquire(urgent=False, max_wait=2.0), clock.run(0.0))
    with pytest.raises(SlotTooFar) as refused:
        async with asyncio.timeout(3.0):
            await second.acquire(urgent=False, max_wait=4.0)
    assert refused.value.wait_s == pytest.approx(1 / pace(0.2))
    for pacer in (first, second):
        await pacer.aclose()


async def test_an_urgent_call_is_not_refused_for_the_queue_it_overtakes(
    events: Pacer, clock: VirtualClock
) -> None:
    """Carts count carts."""
    callers = Callers(events, clock)
    tasks = [callers.start(str(i)) for i in range(100)]
    await clock.run(0.0)
    await asyncio.gather(events.acquire(urgent=True, max_wait=2.0), clock.run(0.1))
    for task in tasks:
        task.cancel()


async def test_closing_a_bucket_turns_waiters_away_and_drops_reserved_slots(
    users: Pacer, clock: VirtualClock
) -> None:
    """After a 429 not one more call leaves this process, and the impatient hear how long it is."""
    callers = Callers(users, clock)
    impatient = [callers.start(str(i), max_wait=2.0) for i in range(5)]
    patient = [callers.start(str(i)) for i in range(5, 10)]
    await clock.run(0.0)
    users.close(30.0)
    assert callers.names == ["0"]
    await clock.run(29.9)
    assert callers.names == ["0"]
    failures = [task.exception() for task in impatient[1:]]
    assert all(isinstance(error, SlotTooFar) and error.wait_s == 30.0 for error in failures)
    assert users.rate == 0.0
    await clock.run(0.2)
    assert callers.names == ["0", *(str(i) for i in range(5, 10))]
    await asyncio.gather(*patient)


async def test_a_waiter_that_can_wait_is_served_when_the_bucket_opens(
    events: Pacer, store: CountingStore, clock: VirtualClock
) -> None:
    """Patience is kept: in order, at the pace, not before the closure ends."""
    opening = clock.now() + 30.0
    await store.close("default", "POST /event", opening)
    callers = Callers(events, clock)
    tasks = [callers.start(str(i)) for i in range(3)]
    await clock.run(31.0)
    assert callers.names == ["0", "1", "2"]
    assert callers.served[0][1] == pytest.approx(opening, abs=1e-3)
    assert len(store.asked) <= 5
    await asyncio.gather(*tasks)


async def test_a_slot_reserved_while_the_bucket_was_closing_is_not_used(
    events: Pacer, store: CountingStore, clock: VirtualClock
) -> None:
    """The answer of Redis and the 429 may cross."""
    callers = Callers(events, clock)
    opening = clock.now() + 5.0
    store.before_answer = lambda: events.close(opening - clock.now())
    await asyncio.gather(callers.start("a"), clock.run(6.0))
    assert callers.names == ["a"]
    assert callers.served[0][1] == pytest.approx(opening, abs=0.01)


async def test_every_waiter_gets_the_error_of_redis_and_the_next_one_is_served(
    events: Pacer, store: CountingStore, clock: VirtualClock
) -> None:
    """No waiter hangs, and nothing has to be reset."""
    callers = Callers(events, clock)
    store.away = True
    tasks = [callers.start(str(i)) for i in range(3)]
    await clock.run(0.1)
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(error) for error in errors] == [RedisConnectionError] * 3
    store.away = False
    await asyncio.gather(callers.start("back"), clock.run(1.0))
    assert callers.names == ["back"]


@pytest.mark.parametrize("hangs", [False, True])
async def test_the_time_that_redis_was_away_is_no_measure_of_the_queue(
    users: Pacer, store: CountingStore, clock: VirtualClock, *, hangs: bool
) -> None:
    """Or whoever comes behind the first calls afterwards would be sent away for minutes."""
    callers = Callers(users, clock)
    tasks = [callers.start(f"before {n}") for n in range(40)]
    await clock.run(0.05)
    served = len(callers.names)
    assert 0 < served < 40
    if hangs:
        pauses = iter([20.0])
        store.before_answer = lambda: clock.jump(next(pauses, 0.0))
        await clock.run(0.1)
    else:
        store.away = True
        await clock.run(20.0)
        store.away = False
    first = [callers.start(f"first {n}") for n in range(10)]
    await clock.run(0.005)
    second = [callers.start(f"second {n}", max_wait=2.0) for n in range(50)]
    await clock.run(1.0)
    await asyncio.gather(*first, *second)
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_waiter_cancelled_as_redis_goes_away_is_counted_once(
    events: Pacer, store: CountingStore, clock: VirtualClock
) -> None:
    """Counted twice, the next lone waiter would look like none, and no slot would be reserved for it."""
    callers, answer = Callers(events, clock), store.reserve

    async def cancel_and_fail(bucket: Bucket, ask: Ask) -> Grant:
        await asyncio.sleep(0)
        waiting.cancel()
        raise RedisConnectionError

    store.reserve = cancel_and_fail  # type: ignore[method-assign]
    waiting = callers.start("cancelled")
    await asyncio.gather(waiting, clock.run(0.1), return_exceptions=True)
    store.reserve = answer  # type: ignore[method-assign]
    await asyncio.gather(callers.start("back"), clock.run(1.0))
    assert callers.names == ["back"]


async def test_a_store_that_never_answers_costs_no_more_than_the_patience(
    events: Pacer, store: CountingStore
) -> None:
    """A frozen Redis: the caller gets SlotTooFar, in real time, and can release its mailbox."""

    async def hang(bucket: Bucket, ask: Ask) -> Grant:
        await asyncio.Event().wait()
        raise AssertionError

    store.reserve = hang  # type: ignore[method-assign]
    with pytest.raises(SlotTooFar) as refused:
        await events.acquire(urgent=False, max_wait=0.05)
    assert refused.value.wait_s == 1 / pace(40.0)


async def test_each_waiter_gives_up_after_its_own_patience_and_all_share_one_timer(
    users: Pacer, store: CountingStore
) -> None:
    """A timer for each would be one more for every call, and nearly none of them rings."""

    async def never(bucket: Bucket, ask: Ask) -> Grant:
        await asyncio.Event().wait()
        raise AssertionError

    async def wait(max_wait: float) -> None:
        with pytest.raises(SlotTooFar):
            await users.acquire(urgent=False, max_wait=max_wait)
        gave_up.append(max_wait)

    gave_up: list[float] = []
    loop = asyncio.get_running_loop()
    store.reserve = never  # type: ignore[method-assign]
    with patch.object(loop, "call_later", wraps=loop.call_later) as timers:
        await asyncio.gather(*map(wait, (0.06, 0.06, 0.03, 0.12, 0.09)))
    assert gave_up == [0.03, 0.06, 0.06, 0.09, 0.12]
    assert timers.call_count == 5  # two before the first rings, and one for each that is next


async def test_closing_the_pacer_cancels_its_waiters(events: Pacer, clock: VirtualClock) -> None:
    """Shut-down leaves neither a task nor a waiter behind."""
    tasks = [Callers(events, clock).start(str(i)) for i in range(3)]
    await clock.run(0.0)
    await events.aclose()
    results = await asyncio.gather(*tasks[1:], return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert len(asyncio.all_tasks()) == 1
