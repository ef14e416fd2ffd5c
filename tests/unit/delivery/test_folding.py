"""What waited and was folded ends as what came one by one: through queues, claims, kills and all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sailthru.calls import Call
from pipeline.sandbox.options import SandboxOptions
from tests.support.fake_sailthru import REFUSED, Trouble
from tests.support.pipe import Pipe, added, open_pipe, order, removed
from tests.support.replay import end_state

EXAMPLES = 300 if settings.get_current_profile_name() == "deep" else 25
POISON = "poison"
"""Sailthru refuses calls in which this trait or product occurs."""
LONG_S = 3_600.0
USER, EMAIL = "u1", "u1@example.org"

Event = dict[str, Any]


@dataclass(frozen=True)
class End:
    """Where a run ended: Sailthru's state, how many events are through, which died of what.

    An alias that is repeated after a death finds its work done and is counted as ignored.
    """

    sailthru: dict[str, Any]
    through: int
    dead: list[tuple[str, str]]


def _identify(ids: dict[str, str], values: dict[str, int], email: str | None) -> Event:
    shown = {"email": email} if email else {}
    return {"type": "identify", **ids, "traits": {**values, **shown}}


traits = st.dictionaries(st.sampled_from(("x", "y", POISON)), st.integers(0, 3), max_size=2)
identifies = st.builds(
    _identify,
    st.sampled_from(({"userId": USER}, {"userId": USER}, {"userId": USER, "anonymousId": "a1"})),
    traits,
    st.sampled_from((EMAIL, EMAIL, None)),
)
visits = st.builds(_identify, st.just({"anonymousId": "a1"}), traits, st.none())
# What is refused when added is never removed: within a fold its addition would not show.
changes = st.sampled_from(
    (
        *(added(USER, item) for item in ("p", "q", "p", "q", POISON)),
        *(removed(USER, item) for item in ("p", "q")),
        added(USER, "p", email=False),
    )
)
barriers = st.sampled_from(
    (
        {"type": "alias", "userId": USER, "previousId": "a1"},
        {"type": "track", "userId": USER, "event": "Subscribed", "properties": {"list": "News"}},
        order(USER, "numbered below"),
    )
)
deaths = st.sets(st.integers(1, 6), max_size=2)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    events=st.lists(identifies | visits | changes | changes | barriers, min_size=1, max_size=10),
    die_at=deaths,
    processed=st.booleans(),
    lag_s=st.sampled_from((0.0, 2.0)),
    gap_s=st.sampled_from((0.3, 30.0)),
)
def test_folded_events_end_as_single_ones_do(
    events: list[Event], die_at: set[int], processed: bool, lag_s: float, gap_s: float
) -> None:
    """The events merge, are refused and end folds; reads lag, and workers die before or after a call."""
    numbered = _with_order_ids(events)

    folded = asyncio.run(_all_at_once(numbered, lag_s, die_at, processed=processed))
    single = asyncio.run(_one_by_one(numbered, lag_s, gap_s))

    assert folded == single


def test_events_that_wait_together_do_fold_and_the_calls_they_save_are_counted() -> None:
    """The property above would hold for a delivery that never folds."""
    events = [added(USER, "p")] * 8

    async def posts(*, at_once: bool) -> tuple[int, int]:
        async with open_pipe() as pipe:
            if at_once:
                await _post_while_paused(pipe, events)
            else:
                await _post_with_gaps(pipe, events, 30.0)
            saved = (await pipe.counts()).get("folded", 0)
            return len(pipe.sailthru.calls("POST /purchase")), saved

    assert (asyncio.run(posts(at_once=True)), asyncio.run(posts(at_once=False))) == ((1, 7), (8, 0))


def _with_order_ids(events: Sequence[Event]) -> list[Event]:
    """Every order is another one: one that is looked up after a death is found by its id."""
    return [
        order(USER, f"o{number}") if event.get("event") == "Order Completed" else event
        for number, event in enumerate(events)
    ]


async def _all_at_once(
    events: Sequence[Event], lag_s: float, die_at: set[int], *, processed: bool
) -> End:
    async with open_pipe(sandbox=SandboxOptions(lag_s=lag_s)) as pipe:
        _refuse_poison(pipe)
        _die_at(pipe, die_at, processed=processed)
        await _post_while_paused(pipe, events)
        return await _end(pipe)


async def _one_by_one(events: Sequence[Event], lag_s: float, gap_s: float) -> End:
    async with open_pipe(sandbox=SandboxOptions(lag_s=lag_s)) as pipe:
        _refuse_poison(pipe)
        await _post_with_gaps(pipe, events, gap_s)
        return await _end(pipe)


async def _post_while_paused(pipe: Pipe, events: Sequence[Event]) -> None:
    await pipe.pause("account")
    await pipe.post(*events)
    await pipe.resume("account")
    await pipe.run(LONG_S)


async def _post_with_gaps(pipe: Pipe, events: Sequence[Event], gap_s: float) -> None:
    for event in events:
        await pipe.post(event)
        await pipe.run(gap_s)
    await pipe.run(LONG_S)


def _refuse_poison(pipe: Pipe) -> None:
    for bucket in ("POST /user", "POST /purchase"):
        pipe.sailthru.trouble(REFUSED, on=bucket, about=POISON)


def _die_at(pipe: Pipe, numbers: set[int], *, processed: bool) -> None:
    """Kill the worker in the middle of these calls, counted from 1."""
    made = 0

    def hits(call: Call) -> bool:
        nonlocal made
        made += 1
        return made in numbers

    pipe.sailthru.troubles.append(Trouble(hits, None, processed))


async def _end(pipe: Pipe) -> End:
    letters = [(letter.id, letter.header.reason) for letter in await pipe.letters()]
    state = pipe.sailthru.sandbox.state.as_json()
    counts = await pipe.counts()
    through = sum(counts[name] for name in counts if name.startswith(("delivered", "ignored:")))
    return End(end_state(state), through, sorted(letters))
