"""Random histories of what events say of a person's email: the strongest evidence stays, of equals the newest."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.storage import keys
from tests.support.pipe import ACCOUNT, open_pipe, order, track

Event = dict[str, Any]
Evidence = tuple[int, str, Event]
"""Its strength (0: it is data), its email, the event."""

EMAIL = st.sampled_from([f"e{number}@example.org" for number in range(4)])


def _stated(email: str) -> Evidence:
    return 1, email, {"type": "identify", "userId": "ann", "traits": {"email": email}}


def _subscribed(email: str) -> Evidence:
    event = track("ann", "Subscribed", list="News") | {"context": {"traits": {"email": email}}}
    return 1, email, event


def _beside(email: str) -> Evidence:
    return 2, email, track("ann") | {"context": {"traits": {"email": email}}}


def _beside_an_order(email: str) -> Evidence:
    return 2, email, order("ann", "o1", email=False) | {"context": {"traits": {"email": email}}}


def _bought(email: str) -> Evidence:
    event = order("ann", "o2", email=False)
    event["properties"]["email"] = email
    return 3, email, event


def _joined(email: str) -> Evidence:
    return 3, email, track("ann", "Subscribed", list="News", email=email)


def _named(email: str) -> Evidence:
    return 0, email, track("ann", "Invite Sent", email=email)


HISTORIES = st.lists(
    st.one_of(
        *(
            st.builds(one, EMAIL)
            for one in (_stated, _subscribed, _beside, _beside_an_order, _bought, _joined, _named)
        )
    ),
    min_size=1,
    max_size=8,
)


def _expected(history: Sequence[Evidence]) -> dict[bytes, bytes]:
    said = [(strength, email) for strength, email, _ in history if strength]
    if not said:
        return {}
    strongest = min(strength for strength, _ in said)
    email = [email for strength, email in said if strength == strongest][-1]
    return {b"email": email.encode(), b"email_strength": str(strongest).encode()}


@settings(deadline=None)
@given(history=HISTORIES, looked_up=st.booleans())
def test_no_evidence_of_an_email_is_replaced_by_weaker_evidence(
    history: list[Evidence], looked_up: bool
) -> None:
    """What was looked up at Sailthru before is replaced by any."""

    async def learned() -> dict[bytes, bytes]:
        async with open_pipe() as pipe:
            if looked_up:
                await pipe.redis.hset(keys.user(ACCOUNT, "ann"), "email", "crm@example.org")
            for _, _, event in history:
                await pipe.post(event)
                pipe.clock.advance(1.0)
            fields: dict[bytes, bytes] = await pipe.redis.hgetall(keys.user(ACCOUNT, "ann"))
            return {name: fields[name] for name in (b"email", b"email_strength") if name in fields}

    before = {b"email": b"crm@example.org"} if looked_up else {}
    assert asyncio.run(learned()) == (_expected(history) or before)
