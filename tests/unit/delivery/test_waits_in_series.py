"""Several events of one mailbox that wait or fail: one asks for all, and each ends by its own acceptance."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.events.models import Lane
from tests.support.fake_sailthru import REFUSED, no
from tests.support.pipe import START, Pipe, added, identify, open_pipe, order, track

HOUR = 3600.0
MINUTE = 60.0
FAILS = no(500, 9, "Internal error")


async def test_ten_events_of_an_unknown_user_end_together_and_one_asks_for_all(pipe: Pipe) -> None:
    """USER_WAIT after their acceptance, not one after the other."""
    await pipe.post(*(track("stranger", n=n) for n in range(10)))
    await pipe.run(HOUR + 5)
    assert await pipe.reasons() == ["unknown_user"] * 10
    assert len(pipe.sailthru.calls("POST /event")) < 15


async def test_letters_of_one_unknown_user_say_the_same_and_each_shows_its_own_call(
    pipe: Pipe,
) -> None:
    """They are one group, whichever of them was asked for. Only the call that was made is an attempt."""
    await pipe.post(*(track("stranger", n=n) for n in range(3)))
    await pipe.run(HOUR + 5)
    rows = [one.as_row() for one in await pipe.letters()]
    assert len({(one["fingerprint"], one["endpoint"], one["status"]) for one in rows}) == 1
    calls = [one.header.calls[0]["params"]["vars"]["n"] for one in await pipe.letters()]
    assert calls == [0, 1, 2]
    assert [one["attempts"] for one in rows] == [1, 0, 0]
    assert [len(one.header.timeline) for one in await pipe.letters()] == [1, 0, 0]


async def test_an_event_does_not_die_with_the_unknown_user_s_event_before_it(pipe: Pipe) -> None:
    """It was accepted just before that one's end, and has an hour of its own."""
    await pipe.post(track("u1"))
    await pipe.run(HOUR - 10)
    await pipe.post(track("u1"))
    await pipe.run(30 * MINUTE)
    assert await pipe.reasons() == ["unknown_user"]
    await pipe.post(identify("u1"))
    await pipe.run(5)
    assert await pipe.counts() == {"dead:unknown_user": 1, "delivered": 2}


async def test_an_event_that_is_asked_for_a_user_of_its_own_choice_is_tried_itself(
    pipe: Pipe,
) -> None:
    """What Sailthru said of one profile says nothing of another."""
    pipe.sailthru.sandbox.handle("POST", "/user", {"id": "other", "key": "extid"}, START)
    chosen = {"integrations": {"Sailthru": {"id": "other", "key": "extid"}}}
    await pipe.post(track("u1"), {**track("u1"), **chosen})
    await pipe.run(HOUR + 5)
    assert await pipe.counts() == {"dead:unknown_user": 1, "delivered": 1}


async def test_events_of_a_profile_made_elsewhere_all_go_out_at_the_next_try(pipe: Pipe) -> None:
    """No identify of ours wakes them."""
    await pipe.post(*(track("u1", n=n) for n in range(10)))
    await pipe.run(15 * MINUTE)
    pipe.sailthru.sandbox.handle("POST", "/user", {"id": "u1", "key": "extid"}, pipe.clock.now())
    await pipe.run(10 * MINUTE)
    assert await pipe.counts() == {"delivered": 10}


async def test_events_of_a_user_whose_identify_still_waits_do_not_die_unknown(pipe: Pipe) -> None:
    """It makes the profile. That its own lane is paused for hours is not their fault."""
    await pipe.pause("POST /user")
    await pipe.post(identify("u1"), track("u1"), track("u1"))
    await pipe.run(5 * HOUR)
    assert await pipe.counts() == {"waiting:user": 1, "waiting:event": 2}
    assert len(pipe.sailthru.sent) < 60
    await pipe.resume("POST /user")
    await pipe.run(5)
    assert await pipe.counts() == {"delivered": 3}


async def test_orders_without_an_email_ask_together_and_end_together(pipe: Pipe) -> None:
    """Four look-ups for ten orders, and EMAIL_WAIT after their acceptance all are dead."""
    await pipe.post(*(order("u1", f"o{n}", email=False) for n in range(10)))
    await pipe.run(72 * HOUR + 5)
    assert await pipe.reasons() == ["missing_email"] * 10
    assert len(pipe.sailthru.calls("GET /user")) == 4


async def test_an_order_that_came_after_the_last_look_up_has_one_of_its_own(pipe: Pipe) -> None:
    """The profile may have got an email since, which then sends both."""
    await pipe.post(order("u1", "o1", email=False))
    await pipe.run(50 * HOUR)
    params = {"id": "u1", "key": "extid", "keys": {"email": "u1@example.org"}}
    pipe.sailthru.sandbox.handle("POST", "/user", params, pipe.clock.now())
    await pipe.post(order("u1", "o2", email=False))
    await pipe.run(24 * HOUR)
    assert [one.extid for one in pipe.sailthru.sandbox.state.purchases] == ["o2", "o1"]


async def test_events_that_always_fail_end_together_and_each_has_all_its_attempts(
    pipe: Pipe,
) -> None:
    """RETRY_FOR after their acceptance, and RETRY_ATTEMPTS each."""
    pipe.sailthru.trouble(FAILS, about='"broken"')
    await pipe.post(*(track("broken", n=n) for n in range(6)))
    for _ in range(5):
        await pipe.post(identify("fine"), track("fine"))
        await pipe.run(HOUR)
    letters = await pipe.letters()
    assert [one.header.reason for one in letters] == ["exhausted"] * 6
    assert all(one.header.attempts >= 5 for one in letters)


async def test_an_event_does_not_die_with_the_failing_event_before_it(pipe: Pipe) -> None:
    """It was accepted ten minutes before that one's end, and is tried for four hours itself."""
    pipe.sailthru.trouble(FAILS, about='"broken"')
    await pipe.post(track("broken"))
    for _ in range(47):
        await pipe.post(identify("fine"), track("fine"))
        await pipe.run(5 * MINUTE)
    await pipe.post(track("broken"))
    for _ in range(46):
        await pipe.post(track("fine"))
        await pipe.run(5 * MINUTE)
    assert await pipe.reasons() == ["exhausted"]
    await pipe.post(track("fine"))
    await pipe.run(30 * MINUTE)
    assert await pipe.reasons() == ["exhausted"] * 2


async def test_an_event_inherits_no_retry_time_from_another_endpoint() -> None:
    """The order behind a cart change whose cart cannot be looked up has hours of its own."""
    async with open_pipe(retry_for=600.0) as pipe:
        pipe.sailthru.trouble(FAILS, on="GET /user")
        failing = pipe.sailthru.trouble(FAILS, on="POST /purchase")
        await pipe.post(added("u1"), order("u1", "o1"))
        await pipe.run(1150)
        assert await pipe.reasons() == ["cart_lookup_failed"]
        pipe.sailthru.troubles.remove(failing)
        await pipe.run(600)
        assert [one.extid for one in pipe.sailthru.sandbox.state.purchases] == ["o1"]


async def test_an_answer_ends_the_time_that_the_next_event_inherits() -> None:
    """Even one that says no: the endpoint is there."""
    async with open_pipe(retry_for=600.0) as pipe:
        failing = pipe.sailthru.trouble(FAILS, on="POST /event")
        await pipe.post(identify("u1"), track("u1", n=1), track("u1", n=2))
        await pipe.run(590)
        pipe.sailthru.troubles.remove(failing)
        pipe.sailthru.trouble(REFUSED, on="POST /event", times=1)
        pipe.sailthru.trouble(FAILS, on="POST /event")
        await pipe.run(500)
        assert await pipe.reasons() == ["rejected"]
        await pipe.run(700)
        assert await pipe.reasons() == ["rejected", "exhausted"]


WAIT_S, SLACK_S = 300.0, 3.0
"""USER_WAIT and EMAIL_WAIT of the random histories; a call, and a moment for each event that dies before it."""
Step: TypeAlias = str | float
STEP = st.one_of(st.sampled_from(["event", "order", "pause", "resume"]), st.floats(0.01, 200.0))


class _History:
    """What was accepted when, in seconds for which the lanes were open; `at` is that clock now."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self.at = 0.0
        self.accepted: dict[str, float] = {}
        self._paused = False
        self._marks = [(START, 0.0, False)]

    async def do(self, step: Step) -> None:
        pipe, number = self.pipe, len(self.accepted)
        match step:
            case float():
                await pipe.run(step)
            case "event":
                await pipe.post({**track("u1", n=number), "messageId": str(number)})
            case "order":
                sent = {**order("u1", f"o{number}", email=False), "messageId": str(number)}
                await pipe.post(sent)
            case "pause" | "resume":
                for lane in (Lane.EVENT, Lane.PURCHASE):
                    await (pipe.pause(lane) if step == "pause" else pipe.resume(lane))
        self._pass(step)
        if step in ("event", "order"):
            self.accepted[str(number)] = self.at
            await pipe.run()

    def _pass(self, step: Step) -> None:
        now, (then, at, paused) = self.pipe.clock.now(), self._marks[-1]
        self.at = at if paused else at + now - then
        self._paused = {"pause": True, "resume": False}.get(str(step), paused)
        self._marks.append((now, self.at, self._paused))

    def opened(self, wall: float) -> float:
        """What that clock showed at this time."""
        then, at, paused = [mark for mark in self._marks if mark[0] <= wall][-1]
        return at if paused else at + wall - then


async def _run_history(steps: Sequence[Step]) -> None:
    async with open_pipe(user_wait=WAIT_S, email_wait=WAIT_S) as pipe:
        history = _History(pipe)
        for step in (*steps, "resume", WAIT_S + SLACK_S):
            await history.do(step)
        letters = {one.id: one.header for one in await pipe.letters()}
        assert letters.keys() == history.accepted.keys()
        for name, at in history.accepted.items():
            lived_s = history.opened(letters[name].died_at / 1000) - at
            assert WAIT_S <= lived_s + 0.01 <= WAIT_S + SLACK_S, (name, lived_s)
        if history.accepted:
            most = 20 + 2 * history.at / MINUTE
            assert len(pipe.sailthru.calls("POST /event")) <= most
            assert len(pipe.sailthru.calls("GET /user")) <= 2 * len(history.accepted) + 2


@settings(deadline=None, max_examples=40)
@given(steps=st.lists(STEP, max_size=14))
def test_whatever_waits_ends_by_its_own_acceptance_in_any_history(steps: list[Step]) -> None:
    """Neither sooner nor later, gates closed or not, however many events wait before it; and the number of
    calls follows the time, not the number of events."""
    asyncio.run(_run_history(steps))
