"""A person is erased from the console and over HTTP, on a real Redis."""

from __future__ import annotations

import re

import httpx
import pytest
from redis.asyncio import Redis

from pipeline.deadletters.audit import AuditTrail
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.store import DeadLetters
from pipeline.guard.masking import MASK
from pipeline.sailthru.answers import Accepted
from pipeline.storage import keys
from tests.support.console import Asked, browser
from tests.support.letters import Pipeline, order, track

USER = "user-ann-4711"


def digest_in(page: str) -> str:
    """What stands for the ids that a page has shown."""
    found = re.search(r'name="digest" value="(\w+)"', page)
    assert found is not None
    return found[1]


@pytest.fixture
async def known(pipeline: Pipeline) -> Pipeline:
    """Somebody with a letter and an order that waits, and somebody else."""
    await pipeline.kill(track(1, USER), track(2, "user-bob"))
    await pipeline.send(order(3, USER))
    await pipeline.split()
    return pipeline


async def test_a_person_is_forgotten_after_their_id_was_typed_and_the_receipt_stays(
    http: httpx.AsyncClient, redis: Redis, known: Pipeline
) -> None:
    """It names nobody; who else is there stays."""
    assert f'href="/console/forget?user={USER}"' in (await http.get(f"/console/people/{USER}")).text
    page = (await http.get("/console/forget", params={"user": USER})).text
    assert re.search(r"Letters</td><td[^>]*>1<", page)
    assert re.search(r"Mailboxes</td>|What waits", page)
    form = {"user": USER, "why": f"{USER} asked for it", "digest": digest_in(page)}
    for typed in ({}, {"typed": "user-bob"}):
        assert (await http.post("/console/forget", data=form | typed)).status_code == 400
    assert await DeadLetters(redis, "default").count(Filter()) == 2
    done = await http.post("/console/forget", data={**form, "typed": USER})
    assert done.status_code == 303
    receipt = (await http.get(done.headers["location"])).text
    assert "Nothing is left of this person" in receipt
    assert USER not in receipt
    assert re.search(r"Letters</td>.*?Removed\" class=\"n\">1<", receipt)
    assert await DeadLetters(redis, "default").count(Filter(user="user-bob")) == 1
    assert (await http.get(f"/console/people/{USER}")).status_code == 404
    act, begun = await AuditTrail(redis, "default").latest(9)
    assert (begun.verb, USER in begun.why, USER in begun.what) == ("forget begun", False, False)
    assert (act.verb, USER in act.why, USER in act.what) == ("forget", False, False)
    assert (await http.get("/console/receipts/nothing")).status_code == 404
    assert "forget" in (await http.get("/console/activity")).text


async def test_a_profile_is_deleted_at_sailthru_where_that_is_asked_for(
    redis: Redis, pipeline: Pipeline
) -> None:
    """By the address, in one call."""
    email = "ann@example.com"
    await pipeline.send({"type": "identify", "userId": USER, "traits": {"email": email}})
    await pipeline.split()
    upstream = Asked(Accepted(200, {"ok": True}))
    async with browser(redis, upstream) as http:
        page = (await http.get("/console/forget", params={"user": USER})).text
        form = {"user": USER, "typed": USER, "at_sailthru": "on", "digest": digest_in(page)}
        done = await http.post("/console/forget", data=form)
        assert "1 of 1 profiles" in (await http.get(done.headers["location"])).text
    assert [(call.bucket, call.params["id"]) for _, call in upstream.calls] == [
        ("DELETE /user", email)
    ]


async def test_a_person_is_forgotten_over_http(
    http: httpx.AsyncClient, redis: Redis, known: Pipeline
) -> None:
    """Not in passing: counted first, then meant."""
    path = f"/api/users/{USER}/forget"
    counted = (await http.post(path, json={"dry_run": True})).json()
    assert counted["spaces"]["dead letters"] == 1
    assert counted["ids"] == [USER]
    yes = {"yes": True, "digest": counted["digest"]}
    for wrong in (
        {},
        {"yes": True},
        yes | {"yes": "true"},
        yes | {"also": "x"},
        yes | {"all": True},
    ):
        assert (await http.post(path, json=wrong)).status_code == 400
    assert await DeadLetters(redis, "default").count(Filter()) == 2
    receipt = (await http.post(path, json={**yes, "why": "asked for"})).json()
    assert (receipt["left"], receipt["removed"] >= counted["found"]) == (0, True)
    assert (await http.post(path, json={"dry_run": True})).json()["found"] == 0
    assert await DeadLetters(redis, "default").count(Filter()) == 1


async def test_only_ids_that_were_shown_are_erased(
    http: httpx.AsyncClient, redis: Redis, known: Pipeline
) -> None:
    """A link that was made after the page, or the dry run, leads to nobody who was not agreed to."""
    path = f"/api/users/{USER}/forget"
    page = (await http.get("/console/forget", params={"user": USER})).text
    digest = (await http.post(path, json={"dry_run": True})).json()["digest"]
    assert digest == digest_in(page)
    await known.send({"type": "identify", "userId": USER, "traits": {"email": "new@example.com"}})
    await known.split()
    done = await http.post("/console/forget", data={"user": USER, "typed": USER, "digest": digest})
    assert (done.status_code, "Other ids lead to this person by now" in done.text) == (400, True)
    answer = await http.post(path, json={"yes": True, "digest": digest})
    assert (answer.status_code, answer.json()["code"]) == (409, "changed_meanwhile")
    assert await DeadLetters(redis, "default").count(Filter()) == 2


async def test_emails_are_masked_where_redact_says_so_before_a_person_is_forgotten(
    redis: Redis, pipeline: Pipeline
) -> None:
    """As on the person's page: those that go, and those that stay with others."""
    for user, email in ((USER, "ann@example.com"), ("user-bob", "bob@example.com")):
        await pipeline.send({"type": "identify", "userId": user, "traits": {"email": email}})
    await pipeline.split()
    await redis.hset(
        keys.user("default", USER), "refused", '{"bob@example.com": 1, "x@example.com": 1}'
    )
    await redis.hset(keys.user("default", "eve@example.com"), "email", "ann@example.com")
    query = {"user": USER}
    async with browser(redis, REDACT="email") as http:
        page = (await http.get("/console/forget", params=query)).text
        said = (await http.post(f"/api/users/{USER}/forget", json={"dry_run": True})).json()
    async with browser(redis) as http:
        open_page = (await http.get("/console/forget", params=query)).text
    emails = [f"{name}@example.com" for name in ("ann", "bob", "x", "eve")]
    assert [one in open_page for one in emails] == [True] * 4
    assert [one in page for one in emails] == [False] * 4
    assert (said["ids"], said["left_out"], said["unproven"]) == ([USER, MASK], [MASK], [MASK])
    assert MASK in page
    assert digest_in(page) == digest_in(open_page) == said["digest"]
