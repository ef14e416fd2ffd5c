"""When a gate is open, and what is left of its reasons."""

from __future__ import annotations

import fakeredis

from pipeline.events import Lane
from pipeline.mailbox.gates import Bar
from tests.support.mailboxes import Mailboxes, track


async def test_what_has_run_out_is_forgotten_behind_a_reason_that_still_holds() -> None:
    """In whatever order Redis lists them; else the next throttling would not count as a new one."""
    boxes = Mailboxes(fakeredis.FakeAsyncRedis())
    await boxes.post(track("m1", "ann"))
    now = boxes.now_ms()
    await boxes.gates.close(Bar("event", "paused", until=0, since=now))
    await boxes.gates.close(Bar("event", "throttled", until=now + 3_000, since=now))
    boxes.clock.advance(4)
    assert (await boxes.wake(Lane.EVENT)).gate == "closed"
    assert await boxes.gates.close(Bar("event", "throttled", boxes.now_ms() + 3_000, now))


async def test_the_reasons_of_a_scope_are_listed_oldest_first() -> None:
    """Redis keeps no order among them, and an operator compares one `status` with the next."""
    boxes = Mailboxes(fakeredis.FakeAsyncRedis())
    now = boxes.now_ms()
    await boxes.gates.close(Bar("event", "paused", until=0, since=now))
    await boxes.gates.close(Bar("event", "circuit", until=0, since=now - 5))
    assert [bar.reason for bar in await boxes.gates.all_bars(now)] == ["circuit", "paused"]
