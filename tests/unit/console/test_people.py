"""The pages of people and events over ASGI and a real Redis: what one box finds, and why somebody got no mail."""

from __future__ import annotations

import re
from urllib.parse import quote

import httpx
from redis.asyncio import Redis

from pipeline.console.views import with_times
from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.sailthru.answers import Accepted
from pipeline.verbs.people import NotAsked
from tests.support.console import Asked, browser
from tests.support.letters import Pipeline, order, track

OPTED_OUT = Accepted(200, {"keys": {"email": "ann@example.com"}, "optout_email": "all"})


async def test_one_box_leads_to_whatever_a_text_names(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """A person by any id, an event by its messageId, an order by its number; what waits and what died alike."""
    await pipeline.kill(order(1), lane=Lane.PURCHASE, reason=Reason.MISSING_EMAIL)
    await pipeline.send(order(2, "ann@example.com"), track(3, "a/b?c"))
    await pipeline.split()
    for text, leads in (
        ("u1", "/console/people/u1"),
        ("m1", "/console/events/m1"),
        ("o1", "/console/events/m1"),
        ("o2", "/console/events/m2"),
        ("m2", "/console/events/m2"),
        ("ANN@example.com", "/console/people/ann%40example.com"),
        ("a/b?c", "/console/people/a%2Fb%3Fc"),
    ):
        reply = await http.get("/console/people", params={"q": text})
        assert (reply.status_code, reply.headers.get("location")) == (303, leads), text
        assert (await http.get(leads)).status_code == 200, leads


async def test_a_text_that_names_two_things_shows_both(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """A shop may count customers and orders alike."""
    await pipeline.kill(track(2) | {"messageId": "777"})
    await pipeline.send(track(1, "777"))
    await pipeline.split()
    page = (await http.get("/console/people?q=777")).text
    assert 'href="/console/people/777"' in page
    assert 'href="/console/events/777"' in page


async def test_of_what_is_not_known_each_page_says_so(http: httpx.AsyncClient) -> None:
    """And a text that no id is as long as is refused."""
    page = await http.get("/console/people?q=nobody")
    assert (page.status_code, "Nothing is known of" in page.text) == (200, True)
    for path in ("/console/people/nobody", "/console/events/nothing"):
        reply = await http.get(path)
        assert (reply.status_code, "Nothing is known" in reply.text) == (404, True)
    assert (await http.get("/console/people", params={"q": "x" * 600})).status_code == 400


async def test_a_person_shows_what_waits_and_what_died(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """And leads to both."""
    await pipeline.kill(track(1, "u1"))
    await pipeline.send(order(2, "u1"))
    await pipeline.split()
    page = (await http.get("/console/people/u1")).text
    assert "1 of this person&#39;s events is not delivered and 1 waits." in page
    assert 'href="/console/dead/m1"' in page
    assert 'href="/console/events/m2"' in page
    assert "Orders &amp; carts: 1" in page
    event = (await http.get("/console/events/m2")).text
    assert "waits for its turn" in event
    assert "arrived by Redis" in event
    assert 'href="/console/people/u1"' in event


async def test_why_a_person_gets_no_mail_takes_one_call_on_a_button(
    redis: Redis, pipeline: Pipeline
) -> None:
    """Looking at the page asks nothing; who only reads may press the button too."""
    await pipeline.kill(order(1), lane=Lane.PURCHASE, reason=Reason.MISSING_EMAIL)
    upstream = Asked(OPTED_OUT)
    words = {"CONSOLE_PASSWORD": "correct horse", "CONSOLE_READ_PASSWORD": "battery staple"}
    async with browser(redis, upstream, **words) as http:
        await http.post("/console/login", data={"password": "battery staple"})
        await http.get("/console/people/u1")
        assert upstream.calls == []
        page = (await http.post("/console/why", data={"user": "u1"})).text
        assert (await http.post("/console/why", data={})).status_code == 400
    assert [(name, call.bucket, call.params["id"]) for name, call in upstream.calls] == [
        ("default", "GET /user", "u1")
    ]
    assert "opted out of all mails" in page
    assert "was not delivered: missing_email" in page


async def test_where_sailthru_cannot_be_asked_the_page_says_when_to_try_again(
    redis: Redis,
) -> None:
    """The rest of the page stays."""
    async with browser(redis, Asked(NotAsked("Calls are stopped (paused)", 60))) as http:
        reply = await http.post("/console/why", data={"user": "u1"})
    assert "Calls are stopped (paused). Try again in 60 s." in reply.text
    assert "What we know" in reply.text


async def test_what_ids_and_events_hold_is_text(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """In the search, on the person's page and on the event's. What a form hands back is the id itself, and is not shown."""
    hostile = "<img src=x onerror=alert(1)>\u202e"
    await pipeline.kill({**track(1), "event": hostile, "userId": hostile, "messageId": hostile})
    name = quote(hostile, safe="")
    for path in (f"people?q={name}", f"people/{name}", f"events/{name}"):
        reply = await http.get(f"/console/{path}")
        shown = re.sub(r'<input type="hidden"[^>]*>', "", reply.text)
        assert reply.status_code == 200
        assert "<img" not in shown
        assert "\u202e" not in shown, path


async def test_fields_of_redact_are_masked_on_a_persons_page(
    redis: Redis, pipeline: Pipeline
) -> None:
    """The email that was learned among them."""
    await pipeline.send(
        {"type": "identify", "userId": "u1", "messageId": "m1", "traits": {"email": "ann@x.org"}}
    )
    await pipeline.split()
    async with browser(redis) as http:
        assert "ann@x.org" in (await http.get("/console/people/u1")).text
    async with browser(redis, REDACT="email") as http:
        page = (await http.get("/console/people/u1")).text
    assert ("ann@x.org" in page, "•••" in page) == (False, True)


def test_a_time_in_a_sentence_is_one_for_the_browser_and_the_rest_is_text() -> None:
    """As `sailpipe user --why` writes it."""
    shown = with_times("<b>Signed Up</b> by POST /event at 2026-11-27 14:20:05 UTC, 7 UTC")
    assert shown == (
        "<bdi>&lt;b&gt;Signed Up&lt;/b&gt; by POST /event at "
        '<time datetime="2026-11-27T14:20:05Z" data-clock="day">2026-11-27 14:20:05 UTC</time>, 7 UTC</bdi>'
    )


async def test_what_is_not_sorted_yet_waits_for_its_turn(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """Where it lies is no news to a colleague."""
    await pipeline.send(track(1))
    page = (await http.get("/console/events/m1")).text
    assert "its turn to be sorted" in page
    assert "raw stream" not in page


async def test_the_page_of_an_event_that_was_just_sent_asks_until_it_has_its_end(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """Who only looks at an event that waits for days asks Redis once."""
    just_sent = {"notice": "1 event is on the way"}
    polls = {}
    await pipeline.kill(track(2))
    await pipeline.send(track(1))
    for name, asked in (("m1", just_sent), ("m1", {}), ("m2", just_sent), ("m3", just_sent)):
        page = (await http.get(f"/console/events/{name}", params=asked)).text
        polls[name, bool(asked)] = 'hx-trigger="every 2s"' in page
    assert polls == {
        ("m1", True): True,
        ("m1", False): False,
        ("m2", True): False,
        ("m3", True): True,
    }


async def test_why_is_answered_for_a_person_of_whom_nothing_is_known_here(redis: Redis) -> None:
    """Sailthru was asked, and the call was counted: what it said is shown, though the page would be a 404."""
    upstream = Asked(OPTED_OUT)
    async with browser(redis, upstream) as http:
        assert (await http.get("/console/people/ghost")).status_code == 404
        reply = await http.post("/console/why", data={"user": "ghost"})
    assert (reply.status_code, len(upstream.calls)) == (200, 1)
    assert "opted out of all mails" in reply.text
