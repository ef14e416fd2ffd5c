"""What happened to one event, as every face shows it."""

from __future__ import annotations

from typing import Any

from pipeline.clock import ManualClock
from pipeline.events.models import Lane
from pipeline.status.trace import trace_event
from pipeline.storage import keys
from tests.support.pipe import Pipe, identify, open_pipe, order, track


async def trace(pipe: Pipe, identity: str) -> dict[str, Any]:
    await pipe.outcomes()
    return await trace_event(pipe.redis, pipe.settings, identity, ManualClock())


async def test_an_event_that_no_worker_has_looked_at_is_found_in_its_mailbox() -> None:
    """Behind a closed gate, say: no outcome of it is written yet."""
    async with open_pipe() as pipe:
        await pipe.pause("event")
        await pipe.post(track("u1") | {"messageId": "m1"}, track("u1") | {"messageId": "m2"})
        [one] = (await trace(pipe, "m2"))["events"]
        assert (one["fate"], one["lane"], one["user"]) == ("waits", "event", "u1")
        assert (one["waiting"]["ahead"], one["waiting"]["waits_for"]) == (1, "behind")


async def test_an_event_in_the_raw_stream_is_found() -> None:
    """By its messageId or the id of its order, and only in its account."""
    async with open_pipe() as pipe:
        event = b'{"type":"track","event":"Order Completed","userId":"u1","messageId":"m1","properties":{"order_id":"o1"}}'
        await pipe.redis.xadd(keys.RAW, {"event": event})
        await pipe.redis.xadd(keys.RAW, {"event": event, "account": "other"})
        for identity in ("m1", "o1"):
            [one] = (await trace(pipe, identity))["events"]
            assert one["waiting"]["waits_for"] == "split"
        assert not (await trace(pipe, "m"))["seen"]
        await pipe.redis.delete(keys.RAW)


async def test_a_letter_is_found_when_the_log_has_forgotten_its_event() -> None:
    """Letters are kept ten times as long."""
    async with open_pipe() as pipe:
        bad = order("u1", "o1") | {"properties": {"order_id": "o1", "products": []}}
        await pipe.post(bad | {"messageId": "m1"})
        await pipe.run(5)
        await pipe.outcomes()
        await pipe.redis.delete(*await pipe.redis.keys("sailpipe:default:trace*"))
        found = await trace(pipe, "m1")
        [one] = found["events"]
        assert (one["fate"], one["reason"], one["letter"]["id"]) == ("dead", "unmappable", "m1")
        assert found["log"] is None


async def test_a_replayed_letter_is_one_more_arrival() -> None:
    """What the first one died of stays; the letter is no more."""
    async with open_pipe() as pipe:
        await pipe.post(order("u1", "o1", email=False) | {"messageId": "m1"})
        await pipe.run(80 * 3600)
        [one] = (await trace(pipe, "m1"))["events"]
        assert (one["fate"], one["reason"]) == ("dead", "missing_email")
        await pipe.post(identify("u1"))
        await pipe.run(30)
        first, second = (await trace(pipe, "o1"))["events"]
        assert (first["fate"], first["letter"]) == ("dead", None)
        assert (second["fate"], second["way"]) == ("delivered", ["replay"])


async def test_events_of_one_call_name_each_other() -> None:
    """And a repeat of an order names the one it repeats."""
    async with open_pipe() as pipe:
        await pipe.post(*(identify("u1") | {"messageId": f"i{n}"} for n in range(3)))
        await pipe.run(5)
        [one] = (await trace(pipe, "i1"))["events"]
        assert one["folded_with"] == ["i0", "i2"]
        await pipe.post(order("u1", "o1") | {"messageId": "m1"})
        await pipe.run(5)
        await pipe.post(order("u1", "o1") | {"messageId": "m2"})
        await pipe.run(5)
        _, repeat = (await trace(pipe, "o1"))["events"]
        assert (repeat["id"], repeat["reason"], repeat["repeats"]) == (
            "m2",
            "duplicate_order",
            "m1",
        )
        assert not await pipe.waiting(Lane.PURCHASE, "u1")
