"""The batches into which the raw stream is cut make no difference to which ids are linked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import fakeredis
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.events.models import Lane
from pipeline.gates.gates import Closure
from tests.support.mailboxes import Mailboxes, identify, order, track

IDS = st.sampled_from([f"m{number}" for number in range(1, 9)])
USERS = st.sampled_from(["ann", "bob", None])
DEVICES = st.sampled_from(["tablet", "phone", None])
EMAILS = st.sampled_from([*"vwxyz"]).map(lambda name: f"{name}@example.org")
REPLAY = st.sampled_from([{}, {}, {"sailpipe": {"replay": True}}])


def _event(
    message_id: str, user: str | None, device: str | None, email: str, flags: dict[str, Any]
) -> dict[str, Any]:
    if user is None:
        return order(message_id, anonymousId=device, properties={"email": email}, **flags)
    return identify(message_id, user, anonymousId=device, email=email, **flags)


def _visit(
    message_id: str, device: str | None, email: str, kind: str, flags: dict[str, Any]
) -> dict[str, Any]:
    if kind == "identify":
        return identify(message_id, anonymousId=device, email=email, **flags)
    context = {"traits": {"email": email}}
    return track(message_id, anonymousId=device, event=kind, context=context, **flags)


KINDS = st.sampled_from(["identify", "identify", "Subscribed", "Seen"])
REFUSED = st.sampled_from(["nonsense", "identify"])


def _refused(message_id: str, kind: str, flags: dict[str, Any]) -> dict[str, Any]:
    """Without a user; one that says identify has the key of an identify that is delivered."""
    return {"messageId": message_id, "type": kind, **flags}


EVENTS = (
    st.builds(_event, IDS, USERS, DEVICES, EMAILS, REPLAY)
    | st.builds(_visit, IDS, DEVICES, EMAILS, KINDS, REPLAY)
    | st.builds(identify, IDS, EMAILS)
    | st.builds(_refused, IDS, REFUSED, REPLAY)
)
BATCHES = st.lists(st.lists(EVENTS, min_size=1, max_size=6), min_size=1, max_size=3)


@settings(max_examples=60, deadline=None)
@given(batches=BATCHES)
def test_batches_link_what_events_link_one_by_one(
    batches: Sequence[list[dict[str, Any]]],
) -> None:
    """Duplicates, exported letters and letters that died again among them."""
    singly = [[event] for batch in batches for event in batch]
    assert asyncio.run(_outcome(batches)) == asyncio.run(_outcome(singly))


async def _outcome(batches: Sequence[list[dict[str, Any]]]) -> dict[str, Any]:
    """What lies in every mailbox, and all that is known of everybody."""
    boxes = Mailboxes(fakeredis.FakeAsyncRedis())
    for batch in batches:
        await boxes.post(*batch)
    client: Any = boxes.redis
    found: dict[str, Any] = {"counts": await boxes.counts(), "dead": sorted(await boxes.dead())}
    for lane in Lane:
        found |= {f"{lane} {box}": await boxes.mail(lane, box) for box in await boxes.due(lane)}
    for key in await client.keys("sailpipe:default:user:*"):
        found[key] = await client.hgetall(key)
    for kind in ("anon", "email", "follows", "visitor"):
        for key in await client.keys(f"sailpipe:default:{kind}:*"):
            found[key] = await client.get(key)
    return found


async def test_an_event_is_accepted_by_the_clock_of_its_lane(boxes: Mailboxes) -> None:
    """It stood still behind a gate before the event came: that counts towards no deadline, nor against one."""
    await boxes.wake(Lane.EVENT)
    await boxes.gates.close(Closure("event", "paused", 0, boxes.now_ms()))
    for _ in range(2):
        await boxes.wake(Lane.EVENT)
        boxes.clock.advance(30)
    await boxes.gates.open("event", "paused")
    await boxes.wake(Lane.EVENT)
    await boxes.post(track("m1", "ann"))
    boxes.clock.advance(5)
    claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
    assert claim.now - claim.clock == 60_000
    assert claim.clock - claim.head.clock == 5_000
