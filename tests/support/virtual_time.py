"""Time that passes only when a test says so, for code with several sleepers at once."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count


class VirtualClock:
    """A Clock whose sleepers wake in order as `run` moves it; nothing waits in real time.

    Use it with code that does no I/O: between two wake-ups it lets the loop run until it is idle.
    """

    def __init__(self, start: float = 1_000_000_020.0) -> None:
        self._now = start
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._tickets = count()

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.Future()
        wake_at = self._now + max(0.0, seconds)
        heapq.heappush(self._sleepers, (wake_at, next(self._tickets), woken))
        await woken

    def jump(self, seconds: float) -> None:
        """Let time pass while the loop does not run: a frozen machine, a busy loop."""
        self._now += seconds

    async def run(self, seconds: float) -> None:
        """Let time pass, waking who sleeps when their time comes."""
        end = self._now + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            wake_at, _, woken = heapq.heappop(self._sleepers)
            self._now = max(self._now, wake_at)
            if not woken.done():
                woken.set_result(None)
            await self.settle()
        self._now = max(self._now, end)

    async def settle(self) -> None:
        """Let everything that can run without time passing do so."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)
        while loop._ready:  # type: ignore[attr-defined]
            await asyncio.sleep(0)
