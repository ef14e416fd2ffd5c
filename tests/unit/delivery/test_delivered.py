"""The plain way: what is delivered, in which order, and in how many calls."""

from __future__ import annotations

from tests.support.pipe import Pipe, added, identify, order, page, track


async def test_one_event_of_each_lane_reaches_sailthru(pipe: Pipe) -> None:
    await pipe.post(identify("u1"), track("u1"), added("u1"), order("u1", "o1"), page("u1"))
    await pipe.run(5)
    state = pipe.sailthru.sandbox.state
    assert await pipe.counts() == {"delivered": 5}
    assert await pipe.reasons() == []
    assert [one["event"] for one in state.events] == ["Reached the end"]
    assert [one.extid for one in state.purchases] == ["o1"]
    assert len(state.pageviews) == 1
