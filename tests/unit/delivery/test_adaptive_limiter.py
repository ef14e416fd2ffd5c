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
