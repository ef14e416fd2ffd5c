"""One endpoint is down, refuses the account or says too many, while others answer: its gate alone closes."""

from __future__ import annotations

import pytest

from pipeline.storage import keys
from tests.support.fake_sailthru import no, throttled
from tests.support.pipe import ACCOUNT, START, Pipe, added, identify, open_pipe, order, track

HOUR = 3600.0
FAILS = no(500, 9, "Internal error")


async def reasons(pipe: Pipe) -> set[tuple[str, str]]:
    """Which gates are closed, and why."""
    return {(closure.scope, closure.reason) for closure in await pipe.closures()}


async def claims(pipe: Pipe) -> int:
    """How many claims there have been, roughly: a token is drawn for each."""
    return int(await pipe.redis.get(keys.token(ACCOUNT)) or 0)


async def test_an_endpoint_that_is_down_for_longer_than_retries_go_on_buries_nothing_and_says_so() -> (
    None
):
    """Its lane is probed once a minute, an operator is told once, and everything is delivered afterwards."""
    async with open_pipe(retry_for=HOUR) as pipe:
        await pipe.post(*(identify(f"u{n}") for n in range(10)))
        await pipe.run(5)
        down = pipe.sailthru.trouble(FAILS, on="POST /event")
        await pipe.post(*(track(f"u{n}") for n in range(10)))
        for n in range(20):
            await pipe.post(identify(f"v{n}"))
            await pipe.run(300)
        assert await reasons(pipe) == {("POST /event", "circuit")}
        assert (await pipe.counts())["delivered"] == 30
        assert [one.scope for one in pipe.alerts if one.scope != "api"] == ["POST /event"]
        assert len(pipe.sailthru.calls("POST /event")) < 20 * 6
        pipe.sailthru.troubles.remove(down)
        await pipe.run(300)
        assert await pipe.counts() == {"delivered": 40}
        assert await reasons(pipe) == set()


async def test_an_endpoint_that_is_down_buries_nothing_of_a_quiet_account(pipe: Pipe) -> None:
    """Two users are enough to tell it from one bad profile, when one of their events is to be given up."""
    await pipe.post(identify("u1"), identify("u2"), identify("u3"))
    await pipe.run(1)
    down = pipe.sailthru.trouble(FAILS, on="POST /event")
    await pipe.post(track("u1"), track("u2"))
    for _ in range(10):
        await pipe.post(identify("u3"))
        await pipe.run(0.6 * HOUR)
    assert await reasons(pipe) == {("POST /event", "circuit")}
    pipe.sailthru.troubles.remove(down)
    await pipe.run(300)
    assert await pipe.counts() == {"delivered": 15}


@pytest.mark.parametrize("code", [3, 4, 5, 21, 22])
async def test_an_endpoint_that_refuses_the_account_stops_the_others_for_seconds_only(
    pipe: Pipe, code: int
) -> None:
    """The host's gate closes until another endpoint takes a call, then the endpoint's own; two alerts in all."""
    pipe.sailthru.trouble(no(401, code), on="POST /purchase")
    for n in range(20):
        await pipe.post(identify(f"u{n}"), order(f"u{n}", f"o{n}"))
        await pipe.run(30)
    assert await reasons(pipe) == {("POST /purchase", "misconfigured")}
    assert await pipe.counts() == {"delivered": 20, "waiting:purchase": 20}
    assert [one.scope for one in pipe.alerts] == ["api", "POST /purchase"]
    assert len(pipe.sailthru.calls("POST /purchase")) < 2 * 20


async def test_an_endpoint_is_taken_again_by_itself_once_it_takes_the_account(pipe: Pipe) -> None:
    wrong = pipe.sailthru.trouble(no(401, 22), on="POST /purchase")
    for n in range(5):
        await pipe.post(identify(f"u{n}"), order(f"u{n}", f"o{n}"))
        await pipe.run(30)
    pipe.sailthru.troubles.remove(wrong)
    await pipe.run(120)
    assert await pipe.counts() == {"delivered": 10}
    assert await reasons(pipe) == set()


async def test_an_endpoint_that_refuses_one_user_stops_its_own_lane_and_is_told_once(
    pipe: Pipe,
) -> None:
    """It cannot be told from credentials that are wrong now and then, but once others have been taken it costs no
    other lane anything."""
    pipe.sailthru.trouble(no(401, 22), about='"bad"')
    await pipe.post(identify("fine"), identify("bad", traits={}))
    await pipe.run(20)
    await pipe.post(identify("u0"))  # the next probe but one
    await pipe.run(60)
    for n in range(10):
        await pipe.post(identify(f"u{n}"), track("fine"), order("fine", f"o{n}"))
        before = pipe.clock.now()
        await pipe.run(20)
        sent = [one for one in pipe.sailthru.sent if one.at >= before]
        assert [one.at - before < 1 for one in sent if one.call.endpoint == "/event"] == [True]
        assert [one.at - before < 1 for one in sent if one.call.endpoint == "/purchase"] == [True]
    assert [one.scope for one in pipe.alerts] == ["api", "POST /user"]


async def test_a_look_up_that_is_down_stops_only_what_needs_it() -> None:
    """Cart changes wait, those of all users together with a probe a minute; orders and identifies go on."""
    async with open_pipe(retry_for=HOUR) as pipe:
        down = pipe.sailthru.trouble(FAILS, on="GET /user")
        await pipe.post(*(added(f"c{n}") for n in range(8)))
        for n in range(15):
            await pipe.post(identify(f"u{n}"), order(f"u{n}", f"o{n}"))
            await pipe.run(300)
        assert ("GET /user", "circuit") in await reasons(pipe)
        assert await pipe.counts() == {"delivered": 30, "waiting:purchase": 8}
        assert len(pipe.sailthru.calls("GET /user")) < 15 * 6
        pipe.sailthru.troubles.remove(down)
        await pipe.run(200)
        assert await pipe.counts() == {"delivered": 38}
        assert await reasons(pipe) == set()


async def test_a_look_up_that_is_closed_until_a_reset_costs_few_claims(pipe: Pipe) -> None:
    """What needs it comes back when it opens, and not twice a second until then."""
    pipe.sailthru.trouble(throttled(START + 55), on="GET /user", times=1)
    await pipe.post(*(added(f"c{n}") for n in range(20)))
    await pipe.run(50)
    assert await claims(pipe) < 50
    assert len(pipe.sailthru.calls("GET /user")) == 1
    await pipe.run(20)
    assert await pipe.counts() == {"delivered": 20}


async def test_the_gate_of_an_endpoint_is_opened_by_its_own_answer_only(pipe: Pipe) -> None:
    """A cart change is the probe of its lane, and begins with a look-up, which is answered."""
    pipe.sailthru.trouble(FAILS, on="POST /purchase")
    await pipe.post(identify("u0"), *(added(f"c{n}") for n in range(6)))
    await pipe.run(120)
    assert await reasons(pipe) == {("POST /purchase", "circuit")}
    assert len(pipe.sailthru.calls("POST /purchase")) < 20


async def test_an_endpoint_may_be_all_that_a_process_calls(pipe: Pipe) -> None:
    """A worker of one lane takes its endpoint for the host. What another process has answered opens the host
    again, and then the endpoint is closed alone."""
    pipe.sailthru.trouble(FAILS, on="POST /event")
    await pipe.post(*(track(f"u{n}") for n in range(8)))
    await pipe.run()
    assert await reasons(pipe) == {("api", "circuit")}
    await pipe.gates.open("api", "circuit")
    await pipe.run()
    assert await reasons(pipe) == {("POST /event", "circuit")}
    await pipe.run(HOUR)
    assert await reasons(pipe) == {("POST /event", "circuit")}
