"""What died, and what its user sent after it."""

from __future__ import annotations

import pytest

from pipeline.deadletters.filters import Filter
from pipeline.deadletters.store import DeadLetters
from tests.support.fake_sailthru import REFUSED
from tests.support.pipe import ACCOUNT, Pipe, added, identify, open_pipe, order, track

OLD = identify("u1", traits={"email": "u1@example.org", "city": "died"})
NEW = identify("u1", traits={"email": "u1@example.org", "city": "Rome"})


async def overtaken(pipe: Pipe) -> frozenset[str]:
    """Ids of the letters that a replay of everything would leave out."""
    return (await DeadLetters(pipe.redis, ACCOUNT).select(Filter())).overtaken


async def let_die(pipe: Pipe, event: dict[str, object], about: str) -> None:
    """Sailthru refuses what mentions `about`, this once."""
    pipe.sailthru.trouble(REFUSED, about=about, times=1)
    await pipe.post(event)
    await pipe.run(60)
    assert len(await pipe.letters()) == 1


async def test_an_identify_is_overtaken_by_a_later_one_that_was_delivered(pipe: Pipe) -> None:
    """Replayed, its old values would win over the new ones."""
    await let_die(pipe, OLD, "died")
    assert await overtaken(pipe) == frozenset()
    await pipe.post(NEW)
    await pipe.run(60)
    assert await overtaken(pipe) == {"m1"}


@pytest.mark.parametrize("later", [added("u1", "p2"), order("u1", "o1")], ids=["change", "order"])
async def test_a_cart_change_is_overtaken_by_what_changed_the_cart_later(
    pipe: Pipe, later: dict[str, object]
) -> None:
    """An order most of all: bought things would come back with a reminder."""
    await let_die(pipe, added("u1", "died"), "died")
    await pipe.post(later)
    await pipe.run(60)
    assert await overtaken(pipe) == {"m1"}


@pytest.mark.parametrize(
    ("dead", "later"),
    [
        (OLD, identify("u2")),
        (OLD, added("u1", "p2")),
        (track("u1", "died"), track("u1", "Later")),
        (order("u1", "died"), order("u1", "o2")),
    ],
    ids=["another user", "another kind", "custom events", "orders"],
)
async def test_events_of_other_kinds_are_never_overtaken(
    dead: dict[str, object], later: dict[str, object]
) -> None:
    """Events and orders are worth sending however late."""
    async with open_pipe(unknown_user="wait") as pipe:
        await pipe.post(identify("u1"))
        await pipe.run(5)
        await let_die(pipe, dead, "died")
        await pipe.post(later)
        await pipe.run(60)
        assert await overtaken(pipe) == frozenset()


async def test_a_replayed_old_event_overtakes_nothing(pipe: Pipe) -> None:
    """What counts is when an event first came, not when it was sent at last."""
    await let_die(pipe, OLD, "died")
    await pipe.post(NEW)
    pipe.sailthru.trouble(REFUSED, about="Rome", times=1)
    await pipe.run(60)
    assert await pipe.reasons() == ["rejected"] * 2
    await pipe.moves.replay(["m1"])
    await pipe.run(60)
    assert await overtaken(pipe) == frozenset()
