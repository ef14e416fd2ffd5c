"""Live before bulk, delivered: what an import or a replay delays, and what it does not."""

from __future__ import annotations

from typing import Any

from pipeline.deadletters.store import DeadLetters
from pipeline.delivery.capacity import BULK_TURNS
from pipeline.events.models import Lane
from tests.support.fake_sailthru import REFUSED
from tests.support.pipe import ACCOUNT, Pipe, identify, track


def sent(pipe: Pipe) -> list[str]:
    """The users of the calls that Sailthru took, in order."""
    return [str(one.call.params.get("id")) for one in pipe.sailthru.sent]


async def test_a_live_event_goes_out_before_the_imported_ones_that_wait(pipe: Pipe) -> None:
    await pipe.post(*(identify(f"old{n}") for n in range(150)), bulk=True)
    pipe.clock.advance(60)
    await pipe.post(identify("live"))
    await pipe.run()
    assert sent(pipe)[0] == "live"
    assert await pipe.counts() == {"delivered": 151}


async def test_one_users_live_and_bulk_events_keep_their_order(pipe: Pipe) -> None:
    """The live ones lift the others."""
    await pipe.post(*(identify(f"u{n}") for n in range(3)))
    await pipe.run(2)
    pipe.sailthru.sent.clear()
    for n in range(6):
        imported = [track(f"u{user}", f"imported {n}") for user in range(3)]
        await pipe.post(*imported, bulk=True)
        await pipe.post(track("u1", f"live {n}"))
    await pipe.run(60)
    calls = [one.call.params for one in pipe.sailthru.sent]
    names = [str(one["event"]) for one in calls if one["id"] == "u1"]
    assert names == [f"{kind} {n}" for n in range(6) for kind in ("imported", "live")]
    assert [one["id"] for one in calls[:6]] == ["u1"] * 6


async def test_a_live_event_goes_out_right_after_the_imported_identify_that_it_waits_for(
    pipe: Pipe,
) -> None:
    """In another lane, among very many."""
    await pipe.post(*(identify(f"old{n}") for n in range(150)), bulk=True)
    await pipe.post(track("old149"))
    for lane in (Lane.EVENT, Lane.USER, Lane.EVENT):
        leased = await pipe.store.wake(lane, bound=1, max_queue_length=10, own_tick=0)
        for box in leased.boxes:
            await pipe.processor.process(lane, box)
        pipe.clock.advance(0.001)
    assert sent(pipe) == ["old149", "old149"]


async def test_a_live_merge_goes_out_right_after_what_waits_of_the_visitor(pipe: Pipe) -> None:
    imported = [track(f"v{n}") | {"anonymousId": f"v{n}"} for n in range(150)]
    await pipe.post(*(one | {"userId": None} for one in imported), bulk=True)
    await pipe.post({**identify("ann"), "anonymousId": "v149"})
    await pipe.lease(Lane.USER)
    await pipe.deliver(Lane.USER, "ann")
    leased = await pipe.store.wake(Lane.EVENT, bound=1, max_queue_length=10, own_tick=0)
    assert leased.boxes == ("v149",)


async def test_a_replay_does_not_delay_a_live_event(pipe: Pipe) -> None:
    pipe.sailthru.trouble(REFUSED, on="POST /user")
    for batch in range(4):
        await pipe.post(*(identify(f"u{batch}-{n}") for n in range(15)))
        await pipe.run(20)
        await pipe.resume("user")
        await pipe.run(20)
    pipe.sailthru.troubles.clear()
    pipe.sailthru.sent.clear()
    letters: Any = [letter.id for letter in await pipe.letters()]
    assert len(letters) == 60
    store = DeadLetters(pipe.redis, ACCOUNT)
    store._moves = pipe.moves
    assert await store.replay(letters) == 60
    pipe.clock.advance(0.1)
    await pipe.post(identify("live"))
    await pipe.run(60)
    assert sent(pipe)[0] == "live"
    assert (await pipe.counts())["delivered"] == 61


async def test_a_claim_of_bulk_events_ends_after_two_calls(pipe: Pipe) -> None:
    """A live event waits for those that are claimed already."""
    await pipe.post(identify("u1"))
    await pipe.run(2)
    pipe.sailthru.sent.clear()
    await pipe.post(*(track("u1", f"imported {n}") for n in range(9)), bulk=True)
    (box,) = await pipe.lease(Lane.EVENT)
    await pipe.processor.process(Lane.EVENT, box)
    assert len(pipe.sailthru.sent) == BULK_TURNS
    await pipe.run(60)
    assert await pipe.counts() == {"delivered": 10}
