"""AdaptiveLimiter: as many inside as its size says, in order of arrival, whatever is cancelled meanwhile."""

from __future__ import annotations

import asyncio

from pipeline.delivery.capacity import AdaptiveLimiter


class Guests:
    """Tasks that enter a limiter, note that they are in, and leave when told."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.limiter = AdaptiveLimiter(lambda: self.size)
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


async def test_a_limiter_admits_its_size_at_most_in_order_of_arrival() -> None:
    guests = Guests(2)
    await guests.come(1, 2, 3, 4)
    assert guests.inside == [1, 2]
    await guests.go(1)
    assert guests.inside == [2, 3]
    await guests.go(2, 3)
    assert guests.inside == [4]
    await guests.go(4)
    assert guests.inside == []


async def test_a_cancelled_waiter_takes_no_place() -> None:
    guests = Guests(1)
    _, waiting, _ = await guests.come(1, 2, 3)
    waiting.cancel()
    await guests.go(1)
    assert guests.inside == [3]
    await guests.go(3)
    await guests.come(4)
    assert guests.inside == [4]
    await guests.go(4)


async def test_a_waiter_cancelled_while_admitted_leaves_its_place_to_the_next() -> None:
    """It was admitted when another left, but has not run yet."""
    guests = Guests(1)
    _, let_in, _ = await guests.come(1, 2, 3)
    guests._leave[1].set()
    while guests.inside:
        await asyncio.sleep(0)
    let_in.cancel()
    await _let_run()
    assert guests.inside == [3]
    await guests.go(3)


async def test_a_limiter_that_grows_admits_more_at_the_next_exit() -> None:
    guests = Guests(1)
    await guests.come(1, 2, 3)
    guests.size = 2
    await guests.go(1)
    assert guests.inside == [2, 3]
    await guests.go(2, 3)
