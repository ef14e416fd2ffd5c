"""AdaptiveLimiter: as many inside as its size says, in order of arrival, whatever is cancelled meanwhile."""

from __future__ import annotations

import asyncio

from pipeline.delivery.capacity import AdaptiveLimiter


class Waiters:
    """Tasks that enter a limiter, note that they are inside, and leave on request."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.limiter = AdaptiveLimiter(lambda: self.size)
        self.inside: list[int] = []
        self._may_leave: dict[int, asyncio.Event] = {}

    async def _hold(self, number: int) -> None:
        async with self.limiter:
            self.inside.append(number)
            await self._may_leave[number].wait()
            self.inside.remove(number)

    async def enter(self, *numbers: int) -> list[asyncio.Task[None]]:
        for number in numbers:
            self._may_leave[number] = asyncio.Event()
        tasks = [asyncio.create_task(self._hold(number)) for number in numbers]
        await _let_run()
        return tasks

    async def leave(self, *numbers: int) -> None:
        for number in numbers:
            self._may_leave[number].set()
        await _let_run()


async def _let_run() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_limiter_admits_its_size_at_most_in_order_of_arrival() -> None:
    waiters = Waiters(2)
    await waiters.enter(1, 2, 3, 4)
    assert waiters.inside == [1, 2]
    await waiters.leave(1)
    assert waiters.inside == [2, 3]
    await waiters.leave(2, 3)
    assert waiters.inside == [4]
    await waiters.leave(4)
    assert waiters.inside == []


async def test_a_cancelled_waiter_takes_no_place() -> None:
    waiters = Waiters(1)
    _, waiting, _ = await waiters.enter(1, 2, 3)
    waiting.cancel()
    await waiters.leave(1)
    assert waiters.inside == [3]
    await waiters.leave(3)
    await waiters.enter(4)
    assert waiters.inside == [4]
    await waiters.leave(4)


async def test_a_waiter_cancelled_while_admitted_leaves_its_place_to_the_next() -> None:
    """It was admitted when another left, but has not run yet."""
    waiters = Waiters(1)
    _, let_in, _ = await waiters.enter(1, 2, 3)
    waiters._may_leave[1].set()
    while waiters.inside:
        await asyncio.sleep(0)
    let_in.cancel()
    await _let_run()
    assert waiters.inside == [3]
    await waiters.leave(3)


async def test_a_limiter_that_grows_admits_more_at_the_next_exit() -> None:
    waiters = Waiters(1)
    await waiters.enter(1, 2, 3)
    waiters.size = 2
    await waiters.leave(1)
    assert waiters.inside == [2, 3]
    await waiters.leave(2, 3)
