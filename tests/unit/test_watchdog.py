"""Two loops of one process are watched; the interpreter has one watchdog of its own for both."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler

import pytest

from workers.watchdog import BACKSTOP_LEASES, Watchdog


async def test_the_end_of_one_loop_leaves_the_backstop_of_the_process_armed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The splitter's, which is quicker, neither arms it for its own short time nor disarms it."""
    armed: list[float | None] = []
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda s, **_: armed.append(s))
    monkeypatch.setattr(faulthandler, "cancel_dump_traceback_later", lambda: armed.append(None))
    delivery = asyncio.create_task(Watchdog("delivery", 12, backstop=True).run())
    splitter = asyncio.create_task(Watchdog("splitter", 5).run())
    for task, expected in ((splitter, BACKSTOP_LEASES * 12), (delivery, None)):
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert armed[-1] == expected
