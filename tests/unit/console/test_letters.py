"""Letters in the console: those that are picked, many at once, and addresses to keep."""

from __future__ import annotations

import html
import json
import re

import httpx
from redis.asyncio import Redis

from pipeline.deadletters.audit import AuditTrail
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.letter import Header
from pipeline.deadletters.store import DeadLetters
from tests.support.letters import Pipeline, bury, track


async def test_letters_that_are_picked_are_sent_again_and_discarded(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline
) -> None:
    """Some of a page, by their ids; what an id holds is text in the form, too."""
    odd = """m"'<&> 5"""
    await pipeline.kill(track(1), track(2), track(3), {**track(4), "messageId": odd})
    page = (await http.get("/console/dead")).text
    assert page.count('form="picked"') == 4
    page = (await http.get("/console/resend", params={"id": ["m1", odd]})).text
    assert "2 <span>letters of 2 people" in page
    hidden = re.search(r'name="ids" value="([^"]*)"', page)
    assert hidden is not None
    form = {"ids": html.unescape(hidden[1]), "count": "2"}
    sent = await http.post("/console/resend", data=form)
    assert sent.headers["location"] == "/console/dead?notice=2+sent+again."
    gone = {"ids": '["m2", "m3"]', "count": "2", "why": "a test"}
    assert (await http.post("/console/discard", data=gone)).status_code == 303
    assert await DeadLetters(redis, "default").count(Filter()) == 0
    acts = await AuditTrail(redis, "default").latest(9)
    assert [(act.verb, act.what, act.why) for act in acts] == [
        ("drop", "2 by id", "a test"),
        ("replay", "2 by id", ""),
    ]
    for wrong in ("[]", "{}", "[7]", '[""]', "x", json.dumps([str(n) for n in range(101)])):
        assert (await http.post("/console/discard", data={"ids": wrong})).status_code == 400


async def test_of_many_letters_the_number_is_typed(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline
) -> None:
    """A button that is pressed in passing sends or deletes no thousands."""
    line = Header(account="default", reason="rejected", first_seen_ms=1, died_at=1)
    await bury(redis, "default", [(f"m{n}", line) for n in range(1_001)])
    assert "Type the number" in (await http.get("/console/discard?reason=rejected")).text
    form = {"reason": "rejected", "count": "1001"}
    for typed in ({}, {"typed": "1000"}):
        reply = await http.post("/console/discard", data=form | typed)
        assert (reply.status_code, "type the number" in reply.text) == (400, True)
    assert (await http.post("/console/discard", data={**form, "typed": "1,001"})).status_code == 303
    assert await DeadLetters(redis, "default").count(Filter()) == 0


async def test_a_page_that_stays_says_its_address_and_a_letter_is_downloaded(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """Whole, to be copied: of a letter, its event, its person and its problem."""
    await pipeline.kill(track(1))
    (group,) = (await http.get("/api/dead/stats")).json()["groups"]
    for path in ("dead/m1", "events/m1", "people/u1", f"problems/{group['fingerprint']}"):
        page = (await http.get(f"/console/{path}?notice=done")).text
        assert f'id="link">http://localhost:8000/console/{path}</span>' in page
    (line,) = (await http.get("/console/export?id=m1")).text.splitlines()
    assert json.loads(line)["messageId"].startswith("m1")
    assert (await http.get("/console/export?id=m2")).status_code == 404
