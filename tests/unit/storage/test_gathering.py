"""What many tasks ask for one by one is done in few calls: in order, once, each with its own result."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import fakeredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.scripts import Bounds, Gathering, OwnFault, Scripts

BOUNDS = Bounds(most=3, max_bytes=100, linger_s=0.05, from_in_hand=2)


class Calls(Scripts):
    """A script that doubles numbers, fails over zero, and has room for `room` of them a call."""

    def __init__(self, room: int = 99, in_hand: Sequence[int] = ()) -> None:
        super().__init__(fakeredis.FakeAsyncRedis(), "none")
        self.made: list[list[int]] = []
        self.error: Exception | None = None
        self.room = room
        self.gathering = Gathering(
            self, "double", "key", ["shared"], BOUNDS, in_hand=in_hand, time_ms=lambda: 7
        )

    def run(self, name: str, keys: Sequence[str | bytes], args: list[Any]) -> asyncio.Future[Any]:
        return asyncio.ensure_future(self._run(name, keys, args))

    async def _run(self, name: str, keys: Sequence[str | bytes], args: list[Any]) -> list[Any]:
        now, shared, *things = args
        assert (name, keys, now, shared) == ("double", ["key"], "7", "shared")
        numbers = things[::2]
        self.made.append(numbers)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        replies: list[list[Any]] = [[b"later"] for _ in numbers]
        for i, number in enumerate(numbers[: self.room]):
            replies[i] = [b"yes", 2 * number] if number else [b"failed", b"it is zero"]
        return ["all", *replies]

    async def ask(self, number: int, size: int = 0) -> int:
        about_all, (answer, doubled) = await self.gathering.ask(number, "x" * size, size=size)
        assert (about_all, answer) == ("all", b"yes")
        return int(doubled)


async def test_what_is_asked_in_one_turn_of_the_loop_is_one_call() -> None:
    calls = Calls()
    assert await asyncio.gather(*map(calls.ask, [1, 2, 3])) == [2, 4, 6]
    assert calls.made == [[1, 2, 3]]


async def test_what_is_asked_while_a_call_is_under_way_goes_into_the_next() -> None:
    calls = Calls()
    first = asyncio.create_task(calls.ask(1))
    for _ in range(3):
        await asyncio.sleep(0)
    assert calls.made == [[1]]
    assert await asyncio.gather(first, *map(calls.ask, [2, 3])) == [2, 4, 6]
    assert calls.made == [[1], [2, 3]]


async def test_a_call_holds_no_more_things_and_bytes_than_it_may() -> None:
    """What is larger than all that goes alone."""
    calls = Calls()
    asked = [calls.ask(n, size) for n, size in [(1, 60), (2, 40), (3, 1), (4, 500), (5, 0)]]
    asked += [calls.ask(n) for n in (6, 7, 8)]
    await asyncio.gather(*asked)
    assert calls.made == [[1, 2], [3], [4], [5, 6, 7], [8]]


async def test_one_that_fails_fails_alone() -> None:
    calls = Calls()
    results = await asyncio.gather(*map(calls.ask, [1, 0, 2]), return_exceptions=True)
    assert [results[0], type(results[1]), results[2]] == [2, OwnFault, 4]


async def test_a_call_that_fails_fails_for_all_of_it_and_the_next_is_made() -> None:
    calls = Calls()
    calls.error = ConnectionError("gone")
    results = await asyncio.gather(*map(calls.ask, [1, 2]), return_exceptions=True)
    assert results == [calls.error] * 2
    calls.error = None
    assert await calls.ask(3) == 6


async def test_one_that_waits_no_longer_is_done_all_the_same_and_disturbs_nothing() -> None:
    calls = Calls(1)
    given_up, other = asyncio.create_task(calls.ask(1)), asyncio.create_task(calls.ask(2))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await other == 4
    assert calls.made == [[1, 2], [2]]


@pytest.mark.parametrize(
    ("in_hand", "hurries", "made"),
    [([1, 2], False, [[1, 2]]), ([1], False, [[1], [2]]), ([1, 2], True, [[1], [2]])],
)
async def test_a_call_waits_for_more_only_while_much_is_in_hand_and_nothing_hurries(
    in_hand: list[int], hurries: bool, made: list[list[int]]
) -> None:
    calls = Calls(in_hand=in_hand)
    if hurries:
        calls.gathering.hurry()
    first = asyncio.create_task(calls.ask(1))
    for _ in range(4):
        await asyncio.sleep(0)
    assert [await calls.ask(2), await first] == [4, 2]
    assert calls.made == made


@given(
    asked=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 60)), max_size=20),
    room=st.integers(1, 3),
    turns=st.lists(st.integers(0, 3), min_size=20, max_size=20),
)
def test_each_thing_is_done_once_and_in_order(
    asked: list[tuple[int, int]], room: int, turns: list[int]
) -> None:
    """However large they are, whenever they come, and whatever finds no room."""

    async def run() -> None:
        calls = Calls(room)
        results: list[asyncio.Future[int]] = []
        for (number, size), wait in zip(asked, turns, strict=False):
            results.append(asyncio.ensure_future(calls.ask(number, size)))
            for _ in range(wait):
                await asyncio.sleep(0)
        done = await asyncio.gather(*results, return_exceptions=True)
        assert [type(one) is int and one for one in done] == [
            2 * n if n else False for n, _ in asked
        ]
        assert [n for call in calls.made for n in call[:room]] == [n for n, _ in asked]
        for call in calls.made:
            assert len(call) <= BOUNDS.most

    asyncio.run(run())
