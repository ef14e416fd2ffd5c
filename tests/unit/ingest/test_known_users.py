"""Whom the HTTP server knows: by what is remembered here, else by what Sailthru says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from pipeline.ingest import known_users
from pipeline.ingest.known_users import Knowledge, KnownUser, KnownUsers, knowledge_of
from pipeline.ingest.upstream import NotNow
from pipeline.sailthru.answers import Accepted, Answer, Failed, Failure
from pipeline.settings import Settings
from pipeline.storage import keys
from tests.support.mailboxes import Mailboxes, identify, track

FOUND = Accepted(200, {"keys": {"extid": "42"}})
NOBODY = Failed(Failure.USER_NOT_FOUND, 400, 99, "User not found with ...")
DOWN = Failed(Failure.UNAVAILABLE, 503, None, "HTTP 503")


class Sailthru:
    """Answers as it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer | Exception] = {}
        self.asked: list[tuple[str, str]] = []
        self.wait = asyncio.Event()
        self.wait.set()

    async def call(
        self, account: str, method: str, endpoint: str, params: Mapping[str, Any]
    ) -> Answer:
        assert (account, method, endpoint) == ("default", "GET", "/user")
        self.asked.append((params["key"], params["id"]))
        await self.wait.wait()
        answer = self.answers.get(params["id"], NOBODY)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def sailthru() -> Sailthru:
    return Sailthru()


@pytest.fixture
async def users(boxes_in_both: Mailboxes, sailthru: Sailthru) -> KnownUsers:
    return KnownUsers(boxes_in_both.redis, sailthru, Settings())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (FOUND, Knowledge.EXISTS),
        (Accepted(200, {}), Knowledge.EXISTS),
        (NOBODY, Knowledge.UNKNOWN),
        (Failed(Failure.REJECTED, 400, 11, "Invalid email"), Knowledge.UNKNOWN),
        (Failed(Failure.REJECTED, 400, 99, "extid lookup is off"), Knowledge.UNCHECKED),
        (Failed(Failure.THROTTLED, 429, 43, "slow"), Knowledge.UNCHECKED),
        (Failed(Failure.MISCONFIGURED, 401, 5, "key"), Knowledge.UNCHECKED),
        (DOWN, Knowledge.UNCHECKED),
    ],
)
def test_only_a_no_of_sailthrus_own_makes_a_user_unknown(
    answer: Answer, expected: Knowledge
) -> None:
    """Everything else says nothing about the user."""
    assert knowledge_of(answer) is expected


@pytest.mark.parametrize(
    ("events", "user_id", "email", "owner"),
    [
        ([identify("m1", "42")], "42", None, None),
        ([identify("m1", "42", email="Ann@example.com")], "42", None, None),
        ([identify("m1", "42", email="Ann@example.com")], None, "ANN@example.com", "42"),
        ([identify("m1", "42", email="ann@example.com")], "new", "ann@example.com", "42"),
        (
            [identify("m1", None, anonymousId="a1", email="ann@example.com")],
            None,
            "ann@example.com",
            None,
        ),
        (
            [{**identify("m1", None), "traits": {"email": "Ann@example.com"}}],
            None,
            "ann@Example.com",
            None,
        ),
        (
            [track("m1", "42", context={"traits": {"email": "ann@example.com"}})],
            "42",
            None,
            None,
        ),
    ],
)
async def test_who_is_known_here_costs_no_call(
    boxes_in_both: Mailboxes,
    users: KnownUsers,
    sailthru: Sailthru,
    events: list[dict[str, Any]],
    user_id: str | None,
    email: str | None,
    owner: str | None,
) -> None:
    """An identify that waits, an email that was learned, an email that leads to somebody."""
    await boxes_in_both.post(*events)
    known = await users.look_up("default", user_id, email)
    assert known == KnownUser(Knowledge.EXISTS, owner)
    assert sailthru.asked == []


async def test_who_was_identified_is_known(
    boxes_in_both: Mailboxes, users: KnownUsers, sailthru: Sailthru
) -> None:
    """Nothing waits any more."""
    await boxes_in_both.redis.hset(keys.user("default", "42"), "identified", "1")
    assert (await users.look_up("default", "42", None)).knowledge is Knowledge.EXISTS
    assert sailthru.asked == []


async def test_an_event_alone_makes_nobody_known(
    boxes_in_both: Mailboxes, users: KnownUsers, sailthru: Sailthru
) -> None:
    """Nor does an email that only a page has shown."""
    await boxes_in_both.post(track("m1", "42"))
    await boxes_in_both.redis.hset(
        keys.user("default", "43"), mapping={"email": "x@example.com", "email_by": "browser"}
    )
    for user in ("42", "43"):
        assert (await users.look_up("default", user, None)).knowledge is Knowledge.UNKNOWN
    assert sailthru.asked == [("extid", "42"), ("extid", "43")]


async def test_that_sailthru_has_a_user_is_remembered_for_an_hour(
    boxes_in_both: Mailboxes, users: KnownUsers, sailthru: Sailthru
) -> None:
    """One user's stream costs one look-up; that there is none is asked each time, since that may change."""
    sailthru.answers["ann@example.com"] = FOUND
    for _ in range(3):
        assert (await users.look_up("default", "42", "Ann@example.com")) == KnownUser(
            Knowledge.EXISTS
        )
    assert sailthru.asked == [("extid", "42"), ("email", "ann@example.com")]
    (name,) = [one async for one in boxes_in_both.redis.scan_iter("sailpipe:default:found:*")]
    assert 3_500_000 < await boxes_in_both.redis.pttl(name) <= 3_600_000
    assert b"ann" not in name
    for _ in range(2):
        assert (await users.look_up("default", "99", None)).knowledge is Knowledge.UNKNOWN
    assert sailthru.asked[2:] == [("extid", "99")] * 2


async def test_a_shared_id_is_nobodys(users: KnownUsers, sailthru: Sailthru) -> None:
    """It is not even asked about."""
    assert (await users.look_up("default", "Guest", None)).knowledge is Knowledge.UNKNOWN
    assert sailthru.asked == []


@pytest.mark.parametrize("answer", [DOWN, NotNow("Calls are stopped", 5.0)])
async def test_a_user_about_whom_sailthru_cannot_be_asked_is_unchecked(
    users: KnownUsers, sailthru: Sailthru, answer: Answer | Exception
) -> None:
    """One answer of two that is missing might be a yes."""
    sailthru.answers["42"] = answer
    known = await users.look_up("default", "42", "ann@example.com")
    assert known.knowledge is Knowledge.UNCHECKED


@pytest.fixture
async def stuck(sailthru: Sailthru) -> AsyncIterator[Sailthru]:
    sailthru.wait.clear()
    yield sailthru
    sailthru.wait.set()


async def test_nobody_waits_long_for_a_look_up(
    users: KnownUsers, stuck: Sailthru, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Sailthru that hangs would hold every caller."""
    monkeypatch.setattr(known_users, "ASK_S", 0.01)
    assert (await users.look_up("default", "42", None)).knowledge is Knowledge.UNCHECKED


async def test_a_flood_of_strangers_waits_for_no_more_look_ups_than_there_may_be(
    users: KnownUsers, stuck: Sailthru, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes beyond them is taken unchecked, and the next one is asked about again."""
    monkeypatch.setattr(known_users, "MAX_ASKING", 1)
    waiting = asyncio.create_task(users.look_up("default", "1", None))
    while not stuck.asked:
        await asyncio.sleep(0)
    assert (await users.look_up("default", "2", None)).knowledge is Knowledge.UNCHECKED
    stuck.wait.set()
    assert (await waiting).knowledge is Knowledge.UNKNOWN
    assert (await users.look_up("default", "2", None)).knowledge is Knowledge.UNKNOWN
