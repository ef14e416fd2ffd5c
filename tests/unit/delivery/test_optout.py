"""An optoutValue on any event: a second entry in its user's lane, once, and only when it says something new."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.counters import OUTCOME_COUNTS, Count, Counters
from pipeline.deadletters.export import export_line
from pipeline.events.models import Lane
from pipeline.status.report import count_up
from pipeline.storage import keys
from tests.support.fake_sailthru import NOT_SENT, REFUSED, TIMED_OUT
from tests.support.pipe import ACCOUNT, Pipe, added, identify, open_pipe, order, page, track

Event = dict[str, Any]


def with_optout(event: Event, level: object) -> Event:
    return event | {"integrations": {"Sailthru": {"optoutValue": level}}}


def updates(pipe: Pipe) -> list[dict[str, Any]]:
    """The params of each POST /user."""
    return [dict(call.params) for call in pipe.sailthru.calls("POST /user")]


async def counted(pipe: Pipe) -> dict[str, int]:
    """As `status` counts, without what is zero."""
    flat: list[bytes] = []
    for pair in (await pipe.redis.hgetall(keys.counts(ACCOUNT))).items():
        flat += pair
    return {name: n for name, n in count_up(Counters.read(flat), 0).items() if n}


EVENTS = [
    track("u1"),
    order("u1", "o1"),
    added("u1"),
    page("u1"),
    {"type": "alias", "userId": "u1", "previousId": "a1"},
    {"type": "group", "userId": "u1", "groupId": "g1"},
    {"type": "screen", "userId": "u1"},
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.get("event", event["type"]))
async def test_an_optout_of_any_event_is_sent_beside_it(event: Event) -> None:
    """Neither a list nor an email goes with it, whatever the settings say of identifies."""
    async with open_pipe(default_list="Everyone", optout="none") as pipe:
        await pipe.post(with_optout(event, " Basic "))
        await pipe.run(4000)
        assert updates(pipe) == [{"id": "u1", "key": "extid", "optout_email": "basic"}]
        counts = await counted(pipe)
        assert (counts["enqueued"], counts["derived"]) == (1, 1)
        assert counts.get("delivered", 0) + counts.get("ignored", 0) + counts.get("dead", 0) == 2


async def test_an_optout_of_an_event_without_a_userid_goes_where_the_event_goes(
    pipe: Pipe,
) -> None:
    """To the visitor's user, to an email, or to the one whom its options name."""
    await pipe.post(identify("u1", anonymousId="a1"))
    await pipe.run(30)
    visitor = {"type": "track", "event": "Seen", "anonymousId": "a1"}
    nameless = {"type": "track", "event": "Seen", "properties": {"email": "ann@example.org"}}
    named = track("u2") | {
        "integrations": {"Sailthru": {"id": "u7", "key": "extid", "optoutValue": "all"}}
    }
    await pipe.post(with_optout(visitor, "all"), with_optout(nameless, "all"), named)
    await pipe.run(30)
    sent = [(one["id"], one["key"]) for one in updates(pipe)[1:]]
    assert sorted(sent) == [("ann@example.org", "email"), ("u1", "extid"), ("u7", "extid")]


async def test_an_optout_that_says_nothing_new_makes_no_second_entry(pipe: Pipe) -> None:
    """Waiting or sent, by events and by identifies: only the newest counts."""
    await pipe.post(with_optout(track("u1"), "all"), with_optout(page("u1"), "all"))
    await pipe.run(30)
    await pipe.post(with_optout(track("u1"), "ALL"))
    await pipe.post(with_optout(track("u1"), "none"), with_optout(track("u1"), "all"))
    await pipe.post(with_optout(identify("u1"), "basic"), with_optout(track("u1"), "basic"))
    await pipe.post(with_optout(track("u2"), "basic"))
    await pipe.run(30)
    sent = [one["optout_email"] for one in updates(pipe) if one["id"] == "u1"]
    assert sent == ["all", "none", "all", "basic"]
    assert (await counted(pipe))["derived"] == 4


async def test_an_optout_of_a_setting_counts_as_what_was_sent_last() -> None:
    """The next identify sends it again, and the next event takes it back again."""
    async with open_pipe(optout="none") as pipe:
        await pipe.post(with_optout(track("u1"), "all"), identify("u1"))
        await pipe.post(with_optout(track("u1"), "all"), with_optout(track("u1"), "all"))
        await pipe.run(60)
        assert [one["optout_email"] for one in updates(pipe)] == ["all", "none", "all"]


async def test_an_identifys_optout_is_part_of_its_own_call(pipe: Pipe) -> None:
    """So is a subscription's."""
    await pipe.post(with_optout(identify("u1"), "all"))
    await pipe.post(with_optout(track("u1", "Subscribed", list="News"), "blast"))
    await pipe.run(30)
    assert [one["optout_email"] for one in updates(pipe)] == ["all", "blast"]
    assert "derived" not in await counted(pipe)


async def test_a_deletion_makes_no_profile_for_its_optout() -> None:
    """Nor does the classic destination know opt-outs of other events than identifies."""
    async with open_pipe(allow_delete=True) as pipe:
        gone = {"type": "track", "event": "User Deleted", "userId": "u1@example.org"}
        await pipe.post(with_optout(gone, "all"))
        await pipe.run(30)
        assert updates(pipe) == []
    async with open_pipe(mapping="classic") as pipe:
        await pipe.post(with_optout(track("u1"), "all"))
        await pipe.run(4000)
        assert updates(pipe) == []


@pytest.mark.parametrize("level", ["some", 7, ["all"], True])
async def test_an_optout_that_cannot_be_read_is_refused_beside_its_event(
    pipe: Pipe, level: object
) -> None:
    """What a user says of their mail must not be passed over, and the event is not at fault."""
    await pipe.post(identify("u1"))
    await pipe.post(with_optout(track("u1"), level))
    await pipe.run(60)
    (letter,) = await pipe.letters()
    assert (letter.id, letter.header.reason) == ("m2/optout", "unmappable")
    assert "optoutValue" in letter.header.detail
    assert len(pipe.sailthru.calls("POST /event")) == 1


async def test_an_event_yields_an_optout_once_in_its_life(pipe: Pipe) -> None:
    """Neither a repeat, nor a replay, nor an exported letter yields another."""
    pipe.sailthru.trouble(REFUSED, on="POST /event", times=2)
    event = with_optout(track("u1"), "all") | {"messageId": "e1"}
    await pipe.post(identify("u1"), event, event)
    await pipe.run(60)
    await pipe.post(with_optout(identify("u1"), "none"))
    await pipe.run(60)
    await pipe.moves.replay(["e1"])
    await pipe.run(60)
    (letter,) = await pipe.letters()
    assert letter.id == "e1"
    await pipe.moves.drop(["e1"])
    await pipe.post_raw([{"event": export_line(letter)}])
    await pipe.run(60)
    assert [one.get("optout_email") for one in updates(pipe)] == [None, "all", "none"]
    assert len(pipe.sailthru.calls("POST /event")) == 3
    assert (await counted(pipe))["derived"] == 1


@pytest.mark.parametrize("how", ["replay", "export", "export of a dropped one"])
async def test_an_optout_that_died_comes_back_alone(pipe: Pipe, how: str) -> None:
    """It has a letter of its own; its event went out long before."""
    trouble = pipe.sailthru.trouble(REFUSED, on="POST /user", about="optout")
    await pipe.post(with_optout(page("u1"), "all") | {"messageId": "p1"})
    await pipe.run(60)
    (letter,) = await pipe.letters()
    assert (letter.id, letter.header.lane) == ("p1/optout", Lane.USER)
    trouble.times = 0
    if how == "replay":
        await pipe.moves.replay([letter.id])
    else:
        if how != "export":
            await pipe.moves.drop([letter.id])
        await pipe.post_raw([{"event": export_line(letter)}, {"event": export_line(letter)}])
    await pipe.run(60)
    assert await pipe.letters() == []
    assert len(pipe.sailthru.calls("POST /v1/track/event/pageview")) == 1
    assert updates(pipe)[-1] == {"id": "u1", "key": "extid", "optout_email": "all"}


async def test_an_optout_that_died_does_not_keep_the_next_from_being_sent(pipe: Pipe) -> None:
    """It says what the dead one said, and that was never sent."""
    pipe.sailthru.trouble(REFUSED, on="POST /user", about="optout", times=1)
    await pipe.post(with_optout(page("u1"), "all"))
    await pipe.run(60)
    await pipe.post(with_optout(page("u1"), "all"))
    await pipe.run(60)
    assert [one["optout_email"] for one in updates(pipe)] == ["all", "all"]
    assert len(await pipe.letters()) == 1


PEOPLE = ("u1", "u2")
LEVELS = st.sampled_from(("none", "all", "basic", "bad", None))
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(("identify", "track", "page", "order")),
            st.sampled_from(PEOPLE),
            LEVELS,
        ),
        st.tuples(st.just("run"), st.sampled_from((0.1, 20.0))),
        st.tuples(st.just("trouble"), st.sampled_from((None, NOT_SENT, REFUSED, TIMED_OUT))),
        st.tuples(st.just("replay")),
    ),
    max_size=16,
)


async def _live(pipe: Pipe, steps: Sequence[tuple[Any, ...]]) -> int:
    sent = 0
    for number, (what, *rest) in enumerate(steps):
        if what == "run":
            await pipe.run(rest[0])
        elif what == "trouble":
            pipe.sailthru.trouble(rest[0], on="POST /user", times=1)
        elif what == "replay":
            await pipe.moves.replay([letter.id for letter in await pipe.letters()])
        else:
            user, level = rest
            made = {
                "identify": identify(user),
                "track": track(user),
                "page": page(user),
                "order": order(user, f"o{number}"),
            }[what]
            await pipe.post(with_optout(made, level) if level else made)
            sent += 1
    return sent


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_accepted_and_derived_events_are_the_sum_of_their_outcomes(
    steps: Sequence[tuple[Any, ...]],
) -> None:
    """I1, at any time; and at the end a user has the opt-out that was said last, unless that died."""

    async def run() -> None:
        async with open_pipe(user_wait=1.0) as pipe:
            sent = await _live(pipe, steps)
            counts = await counted(pipe)
            assert counts.get("enqueued", 0) == sent
            outcomes = sum(counts.get(count.value, 0) for count in OUTCOME_COUNTS)
            assert sent + counts.get(Count.DERIVED, 0) == outcomes
            await pipe.run(600)
            assert (await counted(pipe)).get("waiting", 0) == 0
            if await pipe.letters() or ("replay",) in steps:
                return
            for user in PEOPLE:
                said = [
                    level
                    for _, who, level in (step for step in steps if len(step) == 3)
                    if who == user and level
                ]
                profiles = pipe.sailthru.sandbox.state.profiles
                found = [one.optout for one in profiles if one.keys.get("extid") == user]
                if said:
                    assert found == [said[-1]]

    asyncio.run(run())
