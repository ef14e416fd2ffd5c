"""AdaptiveLimiter: as many inside as its size says, in order of arrival, whatever is cancelled meanwhile."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from pipeline.delivery.capacity import LEAST_OUT, AdaptiveLimiter, ClaimPool


class Guests:
    """Tasks that enter a limiter, note that they are in, and leave when told."""

    def __init__(self, size: int, pool: ClaimPool | None = None) -> None:
        self.size = size
        self.limiter = AdaptiveLimiter(lambda: self.size, pool or ClaimPool())
        self.inside: list[int] = []
        self._leave: dict[int, asyncio.Event] = {}

    async def _visit(self, number: int) -> None:
        async with self.limiter:
            self.inside.append(number)
            await self._leave[number].wait()
            self.inside.remove(number)

    async def come(self, *numbers: int) -> list[asyncio.Task[None]]:
        for number in numbers:
            self._leave[number] = asyncio.Event()
        tasks = [asyncio.create_task(self._visit(number)) for number in numbers]
        await _let_run()
        return tasks

    async def go(self, *numbers: int) -> None:
        for number in numbers:
            self._leave[number].set()
        await _let_run()


async def _let_run() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_no_more_are_inside_than_its_size_and_the_first_to_come_is_next() -> None:
    guests = Guests(2)
    await guests.come(1, 2, 3, 4)
    assert guests.inside == [1, 2]
    await guests.go(1)
    assert guests.inside == [2, 3]
    await guests.go(2, 3)
    assert guests.inside == [4]
    await guests.go(4)
    assert guests.inside == []


async def test_a_guest_who_stops_waiting_takes_nobodys_place() -> None:
    guests = Guests(1)
    _, waiting, _ = await guests.come(1, 2, 3)
    waiting.cancel()
    await guests.go(1)
    assert guests.inside == [3]
    await guests.go(3)
    await guests.come(4)
    assert guests.inside == [4]
    await guests.go(4)


async def test_a_guest_cancelled_on_the_threshold_leaves_the_place_to_the_next() -> None:
    """Let in by whoever left, but not yet running."""
    guests = Guests(1)
    _, let_in, _ = await guests.come(1, 2, 3)
    guests._leave[1].set()
    while guests.inside:
        await asyncio.sleep(0)
    let_in.cancel()
    await _let_run()
    assert guests.inside == [3]
    await guests.go(3)


async def test_a_limiter_that_grows_lets_more_in_when_the_next_one_leaves() -> None:
    guests = Guests(1)
    await guests.come(1, 2, 3)
    guests.size = 2
    await guests.go(1)
    assert guests.inside == [2, 3]
    await guests.go(2, 3)


ENDLESS = 10_000
"""The size of a lane that answers slowly: all it could use."""


async def test_one_slow_lane_leaves_half_of_the_process_to_the_next() -> None:
    """And two leave a quarter, at once; neither waits for the other to leave."""
    pool = ClaimPool(100)
    lanes = [Guests(ENDLESS, pool) for _ in range(3)]
    for lane, share in zip(lanes, (50, 25, 13), strict=True):
        tasks = await lane.come(*range(200))
        assert len(lane.inside) == share
        assert not any(task.done() for task in tasks)


async def test_lanes_that_stay_full_come_to_share_alike() -> None:
    """The first gives up what it had as its own leave."""
    pool = ClaimPool(90)
    first, second = Guests(ENDLESS, pool), Guests(ENDLESS, pool)
    await first.come(*range(500))
    await second.come(*range(500))
    for _ in range(200):
        await first.go(first.inside[0])
        await second.go(second.inside[0])
    assert abs(len(first.inside) - len(second.inside)) <= 1
    assert pool.left >= 90 // 3 - 1


@given(
    st.integers(0, 60),
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=120),
)
def test_every_lane_has_a_few_claims_and_all_together_little_more_than_the_process_has(
    size: int, steps: list[tuple[int, bool]]
) -> None:
    """Whatever comes and goes in five lanes, one that has fewer than LEAST_OUT inside lets the next in."""

    async def run() -> None:
        pool = ClaimPool(size)
        lanes = [Guests(ENDLESS, pool) for _ in range(5)]
        for number, (lane, comes) in enumerate(steps):
            guests, before = lanes[lane], len(lanes[lane].inside)
            if comes:
                await guests.come(number)
                assert before >= LEAST_OUT or len(guests.inside) == before + 1
            elif guests.inside:
                await guests.go(guests.inside[0])
            inside = sum(len(one.inside) for one in lanes)
            assert inside + pool.left == size
            assert inside <= size + LEAST_OUT * len(lanes)

    asyncio.run(run())
