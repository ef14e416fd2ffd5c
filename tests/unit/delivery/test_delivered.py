"""The plain way: what is delivered, in which order, and in how many calls."""

from __future__ import annotations

from typing import Any

from pipeline.gates.brake import USERS
from pipeline.sandbox.options import SandboxOptions
from tests.support.pipe import Pipe, added, identify, open_pipe, order, page, track


async def test_one_event_of_each_lane_reaches_sailthru(pipe: Pipe) -> None:
    await pipe.post(identify("u1"), track("u1"), added("u1"), order("u1", "o1"), page("u1"))
    await pipe.run(5)
    state = pipe.sailthru.sandbox.state
    assert await pipe.counts() == {"delivered": 5}
    assert await pipe.reasons() == []
    assert [one["event"] for one in state.events] == ["Reached the end"]
    assert [one.extid for one in state.purchases] == ["o1"]
    assert len(state.pageviews) == 1


async def test_a_missing_picture_costs_no_order_and_closes_no_gate(pipe: Pipe) -> None:
    """A shop without pictures writes `false` for each: as many orders as would put the brake on."""
    pictureless: dict[str, Any] = {"image_url": False, "tags": False, "sku": ""}
    for number in range(USERS + 4):
        bought = order(f"u{number}", f"o{number}")
        bought["properties"]["products"][0] |= pictureless
        await pipe.post(added(f"u{number}", **pictureless, reminder_template=False), bought)
    await pipe.run(60)
    assert await pipe.reasons() == []
    assert await pipe.closures() == []
    assert len(pipe.sailthru.sandbox.state.purchases) == USERS + 4
    items = [
        item for call in pipe.sailthru.calls("POST /purchase") for item in call.params["items"]
    ]
    assert {frozenset(item) for item in items} == {
        frozenset(("id", "title", "qty", "price", "url"))
    }


async def test_waiting_events_that_can_fold_are_one_call(pipe: Pipe) -> None:
    """Ten cart changes are one GET and one POST, five identifies one POST."""
    await pipe.pause("account")
    await pipe.post(
        *(identify("u1", traits={"email": "u1@example.org", f"k{n}": n}) for n in range(5))
    )
    await pipe.post(*(added("u1", f"p{n}") for n in range(10)))
    await pipe.resume("account")
    await pipe.run(5)
    buckets = [one.call.bucket for one in pipe.sailthru.sent]
    assert buckets == ["POST /user", "GET /user", "POST /purchase"]
    assert await pipe.counts() == {"delivered": 15, "folded": 13}


async def test_events_that_do_not_fold_keep_their_order(pipe: Pipe) -> None:
    """An order is a barrier: what was added before it is bought, what comes after is a new cart."""
    await pipe.pause("account")
    await pipe.post(added("u1", "p1"), order("u1", "o1"), added("u1", "p2"))
    await pipe.resume("account")
    await pipe.run(5)
    posts = pipe.sailthru.calls("POST /purchase")
    items = [[item["id"] for item in call.params["items"]] for call in posts]
    assert items == [["p1"], ["p1"], ["p2"]]
    assert [call.params.get("incomplete") for call in posts] == [1, 0, 1]


async def test_a_cart_that_cannot_be_read_yet_is_the_one_we_wrote(pipe: Pipe) -> None:
    """A cart is written by email; before an identify Sailthru has no profile under the userId."""
    await pipe.post(added("u1", "p1"))
    await pipe.run(60)
    await pipe.post(added("u1", "p2"))
    await pipe.run(60)
    items = pipe.sailthru.calls("POST /purchase")[-1].params["items"]
    assert [item["id"] for item in items] == ["p1", "p2"]


async def test_a_cart_that_lies_at_another_profile_is_the_one_we_wrote(pipe: Pipe) -> None:
    """An identify without an email makes a profile of its own, which shows no cart."""
    await pipe.post(added("u1", "p1"))
    await pipe.run(60)
    await pipe.post(identify("u1", traits={}))
    await pipe.run(60)
    await pipe.post(added("u1", "p2"))
    await pipe.run(60)
    items = pipe.sailthru.calls("POST /purchase")[-1].params["items"]
    assert [item["id"] for item in items] == ["p1", "p2"]


async def test_reads_that_lag_lose_no_cart_change() -> None:
    """Within the read lag our own cart counts."""
    async with open_pipe(sandbox=SandboxOptions(lag_s=2.0)) as pipe:
        await pipe.post(identify("u1"))
        for number in range(6):
            await pipe.post(added("u1", f"p{number}"))
            await pipe.run(1)
        items = pipe.sailthru.calls("POST /purchase")[-1].params["items"]
        assert [item["id"] for item in items] == [f"p{number}" for number in range(6)]
