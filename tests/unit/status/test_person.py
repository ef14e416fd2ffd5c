"""What is known of a person, and why they got no mail."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.sailthru.answers import Accepted, Answer, read_answer
from pipeline.sailthru.calls import Call
from pipeline.status.person import find_profile, person_of, read_person, why_no_mail
from tests.support.pipe import ACCOUNT, Pipe, added, identify, open_pipe, order, product, track


async def person(pipe: Pipe, identity: str) -> dict[str, Any]:
    await pipe.outcomes()
    return await read_person(pipe.redis, pipe.settings, identity)


async def test_a_person_is_found_by_each_of_their_ids_and_emails() -> None:
    """They all name one set of mailboxes."""
    async with open_pipe() as pipe:
        await pipe.post(identify("u1", traits={"email": "Ann@example.org"}) | {"anonymousId": "a1"})
        await pipe.run(5)
        for identity in ("u1", "a1", "ann@example.org", "ANN@example.org"):
            assert await person_of(pipe.redis, ACCOUNT, identity) == "u1"
        found = await person(pipe, "a1")
        assert (found["user"], found["known"]) == ("u1", True)
        assert found["email"] == {
            "address": "Ann@example.org",
            "source": "stated",
            "at": found["email"]["at"],
            "by_page": False,
        }
        assert found["merged"] == ["a1"]


async def test_of_a_stranger_nothing_is_known() -> None:
    """And it is said since when."""
    async with open_pipe() as pipe:
        await pipe.post(track("u2"))
        await pipe.run(1)
        found = await person(pipe, "u1")
        assert (found["known"], found["email"], found["cart"]) == (False, None, None)
        assert found["outcomes"] == found["dead"] == []


async def test_the_cart_of_a_person_is_the_newest_at_their_address() -> None:
    """Another id may have bought it."""
    async with open_pipe() as pipe:
        await pipe.post(added("u1"))
        await pipe.run(5)
        assert [one["id"] for one in (await person(pipe, "u1"))["cart"]["items"]] == ["p1"]
        properties = {"order_id": "o1", "products": [product("p1")], "email": "u1@example.org"}
        await pipe.post(track("u2", "Order Completed", **properties))
        await pipe.run(5)
        assert (await person(pipe, "u1"))["cart"]["items"] == []


async def test_cart_waiting_outcomes_and_letters_are_shown() -> None:
    """Each in its place."""
    async with open_pipe() as pipe:
        await pipe.post(identify("u1"), added("u1"))
        await pipe.run(5)
        await pipe.post(order("u1", "o1") | {"properties": {"order_id": "o1", "products": []}})
        await pipe.run(5)
        await pipe.pause("event")
        await pipe.post(track("u1"), track("u1"))
        found = await person(pipe, "u1")
        assert [one["id"] for one in found["cart"]["items"]] == ["p1"]
        assert [one["fate"] for one in found["outcomes"]] == ["dead", "delivered", "delivered"]
        assert [one["reason"] for one in found["dead"]] == ["unmappable"]
        assert found["waiting"]["event"]["events"] == 2
        first, second = found["waiting"]["event"]["first"]
        assert (first["waits_for"], first["gate"]) == ("gate", "paused")
        assert (second["waits_for"], second["ahead"]) == ("behind", 1)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (
            200,
            b'{"keys":{"email":"a@b.org"},"optout_email":"none"}',
            {"profile": True, "optout": True},
        ),
        (
            200,
            b'{"keys":{"email":"a@b.org"},"optout_email":"all"}',
            {"profile": True, "optout": False},
        ),
        (200, b'{"keys":{"extid":"u1"}}', {"profile": False, "optout": True}),
        (400, b'{"error":99,"errormsg":"User not found with extid: u1"}', {"profile": False}),
        (503, b"<html>", {"profile": None}),
    ],
)
def test_what_sailthru_says_of_a_profile(
    status: int, body: bytes, expected: dict[str, bool]
) -> None:
    """Known, with an email, opted out; or it cannot be told."""
    findings = find_profile(read_answer(status, body, {}))
    assert {one.what: one.ok for one in findings} == expected


async def test_why_no_mail_asks_once_and_names_what_is_in_the_way() -> None:
    """From the arrival to the orders."""
    asked: list[Call] = []

    async def ask(call: Call) -> Answer:
        asked.append(call)
        return Accepted(200, {"keys": {"email": "u1@example.org"}, "optout_email": "blast"})

    async with open_pipe() as pipe:
        await pipe.post(identify("u1"))
        await pipe.run(5)
        await pipe.post(order("u1", "o1") | {"properties": {"order_id": "o1", "products": []}})
        await pipe.run(5)
        findings = await why_no_mail(await person(pipe, "u1"), ask)
        assert [(one.what, one.ok) for one in findings] == [
            ("arrived", True),
            ("delivered", True),
            ("profile", True),
            ("optout", False),
            ("order", False),
        ]
        assert [(call.bucket, call.params["id"]) for call in asked] == [("GET /user", "u1")]
