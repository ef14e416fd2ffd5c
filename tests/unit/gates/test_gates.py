"""What a closed or half-open gate lets through, when it opens, and what is left of its reasons."""

from __future__ import annotations

from pipeline.events.models import Lane
from pipeline.gates.gates import Closure
from tests.support.mailboxes import LEASE_S, Mailboxes, track


async def test_a_closed_gate_leases_nothing_and_takes_back_the_unclaimed(boxes: Mailboxes) -> None:
    """A wake-up that arrives after the gate closed finds nothing; the mailbox keeps its place."""
    await boxes.post(track("m1", "ann"))
    boxes.clock.advance(2.0)
    await boxes.wake(Lane.EVENT)
    await boxes.gates.close(Closure("account", "paused", 0, boxes.now_ms()))
    assert await boxes.store.claim(Lane.EVENT, "ann", most=40) is None
    assert await boxes.due(Lane.EVENT) == {"ann": -2000}
    leased = await boxes.wake(Lane.EVENT)
    assert (leased.gate, leased.boxes) == ("closed", ())


async def test_a_gate_is_open_when_all_its_reasons_are_gone(boxes: Mailboxes) -> None:
    """Each reason ends by itself: the operator's pause outlives a throttle."""
    await boxes.post(track("m1", "ann"))
    await boxes.gates.close(
        Closure("POST /event", "throttled", boxes.now_ms() + 5000, boxes.now_ms())
    )
    await boxes.gates.close(Closure("event", "paused", 0, boxes.now_ms()))
    boxes.clock.advance(5.0)
    assert (await boxes.wake(Lane.EVENT)).gate == "closed"
    assert await boxes.gates.open("event", "paused")
    assert (await boxes.wake(Lane.EVENT)).boxes == ("ann",)
    assert await boxes.gates.closures(["POST /event", "event"], boxes.now_ms()) == []


async def test_a_half_open_gate_lets_one_mailbox_through(boxes: Mailboxes) -> None:
    """Many may have been leased before it closed, and their wake-ups may come late."""
    await boxes.post(*(track(f"m{n}", f"user{n}") for n in range(3)))
    early = (await boxes.wake(Lane.EVENT)).boxes
    await boxes.gates.close(Closure("api", "circuit", boxes.now_ms() + 1000, boxes.now_ms()))
    boxes.clock.advance(1.0)
    assert [await boxes.store.claim(Lane.EVENT, box, most=40) for box in early] == [None] * 3
    leased = await boxes.wake(Lane.EVENT)
    assert (leased.gate, len(leased.boxes)) == ("probe", 1)
    assert (await boxes.wake(Lane.EVENT)).boxes == ()
    assert (await boxes.claim(Lane.EVENT, leased.boxes[0])).probe
    boxes.clock.advance(LEASE_S)
    assert len((await boxes.wake(Lane.EVENT)).boxes) == 1


async def test_what_has_run_out_is_forgotten_behind_a_reason_that_still_holds(
    boxes: Mailboxes,
) -> None:
    """In whatever order Redis lists them; else the next throttling would not count as a new one."""
    await boxes.post(track("m1", "ann"))
    now = boxes.now_ms()
    await boxes.gates.close(Closure("event", "paused", until=0, since=now))
    await boxes.gates.close(Closure("event", "throttled", until=now + 3_000, since=now))
    boxes.clock.advance(4)
    assert (await boxes.wake(Lane.EVENT)).gate == "closed"
    assert await boxes.gates.close(Closure("event", "throttled", boxes.now_ms() + 3_000, now))


async def test_the_reasons_of_a_scope_are_listed_oldest_first(boxes: Mailboxes) -> None:
    """Redis keeps no order among them, and an operator compares one `status` with the next."""
    now = boxes.now_ms()
    await boxes.gates.close(Closure("event", "paused", until=0, since=now))
    await boxes.gates.close(Closure("event", "circuit", until=0, since=now - 5))
    assert [closure.reason for closure in await boxes.gates.all_closures(now)] == [
        "circuit",
        "paused",
    ]
