"""A bug in the mapping: it costs the event that meets it, not what waits beside that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest

from pipeline.delivery import session
from pipeline.events.models import Event
from pipeline.mapping import plan
from pipeline.mapping.plan import Need, Plan, PlanContext
from pipeline.sailthru.calls import Call
from pipeline.settings import AccountSettings
from tests.support.pipe import Pipe, identify, track

LOOK_UP = Need("email", Call("GET", "/user", {"id": "u1", "key": "extid"}))


def crash() -> Plan:
    raise KeyError("u1@example.org")


def ask_again() -> Plan:
    """What a mapping says that never has enough."""
    return LOOK_UP


BUG = pytest.mark.parametrize("bug", [crash, ask_again])


@contextmanager
def buggy(bug: Callable[[], Plan], bad: str) -> Iterator[None]:
    """The mapping trips over this event, wherever it stands among those that are planned together."""

    def tripping(events: Sequence[Event], known: PlanContext, settings: AccountSettings) -> Plan:
        names = [event.message_id for event in events]
        return bug() if bad in names else plan(events, known, settings)

    with patch.object(session, "plan", tripping):
        yield


def visits(count: int) -> list[dict[str, Any]]:
    """Identifies that fold into one call."""
    email = "u1@example.org"
    return [identify("u1", traits={"email": email, "visits": n}) for n in range(1, count + 1)]


@BUG
@pytest.mark.parametrize("bad", [1, 3, 6])
async def test_of_events_that_fold_only_the_one_that_meets_the_bug_dies(
    pipe: Pipe, bug: Callable[[], Plan], bad: int
) -> None:
    """Whether it is the first, the last or in their midst."""
    with buggy(bug, f"m{bad}"):
        await pipe.post(*visits(6))
        await pipe.run(60)
    assert [letter.id for letter in await pipe.letters()] == [f"m{bad}"]
    assert await pipe.reasons() == ["crashed"]
    assert (await pipe.counts())["delivered"] == 5


@BUG
async def test_events_that_are_tried_one_by_one_go_out_in_order(
    pipe: Pipe, bug: Callable[[], Plan]
) -> None:
    """Over more claims than one: a claim ends after a handful of turns."""
    with buggy(bug, "m12"):
        await pipe.post(*visits(12))
        await pipe.run(60)
    sent = [call.params["vars"]["visits"] for call in pipe.sailthru.calls("POST /user")]
    assert sent == list(range(1, 12))


async def test_the_dead_letter_names_the_bug_by_its_class_alone(pipe: Pipe) -> None:
    """The error's text may hold an email; what is behind it goes out."""
    await pipe.post(identify("u1"))
    await pipe.run(1)
    with buggy(crash, "m2"):
        await pipe.post(track("u1"), track("u1"), track("u1"))
        await pipe.run(5)
    (letter,) = await pipe.letters()
    assert letter.header.detail == "the mapping failed: KeyError"
    assert (await pipe.counts())["delivered"] == 3
