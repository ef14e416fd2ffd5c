"""What waits, by cause; and what becomes of it when it is let go or dropped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pipeline.events.models import Lane
from pipeline.mailbox.moves import Doomed, WaitingMoves
from pipeline.status.let_go import drop, release
from pipeline.status.mailboxes import AT_THE_END, CAUSES
from pipeline.status.waiting import Box, read_waiting
from pipeline.storage import keys
from pipeline.trace.names import order_name
from pipeline.trace.records import Fate
from tests.support.fake_sailthru import BAD_GATEWAY, NOT_SENT
from tests.support.pipe import ACCOUNT, START, Pipe, identify, open_pipe, order, track


@asynccontextmanager
async def pipe_of_today(**settings: Any) -> AsyncIterator[Pipe]:
    """A pipeline whose clock is that of its Redis, by which the verbs go."""
    async with open_pipe(**settings) as pipe:
        seconds, _ = await pipe.redis.time()
        pipe.clock.advance(seconds - START)
        yield pipe


async def boxes(pipe: Pipe, why: str | None = None) -> list[Box]:
    found = await read_waiting(pipe.redis, pipe.settings)
    assert found.complete
    assert {one.why for one in found.boxes} <= CAUSES.keys()
    assert all((one.ends is None) == (one.why not in AT_THE_END) for one in found.boxes)
    return [one for one in found.boxes if why in (None, one.why)]


def no_watcher(_: int) -> None:
    """Nobody looks at the progress."""


async def test_what_waits_is_told_apart_by_cause() -> None:
    """An email, a retry, an unknown user, a closed gate; with the next try and the end of the wait."""
    async with pipe_of_today() as pipe:
        await pipe.post(order("u1", "o1", email=False), order("u1", "o2", email=False))
        await pipe.post(track("u2"))
        await pipe.run()
        [email] = await boxes(pipe, "email")
        assert (email.lane, email.user, email.events) == (Lane.PURCHASE, "u1", 2)
        assert email.due is not None
        assert email.ends == email.accepted + 72 * 3_600_000
        [user] = await boxes(pipe, "user")
        assert (user.lane, user.user) == (Lane.EVENT, "u2")
        assert user.ends == user.accepted + 3_600_000
        await pipe.pause("user")
        await pipe.post(identify("u3"))
        [gate] = await boxes(pipe, "gate")
        assert (gate.lane, gate.user, gate.ends) == (Lane.USER, "u3", None)
        rows = (await read_waiting(pipe.redis, pipe.settings)).rows()
        assert {(row["lane"], row["waits_for"], row["events"]) for row in rows} == {
            ("purchase", "email", 2),
            ("event", "user", 1),
            ("user", "gate", 1),
        }


async def test_what_waits_for_an_identify_goes_out_without_it_in_the_end() -> None:
    """A minute after it was accepted; it is not given up, as what waits for an email is."""
    async with pipe_of_today() as pipe:
        await pipe.pause("user")
        await pipe.post(identify("u1"), track("u1"))
        await pipe.run(2)
        [box] = await boxes(pipe, "identify")
        assert box.ends == box.accepted + 60_000
        assert (AT_THE_END[box.why], AT_THE_END["email"]) == ("goes out without it", "given up")


async def test_a_wait_that_is_let_go_asks_sailthru_anew() -> None:
    """Its next time would have come in a minute."""
    async with pipe_of_today() as pipe:
        await pipe.post(order("u1", "o1", email=False))
        await pipe.run()
        asked = len(pipe.sailthru.calls("GET /user"))
        found = await boxes(pipe, "email")
        assert await release(pipe.redis, ACCOUNT, found, no_watcher) == 1
        await pipe.run(5)
        assert len(pipe.sailthru.calls("GET /user")) == asked + 1
        assert await release(pipe.redis, ACCOUNT, [], no_watcher) == 0


async def test_what_is_dropped_is_counted_and_found_in_the_log() -> None:
    """All that waits of that person for the email; nothing of it is left."""
    async with pipe_of_today() as pipe:
        await pipe.post(order("u1", "o1", email=False), order("u1", "o2", email=False))
        await pipe.run()
        found = await boxes(pipe, "email")
        assert await drop(pipe.redis, pipe.settings, found, pipe.clock, no_watcher) == 2
        assert await pipe.counts() == {"removed": 2}
        assert not await pipe.redis.keys("sailpipe:default:mail*")
        assert not await pipe.redis.keys("sailpipe:default:state*")
        for number in ("o1", "o2"):
            *_, last = await pipe.outcomes(order_name(number))
            assert (last.fate, last.reason) == (Fate.REMOVED, "email")


async def test_of_a_retry_only_the_event_that_fails_is_dropped() -> None:
    """Those behind it get their turn."""
    async with pipe_of_today() as pipe:
        await pipe.post(identify("u1"))
        await pipe.run(5)
        pipe.sailthru.trouble(BAD_GATEWAY, on="POST /event", times=1)
        await pipe.post(track("u1") | {"messageId": "m1"}, track("u1") | {"messageId": "m2"})
        await pipe.run()
        [retry] = await boxes(pipe, "retry")
        assert await drop(pipe.redis, pipe.settings, [retry], pipe.clock, no_watcher) == 1
        await pipe.run(1)
        assert await pipe.counts() == {"delivered": 2, "removed": 1}


async def test_a_mailbox_that_changed_meanwhile_is_left_alone() -> None:
    """It is under way, or its first event is another."""
    async with pipe_of_today() as pipe:
        await pipe.post(order("u1", "o1", email=False))
        await pipe.run()
        [box] = await boxes(pipe, "email")
        moves = WaitingMoves(pipe.redis, ACCOUNT, time_ms=pipe.now_ms)
        assert await moves.remove(Lane.PURCHASE, "email", [Doomed("u1", "1-1", 1)]) == [0]
        assert await moves.remove(Lane.PURCHASE, "user", [Doomed("u1", "1-1", 1)]) == [0]
        pipe.clock.advance(61)
        assert "u1" in await pipe.lease(Lane.PURCHASE)
        assert await drop(pipe.redis, pipe.settings, [box], pipe.clock, no_watcher) == 0
        assert await moves.release(Lane.PURCHASE, "email", ["u1"]) == 0
        assert await pipe.counts() == {"waiting:purchase": 1}


async def test_an_identify_that_is_dropped_wakes_what_waits_for_it() -> None:
    """An event waits for an earlier identify of its user; nothing comes of that one any more."""
    async with pipe_of_today() as pipe:
        await pipe.pause("user")
        await pipe.post(identify("u1"), track("u1"))
        await pipe.run(1)
        assert await pipe.redis.hget(keys.mailbox_state(ACCOUNT, Lane.EVENT, "u1"), "waits")
        before = await pipe.redis.zscore(keys.due(ACCOUNT, Lane.EVENT), "u1")
        [entry] = await pipe.redis.lrange(keys.mail(ACCOUNT, Lane.USER, "u1"), 0, 0)
        seq = entry.partition(b'"seq":"')[2].partition(b'"')[0].decode()
        moves = WaitingMoves(pipe.redis, ACCOUNT, time_ms=pipe.now_ms)
        assert await moves.remove(Lane.USER, "", [Doomed("u1", seq, 1)]) == [1]
        assert await pipe.redis.zscore(keys.due(ACCOUNT, Lane.EVENT), "u1") < before


async def test_the_id_of_an_order_that_is_dropped_is_free_again() -> None:
    """Another event of the same order is delivered."""
    async with pipe_of_today() as pipe:
        await pipe.post(identify("u1"))
        await pipe.run(5)
        pipe.sailthru.trouble(NOT_SENT, on="POST /purchase", times=1)
        await pipe.post(order("u1", "o1"))
        await pipe.run()
        found = await boxes(pipe, "retry")
        assert await drop(pipe.redis, pipe.settings, found, pipe.clock, no_watcher) == 1
        await pipe.post(order("u1", "o1"))
        await pipe.run(600)
        assert (await pipe.counts())["delivered"] == 2
