"""Calls of unknown outcome: the answer was lost, or the worker that waited for it died.

Orders are never posted twice, carts never changed twice; identifies and events repeat harmlessly.
"""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
import redis.asyncio

from pipeline.deadletters.export import export_line
from pipeline.events.models import Lane
from pipeline.sailthru.answers import Answer
from pipeline.storage import keys
from tests.support.fake_sailthru import BAD_GATEWAY, NO_ORDER, NOT_SENT, TIMED_OUT
from tests.support.pipe import ACCOUNT, Pipe, added, identify, open_pipe, order, removed

LOST = pytest.mark.parametrize("lost", [TIMED_OUT, BAD_GATEWAY, None], ids=["hang", "502", "kill"])
HAPPENED = pytest.mark.parametrize("processed", [True, False], ids=["processed", "not processed"])


def orders(pipe: Pipe) -> list[str | None]:
    return [one.extid for one in pipe.sailthru.sandbox.state.purchases]


def cart(pipe: Pipe) -> dict[str, int]:
    """What is in the one cart there is."""
    carts = [one.cart for one in pipe.sailthru.sandbox.state.profiles if one.cart]
    return {item["id"]: item["qty"] for one in carts for item in one.shown["items"]}


async def pending_intent(pipe: Pipe) -> str:
    """The unsettled intent in u1's mailbox of the purchase lane."""
    found = await pipe.redis.hget(keys.mailbox_state(ACCOUNT, Lane.PURCHASE, "u1"), "intent")
    return "" if found is None else found.decode()


@LOST
@HAPPENED
async def test_an_order_whose_answer_was_lost_is_posted_once(
    pipe: Pipe, lost: Answer | None, *, processed: bool
) -> None:
    """Whether the lost call did its work or not."""
    pipe.sailthru.trouble(lost, on="POST /purchase", processed=processed, times=1)
    await pipe.post(order("u1", "o1"))
    await pipe.run(120)
    assert orders(pipe) == ["o1"]
    assert await pipe.counts() == {"delivered": 1}


async def test_an_order_is_posted_again_only_after_two_look_ups_past_call_and_read_lag(
    pipe: Pipe,
) -> None:
    """One miss may be a read that lags the write."""
    pipe.sailthru.trouble(TIMED_OUT, on="POST /purchase", times=1)
    await pipe.post(order("u1", "o1"))
    await pipe.run(120)
    first, again = pipe.sailthru.times("POST /purchase")
    looks = pipe.sailthru.times("GET /purchase")
    assert len(looks) == 2
    assert looks[0] >= first + pipe.settings.http_timeout + pipe.settings.read_lag
    assert looks[1] >= looks[0] + pipe.settings.read_lag
    assert again >= looks[1]


async def test_an_order_found_only_by_the_second_look_up_is_not_posted_again(pipe: Pipe) -> None:
    """Reads may lag by more than anybody expected."""
    pipe.sailthru.trouble(TIMED_OUT, on="POST /purchase", processed=True, times=1)
    pipe.sailthru.trouble(NO_ORDER, on="GET /purchase", times=1)
    await pipe.post(order("u1", "o1"))
    await pipe.run(120)
    assert orders(pipe) == ["o1"]
    assert len(pipe.sailthru.calls("POST /purchase")) == 1


async def test_an_order_whose_look_up_fails_waits_and_is_not_posted(pipe: Pipe) -> None:
    """No answer to the look-up says nothing about the order."""
    pipe.sailthru.trouble(TIMED_OUT, on="POST /purchase", processed=True, times=1)
    pipe.sailthru.trouble(NOT_SENT, on="GET /purchase", times=4)
    await pipe.post(order("u1", "o1"))
    await pipe.run(600)
    assert orders(pipe) == ["o1"]
    assert len(pipe.sailthru.calls("POST /purchase")) == 1


async def test_an_order_whose_worker_is_killed_again_and_again_is_posted_once(pipe: Pipe) -> None:
    """Killed before the call, then after it, then while it was looked up."""
    pipe.sailthru.trouble(None, on="POST /purchase", times=1)
    pipe.sailthru.trouble(None, on="POST /purchase", processed=True, times=1)
    pipe.sailthru.trouble(None, on="GET /purchase", times=2)
    await pipe.post(order("u1", "o1"))
    await pipe.run(600)
    assert pipe.kills == 4
    assert orders(pipe) == ["o1"]


async def test_the_intent_travels_into_the_dead_letter_and_back() -> None:
    """Given up on with an unknown end, replayed a day later: looked up, found, not posted."""
    async with open_pipe(retry_for=0.0, retry_attempts=1) as pipe:
        pipe.sailthru.trouble(TIMED_OUT, on="POST /purchase", processed=True, times=1)
        await pipe.post(order("u1", "o1"))
        await pipe.run(60)
        (letter,) = await pipe.letters()
        assert letter.header.reason == "exhausted"
        assert json.loads(letter.header.pending_intent)["extid"] == "o1"
        await pipe.run(86_400)
        await pipe.moves.replay([letter.id])
        await pipe.run(60)
        assert orders(pipe) == ["o1"]
        assert await pipe.reasons() == []


@pytest.mark.parametrize("processed", [True, False], ids=["processed", "not processed"])
async def test_the_intent_travels_with_an_exported_letter_that_is_enqueued_again(
    redis_url: str, *, processed: bool
) -> None:
    """It takes its letter's place, and its order is looked up before it is posted, as in a replay."""
    client = redis.asyncio.Redis.from_url(redis_url)
    async with open_pipe(client=client, retry_for=0.0, retry_attempts=1) as pipe:
        pipe.sailthru.trouble(TIMED_OUT, on="POST /purchase", processed=processed, times=1)
        await pipe.post(order("u1", "o1"))
        await pipe.run(60)
        (letter,) = await pipe.letters()
        await pipe.post_raw([{"event": export_line(letter)}])
        await pipe.run(60)
        assert len(pipe.sailthru.calls("GET /purchase")) == (1 if processed else 2)
        assert orders(pipe) == ["o1"]
        assert await pipe.letters() == []
        assert await pipe.counts() == {"removed": 1, "delivered": 1}


async def test_an_intent_is_honoured_behind_another_event_of_the_same_claim() -> None:
    """A replayed order that becomes the head in the middle of a claim is still looked up first."""
    async with open_pipe(retry_for=0.0, retry_attempts=1) as pipe:
        pipe.sailthru.trouble(TIMED_OUT, on="POST /purchase", about="o1", processed=True, times=1)
        await pipe.post(order("u1", "o1"))
        await pipe.run(60)
        await pipe.pause(Lane.PURCHASE)
        await pipe.post(order("u1", "o2"))
        await pipe.moves.replay(["m1"])
        await pipe.resume(Lane.PURCHASE)
        await pipe.run(60)
        assert orders(pipe) == ["o1", "o2"]


async def test_a_definite_failure_leaves_no_intent(pipe: Pipe) -> None:
    """A call that never left is made again without looking anything up."""
    pipe.sailthru.trouble(NOT_SENT, on="POST /purchase", times=2)
    await pipe.post(order("u1", "o1"))
    await pipe.run(0.2)
    assert await pending_intent(pipe) == ""
    await pipe.run(30)
    assert pipe.sailthru.calls("GET /purchase") == []
    assert orders(pipe) == ["o1"]


async def test_a_definite_failure_does_not_remove_an_earlier_intent(pipe: Pipe) -> None:
    """The first try may have arrived; that the second did not changes nothing about it."""
    pipe.sailthru.trouble(TIMED_OUT, on="POST /purchase", processed=True, times=1)
    pipe.sailthru.trouble(NOT_SENT, on="POST /purchase")
    pipe.sailthru.trouble(NO_ORDER, on="GET /purchase", times=2)
    await pipe.post(order("u1", "o1"))
    await pipe.run(30)
    assert json.loads(await pending_intent(pipe))["misses"] == 2


@LOST
@HAPPENED
async def test_a_cart_change_whose_answer_was_lost_counts_once(
    pipe: Pipe, lost: Answer | None, *, processed: bool
) -> None:
    """The base is the intent's: a fresh look-up might already hold the change."""
    await pipe.post(identify("u1"), added("u1", "p1"))
    await pipe.run(60)
    pipe.sailthru.trouble(lost, on="POST /purchase", processed=processed, times=1)
    await pipe.post(added("u1", "p1"), added("u1", "p2"))
    await pipe.run(600)
    assert cart(pipe) == {"p1": 2, "p2": 1}


async def test_the_cart_is_not_looked_up_while_a_change_of_it_is_unsettled(pipe: Pipe) -> None:
    """It is not looked up even an hour later."""
    pipe.sailthru.trouble(TIMED_OUT, on="POST /purchase", processed=True, times=9)
    await pipe.post(added("u1", "p1"))
    await pipe.run(3600)
    assert len(pipe.sailthru.calls("GET /user")) == 1
    assert cart(pipe) == {"p1": 1}


async def test_a_cart_change_given_up_without_an_answer_does_not_show_in_the_next() -> None:
    """What died is not counted, wherever Sailthru stood: the next change starts from before it."""
    async with open_pipe(retry_for=0.0, retry_attempts=2) as pipe:
        await pipe.post(identify("u1"), added("u1", "p1"))
        await pipe.run(60)
        pipe.sailthru.trouble(TIMED_OUT, on="POST /purchase", processed=True, times=2)
        await pipe.post(added("u1", "p9"))
        await pipe.run(60)
        assert await pipe.reasons() == ["exhausted"]
        await pipe.post(added("u1", "p2"))
        await pipe.run(60)
        assert cart(pipe) == {"p1": 1, "p2": 1}


async def test_a_replayed_cart_change_builds_on_what_the_cart_has_become() -> None:
    """It has no claim to the cart as it once was."""
    async with open_pipe(retry_for=0.0, retry_attempts=1) as pipe:
        pipe.sailthru.trouble(TIMED_OUT, on="POST /purchase", times=1)
        await pipe.post(identify("u1"), added("u1", "p1"))
        await pipe.run(60)
        await pipe.post(added("u1", "p2"))
        await pipe.run(60)
        await pipe.moves.replay(["m2"])
        await pipe.run(60)
        assert cart(pipe) == {"p1": 1, "p2": 1}


async def test_an_order_after_a_lost_cart_change_empties_the_cart(pipe: Pipe) -> None:
    """No bought item comes back with the next change."""
    pipe.sailthru.trouble(None, on="POST /purchase", processed=True, times=1)
    await pipe.post(added("u1", "p1"), order("u1", "o1"), added("u1", "p2"))
    await pipe.run(120)
    assert orders(pipe) == ["o1"]
    assert cart(pipe) == {"p2": 1}


async def test_an_identify_whose_answer_was_lost_is_repeated_at_once(pipe: Pipe) -> None:
    """It is harmless: nothing is looked up."""
    pipe.sailthru.trouble(None, on="POST /user", processed=True, times=1)
    await pipe.post(identify("u1"))
    await pipe.run(60)
    assert [one.call.bucket for one in pipe.sailthru.sent] == ["POST /user"] * 2


async def test_work_of_a_dead_process_is_taken_up_within_its_lease(pipe: Pipe) -> None:
    """Twelve seconds, and the time to the next wake-up."""
    pipe.sailthru.trouble(None, on="POST /user", times=1)
    await pipe.post(identify("u1"))
    await pipe.run(60)
    ((died, again),) = pairwise(pipe.sailthru.times("POST /user"))
    assert again - died <= 12.5


async def test_a_removal_from_a_cart_that_reads_as_empty_is_looked_up_again_after_the_read_lag(
    pipe: Pipe,
) -> None:
    """Looked up twice, a read lag apart, before it is dead nothing_to_remove."""
    await pipe.post(removed("u1"))
    await pipe.run(60)
    first, second = pipe.sailthru.times("GET /user")
    assert second - first >= pipe.settings.read_lag
    assert await pipe.reasons() == ["nothing_to_remove"]


async def test_a_deletion_of_an_unknown_person_counts_as_delivered() -> None:
    """The answer of the first call was lost, or Sailthru never knew them: what was wanted is so."""
    async with open_pipe(allow_delete=True) as pipe:
        await pipe.post(identify("u1"))
        await pipe.run(5)
        pipe.sailthru.trouble(TIMED_OUT, on="DELETE /user", processed=True, times=1)
        gone = {"type": "track", "event": "User Deleted"}
        await pipe.post(*(gone | {"userId": f"{who}@example.org"} for who in ("u1", "u2")))
        await pipe.run(60)
        assert len(pipe.sailthru.calls("DELETE /user")) == 3
        assert await pipe.counts() == {"delivered": 3}
