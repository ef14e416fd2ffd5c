"""Fields that events went out without are counted by path, and so is what makes an id a shared one."""

from __future__ import annotations

from typing import Any

from pipeline.events.emails import EMAILS_A_DAY
from tests.support.pipe import Pipe, identify, open_pipe, order, track

PICTURE = "notes:properties.products[].image_url"


def with_pictures(event: dict[str, Any], *pictures: object) -> dict[str, Any]:
    product = event["properties"]["products"][0]
    products = [product | {"image_url": one} for one in pictures]
    return event | {"properties": event["properties"] | {"products": products}}


async def test_each_note_of_a_delivered_event_is_counted_by_its_path(pipe: Pipe) -> None:
    """Once for each place in the event, whatever its position in a list."""
    await pipe.post(with_pictures(order("u1", "o1"), 7.5, "https://shop.example/a.jpg", [True]))
    await pipe.post(identify("u1") | {"timestamp": "yesterday"})
    await pipe.run(5)
    assert await pipe.counts() == {"delivered": 2, PICTURE: 3, "notes:timestamp": 1}


async def test_the_notes_of_events_that_went_out_as_one_call_are_all_counted(pipe: Pipe) -> None:
    """Each of them went out without the field."""
    await pipe.pause("account")
    for number in range(3):
        traits = {"email": "no address", "plan": number}
        await pipe.post(identify("u1", traits=traits))
    await pipe.resume("account")
    await pipe.run(5)
    assert len(pipe.sailthru.sent) == 1
    assert await pipe.counts() == {"delivered": 3, "folded": 2, "notes:traits.email": 3}


async def test_an_event_that_did_not_go_out_has_no_notes(pipe: Pipe) -> None:
    """It died of something else; its letter says of what."""
    refused = with_pictures(order("u1", "o1"), 7.5)
    del refused["properties"]["products"][0]["price"]
    await pipe.post(refused)
    await pipe.run(5)
    assert await pipe.counts() == {"dead:unmappable": 1}


async def test_names_that_senders_invent_add_no_counters(pipe: Pipe) -> None:
    """A number that no JSON reader holds, under a new name each time."""
    for number in range(20):
        invented: dict[str, Any] = {f"n{number}": 10**40}
        await pipe.post(track("u1", **invented))
    await pipe.post(identify("u1"))
    await pipe.run(5)
    assert await pipe.counts() == {"delivered": 21, "notes:properties.*": 20}


async def test_what_makes_an_id_a_shared_one_is_counted_apart() -> None:
    """One of SHARED_IDS is the operator's choice; too many emails in a day are what a till shows."""
    async with open_pipe(shared_ids=("till",)) as pipe:
        await pipe.post(track("u1"), track("till") | {"anonymousId": "a1"})
        for number in range(EMAILS_A_DAY + 2):
            shown = {"context": {"traits": {"email": f"{number}@example.org"}}}
            await pipe.post(track("kiosk") | shown)
        counts = await pipe.counts()
    assert counts["shared_ids:SHARED_IDS"] == 1
    assert counts["shared_ids:EMAILS_A_DAY"] == 2


async def test_a_repeat_with_a_shared_id_is_not_counted_again(pipe: Pipe) -> None:
    """It was dropped."""
    await pipe.post(*[track("guest") | {"messageId": "m1"}] * 2, track("guest"))
    counts = await pipe.counts()
    assert (counts["duplicates"], counts["shared_ids:SHARED_IDS"]) == (1, 2)


async def test_an_event_with_two_ids_that_are_shared_for_one_reason_counts_once(
    pipe: Pipe,
) -> None:
    """The events are counted, not the ids. One that is not for Sailthru says as much."""
    group = {"type": "group", "userId": "guest", "anonymousId": "null", "groupId": "g"}
    await pipe.post(group)
    assert await pipe.counts() == {"ignored:unsupported_type": 1, "shared_ids:SHARED_IDS": 1}
