"""Sailthru is down, refuses our credentials, or says too many: gates close and nothing is buried."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pipeline.events.models import Lane
from tests.support.fake_sailthru import NOT_SENT, REFUSED, TIMED_OUT, WRONG_KEY, no, throttled
from tests.support.pipe import START, Pipe, added, identify, open_pipe, order, page, track

HOUR = 3600.0


def users(count: int, *, first: int = 0) -> list[str]:
    return [f"u{number}" for number in range(first, first + count)]


async def reasons(pipe: Pipe) -> set[tuple[str, str]]:
    """Which gates are closed, and why."""
    return {(closure.scope, closure.reason) for closure in await pipe.closures()}


async def test_the_circuit_opens_when_all_calls_of_five_users_fail(pipe: Pipe) -> None:
    """From then on there are probes only: one at a time, ever more rarely, a minute apart at most."""
    pipe.sailthru.trouble(NOT_SENT)
    await pipe.post(*(identify(user) for user in users(50)))
    await pipe.run()
    assert await reasons(pipe) == {("api", "circuit")}
    assert len(pipe.sailthru.sent) == 5
    await pipe.run(600)
    pauses = [later - sooner for sooner, later in pairwise(pipe.sailthru.times("POST /user")[4:])]
    assert pauses[:5] == pytest.approx([1, 2, 4, 8, 16], abs=0.3)
    assert pauses[-1] == pytest.approx(60, abs=0.3)


async def test_four_failing_users_are_no_outage(pipe: Pipe) -> None:
    """The number of their failures makes no difference."""
    pipe.sailthru.trouble(NOT_SENT)
    await pipe.post(*(identify(user) for user in users(4)))
    await pipe.run(60)
    assert await reasons(pipe) == set()


async def test_a_long_outage_buries_nothing_of_a_quiet_account() -> None:
    """Four users are too few to tell an outage by; in the end, that no call at all is answered shows it."""
    async with open_pipe(retry_for=1.5 * HOUR) as pipe:
        await pipe.post(*(identify(user) for user in users(4, first=10)))
        await pipe.run(1)
        down = pipe.sailthru.trouble(NOT_SENT)
        await pipe.post(*(identify(user) for user in users(4)), *(order(u, u) for u in users(4)))
        await pipe.run(2 * HOUR)
        assert await reasons(pipe) == {("api", "circuit")}
        tried = len(pipe.sailthru.sent)
        await pipe.run(4 * HOUR)
        assert len(pipe.sailthru.sent) - tried <= 4 * 60 * 2 + 10
        pipe.sailthru.troubles.remove(down)
        await pipe.run(300)
        assert await pipe.counts() == {"delivered": 12}
        assert await reasons(pipe) == set()


async def test_an_outage_buries_nothing_of_a_process_that_was_started_in_it(pipe: Pipe) -> None:
    """It has seen no answer, and so it does not know of any."""
    down = pipe.sailthru.trouble(TIMED_OUT)
    await pipe.post(identify("u1"), order("u1", "o1"))
    await pipe.run(3.9 * HOUR)
    pipe.start_process()
    await pipe.run(HOUR)
    pipe.sailthru.troubles.remove(down)
    await pipe.run(300)
    assert await pipe.counts() == {"delivered": 2}


async def test_events_of_a_quiet_account_are_given_up_as_early_as_it_is_set() -> None:
    """RETRY_FOR of minutes says that it is wanted."""
    async with open_pipe(retry_for=1800.0) as pipe:
        pipe.sailthru.trouble(NOT_SENT)
        await pipe.post(identify("u1"))
        await pipe.run(HOUR)
        assert await pipe.counts() == {"dead:exhausted": 1}
        assert pipe.alerts == []


async def test_an_event_that_is_never_answered_dies_while_others_are(pipe: Pipe) -> None:
    """One other answer since it began to fail is enough: Sailthru is there."""
    pipe.sailthru.trouble(NOT_SENT, about='"u0"')
    await pipe.post(identify("u0"))
    await pipe.run(HOUR)
    await pipe.post(identify("u1"))
    await pipe.run(4 * HOUR)
    assert await pipe.counts() == {"delivered": 1, "dead:exhausted": 1}
    assert pipe.alerts == []


async def test_an_event_that_is_never_answered_dies_after_the_next_other_answer(pipe: Pipe) -> None:
    """With nothing else to send it looks like an outage; what comes then waits for a probe or two."""
    pipe.sailthru.trouble(NOT_SENT, about='"u0"')
    await pipe.post(identify("u0"))
    await pipe.run(6 * HOUR)
    assert await reasons(pipe) == {("api", "circuit")}
    await pipe.post(identify("u1"))
    await pipe.run(150)
    assert (await pipe.counts())["delivered"] == 1
    await pipe.run(600)
    assert await pipe.counts() == {"delivered": 1, "dead:exhausted": 1}
    assert await reasons(pipe) == set()


async def test_one_failing_endpoint_closes_its_own_gate_while_others_answer(pipe: Pipe) -> None:
    """Other lanes go on."""
    pipe.sailthru.trouble(NOT_SENT, on="POST /purchase")
    for user in users(20):
        await pipe.post(identify(user), order(user, user))
        await pipe.run(0.2)
    assert await reasons(pipe) == {("POST /purchase", "circuit")}
    assert (await pipe.counts())["delivered"] == 20
    assert [closure.scope for closure in pipe.alerts] == ["POST /purchase"]


async def test_two_failing_endpoints_have_a_gate_each_while_a_third_answers(pipe: Pipe) -> None:
    pipe.sailthru.trouble(NOT_SENT, on="POST /purchase")
    pipe.sailthru.trouble(NOT_SENT, on="POST /event")
    for user in users(8):
        await pipe.post(identify(user), order(user, user), track(user))
        await pipe.run(0.2)
    closed = {("POST /purchase", "circuit"), ("POST /event", "circuit")}
    assert await reasons(pipe) == closed
    assert (await pipe.counts())["delivered"] == 8


async def test_an_outage_of_one_host_leaves_the_others_lanes_alone(pipe: Pipe) -> None:
    """Pageviews have a host of their own."""
    pipe.sailthru.trouble(TIMED_OUT, on="POST /v1/track/event/pageview")
    await pipe.post(*(page(user) for user in users(10)))
    await pipe.post(*(identify(user) for user in users(10)))
    await pipe.run(1)
    assert await reasons(pipe) == {("track", "circuit")}
    assert (await pipe.counts())["delivered"] == 10


async def test_a_probe_that_is_answered_opens_the_gate_for_all_lanes(pipe: Pipe) -> None:
    """A refusal is an answer, too: a host that refuses is up."""
    down = pipe.sailthru.trouble(NOT_SENT)
    await pipe.post(*(identify(user) for user in users(8)), *(order(u, u) for u in users(8)))
    await pipe.run(30)
    pipe.sailthru.troubles.remove(down)
    pipe.sailthru.trouble(REFUSED, times=1)
    await pipe.run(60)
    assert await reasons(pipe) == set()
    counts = await pipe.counts()
    assert (counts["delivered"], counts["dead:rejected"]) == (15, 1)


async def test_an_event_that_is_never_answered_does_not_keep_the_gate_closed(pipe: Pipe) -> None:
    """Sailthru is back, but for one event: the next probe is another user's, and that one goes on to
    end as any other that fails for too long."""
    down = pipe.sailthru.trouble(NOT_SENT)
    await pipe.post(*(identify(user) for user in users(20)))
    await pipe.run(30)
    probed = pipe.sailthru.sent[-1].call.params["id"]
    pipe.sailthru.trouble(NOT_SENT, about=f'"{probed}"')
    pipe.sailthru.troubles.remove(down)
    await pipe.run(300)
    assert (await pipe.counts())["delivered"] == 19
    await pipe.run(8 * HOUR)
    assert await pipe.counts() == {"delivered": 19, "dead:exhausted": 1}


async def test_a_probe_that_alone_is_refused_for_its_credentials_lets_another_probe_next(
    pipe: Pipe,
) -> None:
    """Mailboxes that were due before it do not wait for it."""
    pipe.sailthru.trouble(no(401, 3), about='"u0"')
    wrong = pipe.sailthru.trouble(no(401, 3))
    await pipe.post(*(identify(user) for user in users(5)))
    await pipe.run(30)
    pipe.sailthru.troubles.remove(wrong)
    await pipe.run(300)
    assert (await pipe.counts())["delivered"] == 4


async def test_a_failed_probe_uses_up_no_attempt() -> None:
    """RETRY_ATTEMPTS 2 and RETRY_FOR 0: a second attempt would be the end."""
    async with open_pipe(retry_for=0.0, retry_attempts=2) as pipe:
        pipe.sailthru.trouble(NOT_SENT)
        await pipe.post(*(identify(user) for user in users(30)))
        await pipe.run(HOUR)
        assert len(pipe.sailthru.sent) > 50
        assert await pipe.reasons() == []


async def test_after_hours_of_outage_every_event_is_delivered_in_order_and_none_died(
    pipe: Pipe,
) -> None:
    """Mixed lanes and users, events coming in all the time, ambiguous ends."""
    await pipe.post(*(identify(user) for user in users(12)))
    await pipe.run(1)
    down = pipe.sailthru.trouble(TIMED_OUT)
    for hour in range(9):
        for user in users(12):
            await pipe.post(
                track(user, "Step", hour=hour), identify(user), order(user, f"{user}-{hour}")
            )
        await pipe.run(0.5 * HOUR)
    assert await reasons(pipe) == {("api", "circuit")}
    sent = len(pipe.sailthru.sent)
    pipe.sailthru.troubles.remove(down)
    await pipe.run(HOUR)
    assert await pipe.reasons() == []
    assert await pipe.counts() == {"delivered": 12 + 9 * 3 * 12, "folded": 8 * 12}
    state = pipe.sailthru.sandbox.state
    for user in users(12):
        steps = [one["vars"]["hour"] for one in state.events if one["id"] == user]
        orders = [one.extid for one in state.purchases if one.email == f"{user}@example.org"]
        assert steps == list(range(9))
        assert orders == [f"{user}-{hour}" for hour in range(9)]
    assert sent < 4.5 * 60 * 3 + 100


async def test_time_behind_a_closed_gate_counts_towards_no_max_age() -> None:
    """A cart change is too old after a day of our own slowness, not after two of an outage."""
    async with open_pipe(max_age={Lane.PURCHASE: 3600.0}) as pipe:
        await pipe.post(added("u1"))
        await pipe.pause(Lane.PURCHASE)
        await pipe.post(added("u2"))
        await pipe.run(48 * HOUR)
        await pipe.resume(Lane.PURCHASE)
        await pipe.run(5)
        assert await pipe.counts() == {"delivered": 2}


async def test_an_event_that_happened_too_long_before_it_was_sent_is_too_old_all_the_same() -> None:
    """A closed gate forgives its own time, not the phone that was in a drawer."""
    async with open_pipe(max_age={Lane.PURCHASE: 3600.0}) as pipe:
        old = {**added("u1"), "timestamp": "2020-01-01T00:00:00Z"}
        await pipe.pause(Lane.PURCHASE)
        await pipe.post(old)
        await pipe.run(48 * HOUR)
        await pipe.resume(Lane.PURCHASE)
        await pipe.run(5)
        assert await pipe.reasons() == ["too_old"]


async def test_a_replayed_event_is_as_old_as_its_replay() -> None:
    """An operator who replays yesterday's cart change without a time of its own wants it sent."""
    async with open_pipe(max_age={Lane.PURCHASE: 3600.0}) as pipe:
        pipe.sailthru.trouble(REFUSED, on="POST /purchase", times=1)
        await pipe.post(added("u1"))
        await pipe.run(24 * HOUR)
        assert await pipe.reasons() == ["rejected"]
        await pipe.moves.replay(["m1"])
        await pipe.run(5)
        assert await pipe.counts() == {"delivered": 1}


async def test_a_throttled_call_uses_up_no_attempt_and_waits_for_the_reset() -> None:
    """No process calls that bucket before; other buckets go on."""
    async with open_pipe(retry_for=0.0, retry_attempts=1) as pipe:
        pipe.sailthru.trouble(throttled(START + 40), on="POST /event", times=3)
        await pipe.post(*(identify(user) for user in users(3)))
        await pipe.run(1)
        await pipe.post(*(track(user) for user in users(3)), identify("u9"))
        await pipe.run(30)
        assert len(pipe.sailthru.calls("POST /event")) == 1
        assert (await pipe.counts())["delivered"] == 4
        assert await reasons(pipe) == {("POST /event", "throttled")}
        await pipe.run(60)
        assert await pipe.reasons() == []
        assert (await pipe.counts())["delivered"] == 7
        times = pipe.sailthru.times("POST /event")
        assert times[1] >= START + 40


async def test_a_throttled_gate_opens_within_a_minute_whatever_the_reset_says(pipe: Pipe) -> None:
    """Nothing probes it and no person resumes it, so a Reset in milliseconds would be for ever."""
    pipe.sailthru.trouble(throttled(START * 1000), on="POST /user", times=1)
    await pipe.post(identify("u1"))
    await pipe.run()
    (closure,) = await pipe.closures()
    assert closure.reason == "throttled"
    assert closure.until <= pipe.now_ms() + 60_000
    await pipe.run(62)
    assert await pipe.counts() == {"delivered": 1}


async def test_a_throttled_gate_opens_although_the_reset_is_nought(pipe: Pipe) -> None:
    """A proxy that counts down ends at 0, which for a gate means: until an operator opens it."""
    pipe.sailthru.trouble(throttled(0), on="POST /user", times=1)
    await pipe.post(identify("u1"))
    await pipe.run(62)
    assert await pipe.counts() == {"delivered": 1}


@pytest.mark.parametrize("code", [3, 5, 21])
async def test_wrong_credentials_bury_nothing_alert_once_and_end_by_themselves(code: int) -> None:
    """The account pauses, is probed, and goes on once the key is right."""
    async with open_pipe(retry_for=0.0, retry_attempts=1) as pipe:
        wrong = pipe.sailthru.trouble(no(401, code))
        await pipe.post(*(identify(user) for user in users(30)))
        await pipe.run(0.5 * HOUR)
        assert await reasons(pipe) == {("api", "misconfigured")}
        assert await pipe.reasons() == []
        assert [closure.reason for closure in pipe.alerts] == ["misconfigured"]
        assert len(pipe.sailthru.sent) < 40 * (2 if code == 5 else 1)
        pipe.sailthru.troubles.remove(wrong)
        await pipe.run(120)
        assert await pipe.counts() == {"delivered": 30}
        assert await reasons(pipe) == set()


async def test_a_wrong_customer_id_stops_pageviews_only(pipe: Pipe) -> None:
    """Another host, another credential."""
    pipe.sailthru.trouble(WRONG_KEY, on="POST /v1/track/event/pageview")
    await pipe.post(page("u1"), identify("u1"), page("u2"))
    await pipe.run(5)
    assert await reasons(pipe) == {("track", "misconfigured")}
    assert await pipe.counts() == {"delivered": 1, "waiting:page": 2}


async def test_one_signature_mismatch_of_a_good_secret_is_tried_again_at_once(pipe: Pipe) -> None:
    """On record at Sailthru's (reference: sailthru-api 8)."""
    pipe.sailthru.trouble(no(401, 5), times=1)
    await pipe.post(identify("u1"))
    await pipe.run(1)
    assert await pipe.counts() == {"delivered": 1}
    assert pipe.alerts == []


async def test_an_outage_is_alerted_once_per_closing(pipe: Pipe) -> None:
    """Failed probes raise no alert; the next closing does."""
    for _ in range(2):
        down = pipe.sailthru.trouble(NOT_SENT)
        await pipe.post(*(identify(user) for user in users(10)))
        await pipe.run(300)
        pipe.sailthru.troubles.remove(down)
        await pipe.run(300)
    assert [(closure.scope, closure.reason) for closure in pipe.alerts] == [("api", "circuit")] * 2


async def test_an_outage_that_another_process_saw_end_is_over_for_all(pipe: Pipe) -> None:
    """What a process counted during the outage does not close the gate again at the next failure."""
    down = pipe.sailthru.trouble(NOT_SENT)
    await pipe.post(*(identify(user) for user in users(10)))
    await pipe.run()
    first = pipe.processor
    pipe.start_process()
    pipe.sailthru.troubles.remove(down)
    await pipe.run(5)
    assert await pipe.counts() == {"delivered": 10}
    pipe.processor = first
    pipe.sailthru.trouble(NOT_SENT, times=1)
    await pipe.post(identify("late"))
    await pipe.run(0.1)
    assert await reasons(pipe) == set()
