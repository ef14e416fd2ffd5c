"""The page Try it over ASGI and a real Redis: what is sent from there, and what is not."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from pipeline.deadletters.audit import AuditTrail
from pipeline.storage import keys
from tests.support.console import browser
from tests.support.letters import Pipeline, track

LIVE = {"API_KEY": "k", "API_SECRET": "s"}
TOKEN = "0" * 32
TEA = {"product_id": "t", "name": "Tea", "price": 4.5, "quantity": 1, "url": "https://h.example/t"}


async def sent(redis: Redis) -> list[dict[str, str]]:
    found: Any = await redis.xrange(keys.RAW)
    return [{name.decode(): value.decode() for name, value in row.items()} for _, row in found]


def token_of(page: str) -> str:
    found = re.search(r'name="token" value="(\w+)"', page)
    assert found is not None
    return found[1]


async def test_what_is_tried_is_sent_to_the_sandbox_once_for_each_form(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline
) -> None:
    """It goes the whole way, and its page says how far it is."""
    event = {"type": "track", "event": "Signed Up", "userId": "u1"}
    page = (await http.post("/console/try", data={"event": json.dumps(event)})).text
    assert "Send to the sandbox" in page
    assert await sent(redis) == []
    form = {"event": json.dumps([event, event]), "token": token_of(page)}
    leads = {(await http.post("/console/try/send", data=form)).headers["location"] for _ in "ab"}
    path, _, query = leads.pop().partition("?")
    assert (leads, path) == (set(), f"/console/events/try-{form['token']}-0")
    assert "2+events+are+on+the+way" in query
    assert {row["via"] for row in await sent(redis)} == {"console"}
    await pipeline.split()
    shown = (await http.get(path)).text
    assert "Signed Up" in shown
    counts = await redis.hgetall(keys.counts("default"))
    assert (counts[b"waiting:event"], counts[b"duplicates"]) == (b"2", b"2")
    acts = await AuditTrail(redis, "default").latest(9)
    assert [(act.verb, act.what, act.count) for act in acts] == [("send", "Try it", 2)] * 2


async def test_what_would_reach_sailthru_is_asked_about_first(redis: Redis) -> None:
    """Without that page nothing is sent."""
    form = {"event": json.dumps(track(1)), "token": TOKEN}
    async with browser(redis, **LIVE) as http:
        page = (await http.post("/console/try", data=form)).text
        assert ("Send…" in page, "Send 1 to Sailthru" in page) == (True, False)
        asked = (await http.post("/console/try", data={**form, "ask": "1"})).text
        assert "Send 1 to Sailthru" in asked
        assert "can start e-mails" in asked
        assert (await http.post("/console/try/send", data=form)).status_code == 400
        assert await sent(redis) == []
        done = await http.post("/console/try/send", data={**form, "sure": "1"})
        assert done.headers["location"].startswith("/console/events/m1?")
    assert [json.loads(row["event"])["messageId"] for row in await sent(redis)] == ["m1"]


@pytest.mark.parametrize(
    "form",
    [
        {"event": json.dumps(track(1))},
        {"event": json.dumps(track(1)), "token": "x"},
        {"event": "", "token": TOKEN},
        {"event": "[]", "token": TOKEN},
        {"event": "{", "token": TOKEN},
        {"event": "7", "token": TOKEN},
        {"event": json.dumps({"type": "track", "userId": "u1"}), "token": TOKEN},
        {"event": json.dumps([track(1)] * 11), "token": TOKEN},
    ],
)
async def test_what_is_no_event_is_not_sent(
    http: httpx.AsyncClient, redis: Redis, form: dict[str, str]
) -> None:
    """And nothing of what stands beside it."""
    assert (await http.post("/console/try/send", data=form)).status_code == 400
    assert await sent(redis) == []


async def test_an_order_that_would_wait_for_an_email_is_not_said_to_be_lost(
    http: httpx.AsyncClient,
) -> None:
    """The preview says for how long; the JSON of `map` does, and keeps its error."""
    page = (await http.get("/console/try?example=order-without-email")).text
    assert "It would wait up to 3 days for an e-mail address" in page
    assert "Would not be delivered" not in page
    event = {
        **track(1),
        "event": "Order Completed",
        "properties": {"order_id": "1", "products": [TEA]},
    }
    (line,) = (await http.post("/api/map", json=event)).json()["results"]
    assert line["error"]["reason"] == "missing_email"
    assert line["waits"] == {"for": "email", "at_most_s": 259_200}
    (other,) = (await http.post("/api/map", json=track(1))).json()["results"]
    assert other["waits"] is None


async def test_each_example_fills_the_box_and_can_be_mapped(redis: Redis) -> None:
    """By a link; a name that is not known is the first."""
    async with browser(redis, CUSTOMER_ID="c") as http:
        page = (await http.get("/console/try")).text
        for path in re.findall(r'href="(/console/try\?example=[^"]+)"', page):
            shown = (await http.get(path)).text
            assert f'href="{path}" aria-current="true"' in shown
            assert ("POST /" in shown, "Would not be" in shown) == ("email" not in path, False), (
                path
            )
        assert "Order Completed" in (await http.get("/console/try?example=x")).text
