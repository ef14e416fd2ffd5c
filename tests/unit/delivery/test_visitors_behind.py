"""A visitor's events that come late, behind a backlog or a closed gate: the visitor has signed in meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.events.models import Lane
from tests.support.pipe import Pipe, open_pipe, order

VISITOR = {"type": "identify", "anonymousId": "a1", "traits": {"first_name": "Zoe"}}
LOOKED = {"type": "track", "event": "Looked", "anonymousId": "a1"}
SIGN_IN = {"type": "identify", "userId": "u1", "anonymousId": "a1", "traits": {"email": "z@b.co"}}
ALIAS = {"type": "alias", "userId": "u1", "previousId": "a1"}


def addressed(pipe: Pipe) -> list[Any]:
    """To whom the custom events were sent, tries included."""
    return [call.params["id"] for call in pipe.sailthru.calls("POST /event")]


@pytest.mark.parametrize("behind_s", [20, 300])
@pytest.mark.parametrize("signs_in", [SIGN_IN, ALIAS], ids=["identify", "alias"])
async def test_a_visitors_event_arrives_however_late_it_comes_after_the_sign_in(
    pipe: Pipe, signs_in: dict[str, Any], behind_s: int
) -> None:
    """The merge took the visitor's profile away: the event is addressed to the user."""
    await pipe.post(VISITOR)
    await pipe.run(10)
    await pipe.pause(Lane.EVENT)
    await pipe.post(LOOKED, signs_in)
    await pipe.run(behind_s)
    await pipe.resume(Lane.EVENT)
    await pipe.run(200)
    assert await pipe.counts() == {"delivered": 3}
    assert addressed(pipe)[-1] == ("a1" if behind_s < 60 else "u1")


async def test_a_visitors_event_waits_for_the_user_whom_no_profile_shows_yet(pipe: Pipe) -> None:
    """The visitor never had a profile, and the user's identify is still to be delivered."""
    await pipe.pause(Lane.USER)
    await pipe.post(SIGN_IN)
    await pipe.pause(Lane.EVENT)
    await pipe.post({**LOOKED, "anonymousId": "a2"})
    await pipe.post({**SIGN_IN, "anonymousId": "a2"})
    await pipe.resume(Lane.EVENT)
    await pipe.run(300)
    assert await pipe.counts() == {"waiting:user": 2, "waiting:event": 1}
    await pipe.resume(Lane.USER)
    await pipe.run(600)
    assert await pipe.counts() == {"delivered": 3}
    assert addressed(pipe)[-1] == "u1"


async def test_events_of_a_visitor_who_never_signs_in_are_ignored_as_before(pipe: Pipe) -> None:
    await pipe.post(LOOKED)
    await pipe.run(5)
    assert await pipe.counts() == {"ignored:unknown_user": 1}
    assert addressed(pipe) == ["a1"]


async def test_a_visitors_late_event_is_ignored_with_its_user_if_that_is_set() -> None:
    """UNKNOWN_USER=ignore: both are asked for, neither is there."""
    async with open_pipe(unknown_user="ignore") as pipe:
        await pipe.pause(Lane.USER)
        await pipe.pause(Lane.EVENT)
        await pipe.post(LOOKED, SIGN_IN)
        await pipe.resume(Lane.EVENT)
        await pipe.run(100)
        assert await pipe.counts() == {"waiting:user": 1, "ignored:unknown_user": 1}
        assert addressed(pipe) == ["a1", "u1"]


async def test_a_visitors_late_order_arrives_after_the_sign_in(pipe: Pipe) -> None:
    """By the email that the sign-in shows."""
    await pipe.post(VISITOR)
    await pipe.run(10)
    await pipe.pause(Lane.PURCHASE)
    await pipe.post({**order("", "o1", email=False), "userId": None, "anonymousId": "a1"}, SIGN_IN)
    await pipe.run(300)
    await pipe.resume(Lane.PURCHASE)
    await pipe.run(200)
    assert await pipe.counts() == {"delivered": 3}
    assert [call.params["email"] for call in pipe.sailthru.calls("POST /purchase")] == ["z@b.co"]
