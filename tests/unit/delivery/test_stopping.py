"""SIGTERM: calls under way end, nothing begins, claims go back as if they had not been made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from unittest.mock import patch

import pytest

from pipeline.events.models import Lane
from pipeline.sailthru.answers import Answer
from pipeline.sailthru.calls import Call
from pipeline.storage import keys
from tests.support.fake_sailthru import no
from tests.support.pipe import ACCOUNT, Pipe, added, identify, order

Wait = Callable[..., Awaitable[None]]


async def deliver_purchases(pipe: Pipe) -> None:
    (box,) = await pipe.lease(Lane.PURCHASE)
    await pipe.processor.process(Lane.PURCHASE, box)


async def left_behind(pipe: Pipe) -> list[bytes]:
    """What u1's mailbox of the purchase lane says of calls that were tried: attempts, strikes, intent."""
    state: list[bytes] = await pipe.redis.hkeys(keys.mailbox_state(ACCOUNT, Lane.PURCHASE, "u1"))
    return [name for name in state if name.startswith((b"s:", b"strikes", b"intent"))]


def stop_during(pipe: Pipe, wait: Wait) -> Wait:
    """The wait itself, in the middle of which SIGTERM arrives."""

    async def stopped(*args: Any, **options: Any) -> None:
        pipe.processor.stop()
        await wait(*args, **options)

    return stopped


def stop_during_calls(pipe: Pipe) -> Callable[[Call, Callable[[], bool]], Awaitable[Answer]]:
    send = pipe.sailthru.send

    async def stopped(call: Call, is_over: Callable[[], bool]) -> Answer:
        pipe.processor.stop()
        return await send(call, is_over)

    return stopped


async def test_a_stopping_worker_begins_no_call_and_gives_its_claims_back(pipe: Pipe) -> None:
    """What it had claimed is due at once for others, with no strike against it."""
    await pipe.post(identify("u1"))
    (box,) = await pipe.lease(Lane.USER)
    pipe.processor.stop()
    assert pipe.store._settlements._hurries
    await pipe.processor.process(Lane.USER, box)
    assert pipe.sailthru.sent == []
    pipe.start_process()
    await pipe.run()
    assert await pipe.counts() == {"delivered": 1}


@pytest.mark.parametrize("what", ["its slot", "a renewal of its lease"])
async def test_a_call_that_waited_when_the_worker_was_told_to_stop_does_not_begin(
    pipe: Pipe, what: str
) -> None:
    """Its intent was on record by then; the next owner finds none, and posts at once."""
    await pipe.post(order("u1", "o1"))
    where, name = (pipe.limiter, "acquire") if what == "its slot" else (pipe.leases, "until_fresh")
    with patch.object(where, name, stop_during(pipe, getattr(where, name))):
        await deliver_purchases(pipe)
    assert pipe.sailthru.sent == []
    assert await left_behind(pipe) == []
    pipe.start_process()
    await pipe.run()
    assert [one.call.bucket for one in pipe.sailthru.sent] == ["POST /purchase"]
    assert await pipe.counts() == {"delivered": 1}


async def test_a_look_up_under_way_ends_and_its_delivery_is_left_to_another_worker(
    pipe: Pipe,
) -> None:
    """A look-up, a slot and a POST to a slow Sailthru take longer than a worker has for its end."""
    await pipe.post(added("u1"))
    with patch.object(pipe.sailthru, "send", stop_during_calls(pipe)):
        await deliver_purchases(pipe)
    assert [one.call.bucket for one in pipe.sailthru.sent] == ["GET /user"]
    assert await left_behind(pipe) == []
    pipe.start_process()
    await pipe.run()
    assert await pipe.counts() == {"delivered": 1}


async def test_a_call_refused_for_its_signature_is_not_repeated_by_a_stopping_worker(
    pipe: Pipe,
) -> None:
    """The mailbox's next owner makes the call, without looking anything up: it certainly did nothing."""
    pipe.sailthru.trouble(no(401, 5, "Signature does not match"), times=1)
    await pipe.post(order("u1", "o1"))
    with patch.object(pipe.sailthru, "send", stop_during_calls(pipe)):
        await deliver_purchases(pipe)
    assert len(pipe.sailthru.sent) == 1
    assert await left_behind(pipe) == []
    pipe.start_process()
    await pipe.run()
    assert [one.call.bucket for one in pipe.sailthru.sent] == ["POST /purchase"] * 2
    assert await pipe.counts() == {"delivered": 1}


async def test_a_delivery_under_way_ends_and_is_settled_by_a_stopping_worker(pipe: Pipe) -> None:
    """The event behind it goes back."""
    await pipe.post(order("u1", "o1"), order("u1", "o2"))
    with patch.object(pipe.sailthru, "send", stop_during_calls(pipe)):
        await deliver_purchases(pipe)
    assert len(pipe.sailthru.sent) == 1
    assert await pipe.waiting(Lane.PURCHASE, "u1") == ["m2"]
    assert (await pipe.counts())["delivered"] == 1
