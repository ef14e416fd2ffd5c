"""Waiting is not failing: for an email, for a user, for an identify, for the mailbox that is merged."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime

import pytest

from pipeline.delivery.capacity import CLAIM_EVENTS
from pipeline.events.models import Lane
from pipeline.mailbox.claim import MERGED_KEPT
from pipeline.sandbox.options import SandboxOptions
from pipeline.storage import keys
from tests.support.fake_sailthru import NOT_SENT, REFUSED
from tests.support.pipe import ACCOUNT, START, Pipe, added, identify, open_pipe, order, track

HOUR = 3600.0


def offsets(pipe: Pipe, bucket: str) -> list[float]:
    """When calls of one bucket left, in seconds since the start."""
    return [at - START for at in pipe.sailthru.times(bucket)]


async def test_an_order_without_email_asks_sailthru_at_once_and_ever_more_rarely(
    pipe: Pipe,
) -> None:
    """0 s, 1 min, 1 h, 24 h, and no attempt is used up."""
    await pipe.post(order("u1", "o1", email=False))
    await pipe.run(71 * HOUR)
    assert offsets(pipe, "GET /user") == pytest.approx([0, 60, HOUR, 24 * HOUR], abs=0.5)
    assert await pipe.reasons() == []
    await pipe.run(2 * HOUR)
    (letter,) = await pipe.letters()
    assert letter.header.reason == "missing_email"
    assert letter.header.attempts == 0
    assert letter.header.died_at / 1000 - START == pytest.approx(72 * HOUR, abs=1)


async def test_an_order_with_only_a_shared_id_and_no_email_is_tried_once_and_when_its_wait_ends(
    pipe: Pipe,
) -> None:
    """Sailthru cannot be asked about `guest`, which is shared: the mailbox rests until EMAIL_WAIT is over."""
    await pipe.post(order("guest", "o1", email=False))
    await pipe.run()
    (waiting,) = await pipe.redis.zrange(keys.due(ACCOUNT, Lane.PURCHASE), 0, -1, withscores=True)
    assert waiting[1] / 1000 - START == pytest.approx(72 * HOUR, abs=1)
    await pipe.run(73 * HOUR)
    assert await pipe.reasons() == ["missing_email"]
    assert offsets(pipe, "GET /user") == []


async def test_an_email_sailthru_knows_is_used_and_remembered(pipe: Pipe) -> None:
    """The second order of that user needs no look-up."""
    params = {"id": "u1", "key": "extid", "keys": {"email": "known@example.org"}}
    pipe.sailthru.sandbox.handle("POST", "/user", params, START)
    await pipe.post(order("u1", "o1", email=False))
    await pipe.run(2)
    await pipe.post(order("u1", "o2", email=False))
    await pipe.run(2)
    orders = pipe.sailthru.sandbox.state.purchases
    assert [(one.extid, one.email) for one in orders] == [
        ("o1", "known@example.org"),
        ("o2", "known@example.org"),
    ]
    assert len(pipe.sailthru.calls("GET /user")) == 1


async def test_an_identify_with_the_email_sends_a_waiting_order_within_seconds(pipe: Pipe) -> None:
    """Learning wakes what waits for it."""
    await pipe.post(order("u1", "o1", email=False))
    await pipe.run(600)
    await pipe.post(identify("u1"))
    await pipe.run(3)
    assert [one.extid for one in pipe.sailthru.sandbox.state.purchases] == ["o1"]
    assert await pipe.counts() == {"delivered": 2}


@pytest.mark.parametrize("wait", [1, 600])
async def test_a_visitors_order_goes_out_when_a_user_with_an_email_signs_in(wait: int) -> None:
    """Waiting or dead. The sign-in names no email itself; the user's was seen before."""
    visitor = {"anonymousId": "tablet", "userId": None}
    async with open_pipe(email_wait=60.0) as pipe:
        await pipe.post(identify("u1"), order("", "o1", email=False) | visitor)
        await pipe.run(wait)
        await pipe.post(identify("u1", anonymousId="tablet", traits={}))
        await pipe.run(3)
        (order_sent,) = pipe.sailthru.sandbox.state.purchases
        assert order_sent.extid == "o1"
        assert await pipe.counts() == {"delivered": 3}


async def test_orders_that_died_without_email_are_replayed_oldest_first_by_an_identify() -> None:
    """By itself: no operator has to find them."""
    async with open_pipe(email_wait=60.0) as pipe:
        for number in ("o1", "o2", "o3"):
            await pipe.post(order("u1", number, email=False))
            await pipe.run(1)
        await pipe.run(300)
        assert await pipe.reasons() == ["missing_email"] * 3
        await pipe.post(identify("u1"))
        await pipe.run(5)
        orders = pipe.sailthru.sandbox.state.purchases
        assert [one.extid for one in orders] == ["o1", "o2", "o3"]
        assert await pipe.counts() == {"delivered": 4}


async def test_only_orders_and_refunds_are_replayed_by_their_email() -> None:
    """A deletion without an email must not erase the person who signs in a week later, and the
    cart of then must not fill the one of now."""
    deletion = {"type": "track", "userId": "u1", "event": "User Deleted"}
    async with open_pipe(email_wait=60.0, allow_delete=True) as pipe:
        await pipe.post(deletion, added("u1", email=False))
        await pipe.run(300)
        await pipe.post(identify("u1"))
        await pipe.run(60)
        assert await pipe.reasons() == ["missing_email"] * 2
        assert pipe.sailthru.calls("DELETE /user") == []
        assert await pipe.counts() == {"delivered": 1, "dead:missing_email": 2}


async def test_an_order_that_comes_back_keeps_the_day_it_was_made() -> None:
    """Its own timestamp, or when it first came; not that of the identify which brought the email."""
    async with open_pipe(email_wait=60.0) as pipe:
        await pipe.post(order("u1", "o1", email=False))
        await pipe.run(10 * 86400)
        await pipe.post(identify("u1"))
        await pipe.run(60)
        (call,) = pipe.sailthru.calls("POST /purchase")
        assert parsedate_to_datetime(str(call.params["date"])).timestamp() == START


async def test_a_shared_device_fills_no_memory(pipe: Pipe) -> None:
    """Each claim reads whom a user was before: the last hundred of them, the oldest forgotten first."""
    for number in range(MERGED_KEPT + 2):
        await pipe.post(identify("u1", anonymousId=f"a{number}"))
        await pipe.run(20)
    kept = json.loads(await pipe.redis.hget(keys.user(ACCOUNT, "u1"), "merged"))
    assert kept == [f"a{number}" for number in range(2, MERGED_KEPT + 2)]


async def test_a_closed_gate_counts_towards_no_deadline() -> None:
    """I5: the lane's clock stands still behind a closed gate."""
    async with open_pipe(email_wait=100.0) as pipe:
        await pipe.post(order("u1", "o1", email=False))
        await pipe.run(50)
        await pipe.pause(Lane.PURCHASE)
        await pipe.run(10 * HOUR)
        await pipe.resume(Lane.PURCHASE)
        await pipe.run(45)
        assert await pipe.reasons() == []
        await pipe.run(10)
        assert await pipe.reasons() == ["missing_email"]


async def test_an_event_waits_for_its_user_and_goes_out_once_there_is_a_profile(
    pipe: Pipe,
) -> None:
    """User not found is no failure while an identify may still come."""
    await pipe.post(track("u1"))
    await pipe.run(600)
    assert await pipe.counts() == {"waiting:event": 1}
    await pipe.post(identify("u1"))
    await pipe.run(3)
    assert await pipe.counts() == {"delivered": 2}


async def test_an_event_whose_user_never_comes_dies_after_user_wait(pipe: Pipe) -> None:
    """USER_WAIT, an hour by default; every look in between is rarer than the one before."""
    await pipe.post(track("u1"))
    await pipe.run(0.99 * HOUR)
    assert await pipe.reasons() == []
    await pipe.run(120)
    (letter,) = await pipe.letters()
    assert letter.header.reason == "unknown_user"
    assert len(pipe.sailthru.sent) < 15


async def test_events_of_visitors_unknown_to_sailthru_are_ignored(pipe: Pipe) -> None:
    """Most visitors are never identified: neither queue nor dead letters fill with them."""
    await pipe.post({"type": "track", "anonymousId": "a1", "event": "Looked"})
    await pipe.run(5)
    assert await pipe.counts() == {"ignored:unknown_user": 1}


async def test_an_anonymous_event_of_a_learned_user_waits_for_that_user(pipe: Pipe) -> None:
    """It goes out under the userId, so it is no anonymous visitor's."""
    pipe.sailthru.trouble(REFUSED, on="POST /user", times=1)
    await pipe.post(identify("u1", anonymousId="a1"))
    await pipe.post({"type": "track", "anonymousId": "a1", "event": "Looked"})
    await pipe.run(90)
    assert await pipe.counts() == {"dead:rejected": 1, "waiting:event": 1}
    await pipe.post(identify("u1"))
    await pipe.run(5)
    assert await pipe.counts() == {"dead:rejected": 1, "delivered": 2}


async def test_unknown_user_ignore_ignores_every_unknown_user() -> None:
    async with open_pipe(unknown_user="ignore") as pipe:
        await pipe.post(track("u1"))
        await pipe.run(5)
        assert await pipe.counts() == {"ignored:unknown_user": 1}


async def test_an_event_is_held_for_an_earlier_identify_of_its_user(pipe: Pipe) -> None:
    """A sign-up's first event goes out right behind its profile, without having been tried."""
    pipe.sailthru.trouble(NOT_SENT, on="POST /user", times=3)
    await pipe.post(identify("u1"), track("u1"))
    await pipe.run(30)
    assert await pipe.counts() == {"delivered": 2}
    buckets = [one.call.bucket for one in pipe.sailthru.sent if one.call.method == "POST"]
    assert buckets == ["POST /user"] * 4 + ["POST /event"]


async def test_an_event_is_not_held_for_a_later_identify() -> None:
    """Only what was accepted before it comes first."""
    async with open_pipe() as pipe:
        pipe.sailthru.trouble(NOT_SENT, on="POST /user")
        await pipe.post(track("u1"))
        await pipe.post(identify("u1"))
        await pipe.run(1)
        assert len(pipe.sailthru.calls("POST /event")) == 1


async def test_an_event_is_held_for_a_minute_at_most(pipe: Pipe) -> None:
    """An identify that fails for hours must not hold up everything of its user."""
    pipe.sailthru.trouble(NOT_SENT, on="POST /user")
    await pipe.post(identify("u1"), track("u1"))
    await pipe.run(59)
    assert pipe.sailthru.calls("POST /event") == []
    await pipe.run(2)
    assert len(pipe.sailthru.calls("POST /event")) == 1


async def test_all_events_of_a_user_are_held_for_the_same_minute(pipe: Pipe) -> None:
    """One that moves up does not begin a minute of its own for an identify that was waited for."""
    pipe.sailthru.sandbox.handle("POST", "/user", {"id": "u1", "key": "extid"}, START)
    pipe.sailthru.trouble(NOT_SENT, on="POST /user")
    await pipe.post(identify("u1"), *(track("u1", n=n) for n in range(10)))
    await pipe.post(*(order("u1", f"o{n}") for n in range(5)))
    await pipe.run(59)
    assert pipe.sailthru.calls("POST /event") == pipe.sailthru.calls("POST /purchase") == []
    await pipe.run(10)
    assert len(pipe.sailthru.calls("POST /event")) == 10
    assert len(pipe.sailthru.calls("POST /purchase")) == 5


async def test_more_events_than_a_claim_reads_are_held_for_the_same_minute(pipe: Pipe) -> None:
    """Forty cart changes are one call, and the event behind them was not read by that claim."""
    pipe.sailthru.trouble(NOT_SENT, on="POST /user")
    await pipe.post(identify("u1"), *(added("u1", f"p{n}") for n in range(CLAIM_EVENTS + 1)))
    await pipe.run(70)
    assert await pipe.waiting(Lane.PURCHASE, "u1") == []


async def test_an_event_that_came_later_is_held_for_a_minute_of_its_own(pipe: Pipe) -> None:
    """Counted from its own acceptance, not from that of the one before it."""
    pipe.sailthru.trouble(NOT_SENT, on="POST /user")
    await pipe.post(identify("u1"), track("u1"))
    await pipe.run(50)
    await pipe.post(track("u1"))
    await pipe.run(59)
    assert await pipe.waiting(Lane.EVENT, "u1") == ["m2", "m3"]
    assert len(pipe.sailthru.calls("POST /event")) > 0
    await pipe.run(HOUR)
    await pipe.post(order("u1", "o1"))
    await pipe.run(59)
    assert pipe.sailthru.calls("POST /purchase") == []
    await pipe.run(2)
    assert len(pipe.sailthru.calls("POST /purchase")) == 1


@pytest.mark.parametrize("scope", [Lane.USER, "POST /user"])
async def test_an_event_is_held_for_a_minute_however_long_the_user_lane_is_closed(
    pipe: Pipe, scope: str
) -> None:
    """An operator who pauses identifies does not pause orders."""
    await pipe.pause(scope)
    await pipe.post(identify("u1"), order("u1", "o1"))
    await pipe.run(59)
    assert pipe.sailthru.sent == []
    await pipe.run(2)
    assert len(pipe.sailthru.calls("POST /purchase")) == 1


async def test_a_closed_gate_of_its_own_lane_ends_no_event_s_minute(pipe: Pipe) -> None:
    """I5: its lane's clock stands still."""
    pipe.sailthru.trouble(NOT_SENT, on="POST /user")
    await pipe.post(identify("u1"), track("u1"))
    await pipe.run(30)
    await pipe.pause(Lane.EVENT)
    await pipe.run(HOUR)
    await pipe.resume(Lane.EVENT)
    await pipe.run(29)
    assert pipe.sailthru.calls("POST /event") == []
    await pipe.run(2)
    assert len(pipe.sailthru.calls("POST /event")) == 1


async def test_an_identify_that_dies_releases_the_events_that_waited_for_it(pipe: Pipe) -> None:
    """Nothing waits the rest of a minute for what will never come."""
    pipe.sailthru.trouble(NOT_SENT, on="POST /user", times=1)
    pipe.sailthru.trouble(REFUSED, on="POST /user")
    await pipe.post(identify("u1"), track("u1"))
    await pipe.run(4)
    assert len(pipe.sailthru.calls("POST /event")) == 1
    assert await pipe.reasons() == ["rejected"]


async def test_a_merge_waits_until_the_old_mailbox_is_empty(pipe: Pipe) -> None:
    """What was done as the visitor reaches Sailthru before the visitor's profile is merged away."""
    trouble = pipe.sailthru.trouble(NOT_SENT, on="POST /event", about="a1")
    pipe.sailthru.sandbox.handle("POST", "/user", {"id": "a1", "key": "extid"}, START)
    await pipe.post({"type": "track", "anonymousId": "a1", "event": "Looked"})
    await pipe.run(1)
    await pipe.post({"type": "alias", "previousId": "a1", "userId": "u1"})
    await pipe.run(10)
    assert pipe.sailthru.calls("POST /user") == []
    pipe.sailthru.troubles.remove(trouble)
    await pipe.run(60)
    buckets = [one.call.bucket for one in pipe.sailthru.sent if one.call.method == "POST"]
    assert buckets[-2:] == ["POST /event", "POST /user"]


async def test_a_merge_waits_until_reads_show_the_profile_it_merges(pipe: Pipe) -> None:
    """Identified as a visitor and, a moment later, as a customer: one profile, though reads lag."""
    pipe.sailthru.sandbox.options = SandboxOptions(lag_s=1.0)
    await pipe.post({"type": "identify", "anonymousId": "a1", "traits": {"color": "red"}})
    await pipe.run(0.5)
    assert len(pipe.sailthru.calls("POST /user")) == 1
    await pipe.post({"type": "identify", "anonymousId": "a1", "userId": "u1", "traits": {"n": 1}})
    await pipe.run(10)
    [profile] = pipe.sailthru.sandbox.state.profiles
    assert profile.vars == {"color": "red", "n": 1}


async def test_two_merges_of_each_other_end() -> None:
    """Each waits for the other's mailbox, but not for ever."""
    async with open_pipe(user_wait=300.0) as pipe:
        await pipe.post({"type": "alias", "previousId": "u2", "userId": "u1"})
        await pipe.post({"type": "alias", "previousId": "u1", "userId": "u2"})
        await pipe.run(290)
        assert (await pipe.counts())["waiting:user"] == 2
        await pipe.run(60)
        assert "waiting:user" not in await pipe.counts()
