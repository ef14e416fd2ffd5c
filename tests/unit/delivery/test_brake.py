"""The brake: one cause that kills most of a lane stops the lane; what is the events' own fault doesn't."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import fakeredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.delivery import session
from pipeline.events.models import Event, Lane
from pipeline.gates import brake
from pipeline.gates.brake import USERS, Death, is_mass_dying
from pipeline.mapping import plan
from pipeline.mapping.plan import Plan, PlanContext
from pipeline.settings import AccountSettings
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts
from tests.support.fake_sailthru import REFUSED
from tests.support.pipe import Pipe, added, identify, open_pipe, order, track


@contextmanager
def mapping_bug() -> Iterator[None]:
    """Every track event crashes the mapping."""

    def buggy(events: list[Event], known: PlanContext, settings: AccountSettings) -> Plan:
        if events[0].type == "track":
            raise ZeroDivisionError
        return plan(events, known, settings)

    with patch.object(session, "plan", buggy):
        yield


async def braked(pipe: Pipe) -> set[str]:
    """The lanes whose brake is on."""
    return {closure.scope for closure in await pipe.closures() if closure.reason == "brake"}


async def test_a_mapping_bug_stops_its_lane_instead_of_burying_the_stream(pipe: Pipe) -> None:
    """Twenty users' events die, then the gate closes and says so once; other lanes go on."""
    with mapping_bug():
        for number in range(100):
            await pipe.post(identify(f"u{number}"), track(f"u{number}"))
        await pipe.run(30)
    assert await braked(pipe) == {"event"}
    counts = await pipe.counts()
    assert counts["dead:crashed"] == USERS
    assert counts["waiting:event"] == 100 - USERS
    assert counts["delivered"] == 100
    assert [(closure.reason, closure.scope) for closure in pipe.alerts] == [("brake", "event")]


async def test_an_operator_resumes_the_lane_and_one_replay_delivers_the_dead(pipe: Pipe) -> None:
    """Nothing opens it by itself."""
    await pipe.post(*(identify(f"u{number}") for number in range(30)))
    await pipe.run(5)
    with mapping_bug():
        await pipe.post(*(track(f"u{number}") for number in range(30)))
        await pipe.run(86_400)
    assert await braked(pipe) == {"event"}
    await pipe.resume(Lane.EVENT)
    await pipe.moves.replay([letter.id for letter in await pipe.letters()])
    await pipe.run(30)
    assert await pipe.counts() == {"delivered": 60}


async def test_a_lane_that_was_resumed_too_early_is_stopped_again(pipe: Pipe) -> None:
    """It takes twenty more users: earlier deaths do not count twice."""
    with mapping_bug():
        await pipe.post(*(track(f"u{number}") for number in range(60)))
        await pipe.run(5)
        await pipe.resume(Lane.EVENT)
        await pipe.run(5)
    assert await braked(pipe) == {"event"}
    assert (await pipe.counts())["dead:crashed"] == 2 * USERS


async def test_refusals_caused_by_the_account_brake_too(pipe: Pipe) -> None:
    """A removed template, say: Sailthru refuses every order alike."""
    pipe.sailthru.trouble(REFUSED, on="POST /purchase")
    await pipe.post(*(order(f"u{number}", f"o{number}") for number in range(40)))
    await pipe.run(30)
    assert await braked(pipe) == {"purchase"}
    assert (await pipe.counts())["dead:rejected"] == USERS


async def test_deaths_are_counted_over_all_processes(pipe: Pipe) -> None:
    """Each sees only a few; together they are twenty."""
    with mapping_bug():
        for number in range(USERS):
            pipe.start_process()
            await pipe.post(track(f"u{number}"))
            await pipe.run()
    assert await braked(pipe) == {"event"}


async def test_a_cause_that_kills_a_few_of_many_events_does_not_brake(pipe: Pipe) -> None:
    """Half of the lane gets through: the deaths are odd events of one producer."""
    pipe.sailthru.trouble(REFUSED, on="POST /user", about="odd")
    for number in range(25):
        await pipe.post(identify(f"u{number}"), identify(f"v{number}"), identify(f"odd{number}"))
        await pipe.run(1)
    assert await braked(pipe) == set()
    assert (await pipe.counts())["dead:rejected"] == 25


async def test_what_was_delivered_hours_ago_does_not_hold_the_brake_off(pipe: Pipe) -> None:
    """A process may have run for days before a template is removed."""
    await deliver_many(pipe)
    await pipe.run(6 * 3600)
    assert await deaths_until_braked(pipe) == USERS


async def test_one_death_does_not_make_old_deliveries_count_again(pipe: Pipe) -> None:
    """They are written down with it, and are as old as before. It is one of the twenty."""
    await deliver_many(pipe)
    await pipe.run(9 * 60)
    pipe.sailthru.trouble(REFUSED, on="POST /user", about="odd")
    await pipe.post(identify("odd"))
    await pipe.run(5 * 60)
    assert await deaths_until_braked(pipe) == USERS - 1


async def test_what_was_delivered_lately_holds_the_brake_off(pipe: Pipe) -> None:
    """Deliveries before the deaths count, and not only those among them."""
    await deliver_many(pipe)
    await pipe.run(5 * 60)
    await deaths_until_braked(pipe)
    assert await braked(pipe) == set()


async def test_deliveries_of_every_process_hold_the_brake_off(pipe: Pipe) -> None:
    """Each writes its own down with its next death."""
    pipe.sailthru.trouble(REFUSED, on="POST /user", about="odd")
    for number in range(25):
        if number % 5 == 0:
            pipe.start_process()
        await pipe.post(identify(f"u{number}"), identify(f"v{number}"), identify(f"odd{number}"))
        await pipe.run(1)
    assert await braked(pipe) == set()


async def deliver_many(pipe: Pipe) -> None:
    """More than what is to die later."""
    await pipe.post(*(identify(f"u{number}") for number in range(3 * USERS)))
    await pipe.run(30)
    assert await pipe.counts() == {"delivered": 3 * USERS}


async def deaths_until_braked(pipe: Pipe) -> int:
    """How many of twice as many users' events are rejected before the lane is stopped, if it is."""
    pipe.sailthru.trouble(REFUSED, on="POST /user")
    await pipe.post(*(identify(f"late{number}") for number in range(2 * USERS)))
    before = await pipe.reasons()
    await pipe.run(30)
    return len(await pipe.reasons()) - len(before)


async def test_events_without_email_never_brake() -> None:
    """What an event lacks is its own."""
    async with open_pipe(email_wait=0.0) as pipe:
        await pipe.post(*(order(f"u{number}", f"o{number}", email=False) for number in range(40)))
        await pipe.run(30)
        assert (await pipe.counts())["dead:missing_email"] == 40
        assert await braked(pipe) == set()


async def test_carts_that_cannot_be_mapped_never_brake(pipe: Pipe) -> None:
    """Twenty users' bad events of one producer would stop the lane for everybody's orders."""
    bad = [{**added(f"u{number}"), "properties": {"quantity": "two"}} for number in range(30)]
    await pipe.post(*bad, *bad)
    await pipe.run(30)
    assert await pipe.counts() == {"dead:unmappable": 60}
    assert await braked(pipe) == set()
    assert pipe.alerts == []
    await pipe.post(order("u1", "o1"))
    await pipe.run(5)
    assert (await pipe.counts())["delivered"] == 1


async def test_a_flood_of_events_without_user_id_never_brakes(pipe: Pipe) -> None:
    """They die in the splitter and close nothing."""
    without_id = {"type": "track", "event": "Looked"}
    await pipe.post(*(without_id for _ in range(100)))
    await pipe.run(5)
    assert (await pipe.counts())["dead:missing_user_id"] == 100
    assert await braked(pipe) == set()


async def test_replays_never_brake(pipe: Pipe) -> None:
    """An operator who replays what cannot be delivered sees it in the letters; no other user is stopped."""
    pipe.sailthru.trouble(REFUSED, on="POST /user")
    for number in range(2 * USERS):
        await pipe.post(identify(f"u{number}"))
        await pipe.run(60)
    await pipe.moves.replay([letter.id for letter in await pipe.letters()])
    await pipe.run(5)
    assert (await pipe.counts())["dead:rejected"] == 2 * USERS
    assert len(pipe.sailthru.sent) == 4 * USERS
    assert await braked(pipe) == set()


async def test_deaths_spread_over_hours_never_brake(pipe: Pipe) -> None:
    """Only what dies within ten minutes counts."""
    pipe.sailthru.trouble(REFUSED, on="POST /user")
    for number in range(40):
        await pipe.post(identify(f"u{number}"))
        await pipe.run(60)
    assert await braked(pipe) == set()


def death(cause: str, user: str, delivered: int = 0) -> Death:
    return Death(cause, user, delivered)


@given(
    st.lists(st.builds(death, st.sampled_from("ab"), st.text("uvw", max_size=3), st.integers(0, 9)))
)
def test_the_brake_needs_twenty_users_and_most_of_the_lane(deaths: list[Death]) -> None:
    users = {one.user for one in deaths if one.cause == "a"}
    dead = sum(one.cause == "a" for one in deaths)
    others = sum(one.delivered for one in deaths) + len(deaths) - dead
    assert is_mass_dying("a", deaths) == (len(users) >= 20 and dead > others)


@pytest.mark.parametrize(("delivered", "stops"), [(19, True), (20, False), (21, False)])
def test_a_cause_that_kills_exactly_half_of_a_lane_stops_nothing(
    delivered: int, *, stops: bool
) -> None:
    """Most of it is more than half: twenty of forty are not."""
    deaths = [death("a", f"u{n}") for n in range(19)]
    assert is_mass_dying("a", [*deaths, death("a", "u19", delivered)]) is stops


async def test_a_lane_remembers_its_newest_deaths_and_no_more_than_it_may() -> None:
    """In a flood they would fill Redis."""
    client: Any = fakeredis.FakeAsyncRedis()
    scripts = Scripts(client, "pipeline.gates")
    for at in range(1, 6):
        found = await scripts.run("death", ["died"], [f"death {at}", at, 1000, 3])
        assert found == [f"death {n}".encode() for n in range(max(1, at - 2), at + 1)]
    await client.aclose()


async def test_a_lanes_deaths_are_kept_up_to_the_cap(pipe: Pipe) -> None:
    """The brake says how many that are."""
    key = keys.deaths("default", Lane.USER)
    pipe.sailthru.trouble(REFUSED, on="POST /user")
    with patch.object(brake, "MAX_DEATHS", 3):
        for number in range(5):
            await pipe.post(identify(f"u{number}"))
            await pipe.run(1)
    rows: Any = await pipe.redis.zrange(key, 0, -1)
    assert [json.loads(row)[1] for row in rows] == ["u2", "u3", "u4"]


def test_one_user_who_dies_often_is_no_mass_dying() -> None:
    assert not is_mass_dying("a", [death("a", "u1") for _ in range(400)])
