"""How short the way of an event is from a producer to its mailbox, as `python -m benchmarks.walk` counts it."""

from __future__ import annotations

from benchmarks.walk import changes, walk
from tests.support.pipe import added, identify, order, track


async def test_accepting_and_splitting_a_custom_event_touches_few_files() -> None:
    """Files, and changes from one file to another: a reader follows them, and the machine pays for each call."""
    hops = await walk(track("u1"))
    accepted, split = changes(hops["accept"]), changes(hops["split"])
    assert accepted[0] <= 3
    assert split[0] <= 9
    assert split[1] <= 25


async def test_an_email_adds_little_to_the_way() -> None:
    """An order, a cart change and an identify show one."""
    for event in (order("u1", "o1"), added("u1"), identify("u1")):
        files, changed = changes((await walk(event))["split"])
        assert (files <= 11, changed <= 28) == (True, True)


async def test_delivering_a_custom_event_touches_few_files() -> None:
    """From the wake-up to the settlement, with rate limits, order and mapping."""
    files, changed = changes((await walk(track("u1")))["deliver"])
    assert (files <= 25, changed <= 110) == (True, True)
