"""Sending again in the console: how fast, how old, why, what was overtaken, and how far it is."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from pipeline.console.pace import FASTEST, done_at, most_a_second
from pipeline.deadletters.audit import AuditTrail
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.jobs import Jobs
from pipeline.deadletters.store import DeadLetters
from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.storage import keys
from tests.support.letters import Pipeline, order, track


@pytest.mark.parametrize(
    ("lanes", "most"),
    [
        ({"event": 500}, 40),
        ({"event": 500, "purchase": 1}, 40),
        ({"event": 400, "purchase": 100}, 12),
        ({"page": 3}, 1),
        ({"": 86}, 43),
        ({}, FASTEST),
    ],
)
def test_the_slider_ends_at_what_the_limits_let_together(lanes: dict[str, int], most: int) -> None:
    """The slowest kind decides. What was refused before it had a lane may come into any."""
    limits = {"event": 40.0, "purchase": 2.5, "page": 0.5, "user": 0.9}
    assert most_a_second(lanes, limits) == most
    assert most_a_second({"event": 1}, {"event": 9e9}) == FASTEST
    assert done_at(120, 40, 1_000.0) == 1_003.0


async def test_a_re_send_says_when_it_would_be_done_and_takes_a_rate(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline
) -> None:
    """The right end of the slider, and a form without it, are as fast as the limits let."""
    for number in range(5):
        await pipeline.kill(track(number))
    page = (await http.get("/console/resend?reason=rejected")).text
    slider = re.search(r'<input type="range" name="rate" min="1" max="(\d+)" value="(\d+)"', page)
    assert slider is not None
    limit = (await http.get("/api/status")).json()["accounts"]["default"]["lanes"]["event"]["limit"]
    assert slider[1] == slider[2] == str(int(limit))
    assert "<strong>As fast as the limits let</strong>: done at about <span><time" in page
    assert 'data-pace="5"' in page
    form = {"reason": "rejected", "count": "5", "top": slider[1]}
    for number, (said, rate) in enumerate(
        [({"rate": slider[1]}, None), ({"rate": "3"}, 3.0), ({}, None), ({"rate": " "}, None)]
    ):
        token = {"token": f"token-0{number}"}
        assert (await http.post("/console/resend", data=form | said | token)).status_code == 303
        assert (await Jobs(redis, "default").get(token["token"])).rate == rate
    for wrong in ("0.01", "99999", "x"):
        reply = await http.post("/console/resend", data={**form, "rate": wrong, "token": "t" * 9})
        assert reply.status_code == 400


async def test_a_confirmation_says_how_old_the_oldest_letter_is(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline
) -> None:
    """When its event came, not when it died."""
    await pipeline.kill(track(1), track(2))
    await change(redis, "m1", first_seen_ms=1_000_000_000_000)
    page = (await http.get("/console/resend?reason=rejected")).text
    assert re.search(
        r"The oldest came <time datetime=.2001-09-09[^<]*</time>, 1 of them", plain(page)
    )
    assert "It came <time" in (await http.get("/console/resend?id=m2")).text


async def test_what_is_picked_is_sent_again_with_a_reason(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline
) -> None:
    """As what a filter means is."""
    await pipeline.kill(track(1))
    assert 'name="why"' in (await http.get("/console/resend?id=m1")).text
    await http.post(
        "/console/resend", data={"id": "m1", "count": "1", "why": "the template is there"}
    )
    (act,) = await AuditTrail(redis, "default").latest(9)
    assert (act.verb, act.what, act.why) == ("replay", "m1", "the template is there")


async def test_an_edit_shows_what_changes_in_the_calls_by_lines(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """Beside the calls themselves."""
    await pipeline.kill(track(1))
    form = {"id": "m1", "event": json.dumps({**track(1), "event": "Came In"})}
    page = (await http.post("/console/edit", data=form)).text
    assert "calls.0.params.event: &#34;Came In&#34;" in page
    assert "What changes in what will be sent" in page


async def test_an_edited_letter_that_was_overtaken_stays_unless_the_box_is_ticked(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline
) -> None:
    """An old profile must not undo a newer one because a person mended it."""
    await pipeline.kill(track(1), track(2))
    assert "already sent" not in (await http.get("/console/edit?id=m1")).text
    await change(redis, "m1", follows="identify")
    newest: dict[Any, Any] = {"newest:identify": "9999999999999"}
    await redis.hset(keys.user("default", "u1"), mapping=newest)
    page = (await http.get("/console/edit?id=m1")).text
    assert "Something newer of this person was already sent" in page
    form = {"id": "m1", "event": json.dumps({**track(1), "event": "Came In"}), "why": "by phone"}
    reply = await http.post("/console/save", data={**form, "send": "1"})
    assert reply.headers["location"].startswith("/console/dead/m1?notice=Saved%2C+but+not+sent")
    assert b"Came In" in (await DeadLetters(redis, "default").get("m1")).raw
    assert "checked" in (await http.post("/console/edit", data={**form, "overtaken": "on"})).text
    await http.post("/console/save", data={**form, "send": "1", "overtaken": "on"})
    await pipeline.split()
    assert await DeadLetters(redis, "default").count(Filter()) == 1
    acts = await AuditTrail(redis, "default").latest(9)
    assert [(act.verb, act.why) for act in acts] == [
        ("edit and replay", "by phone"),
        ("edit", "by phone"),
    ]


async def test_a_re_send_says_its_pace_and_leads_to_what_died_since(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline
) -> None:
    """Of what died again one wants to see why."""
    for number in range(3):
        await pipeline.kill(track(number))
    form = {"reason": "rejected", "count": "3", "token": "token-01", "rate": "50", "top": "60"}
    await http.post("/console/resend", data=form)
    page = (await http.get("/console/resends/token-01")).text
    assert "At most 50 a second." in page
    assert "since it began" not in page
    told: dict[Any, Any] = {"others": "1", "sent": "1", "began_at": "1"}
    await redis.hset(keys.job("default", "token-01"), mapping=told)
    page = (await http.get("/console/resends/token-01")).text
    link = re.search(
        r'href="(/console/dead\?since=[^"&]+T[^"&]+)">What was not delivered since it began', page
    )
    assert link is not None
    assert (await http.get(link[1])).status_code == 200
    assert "So far less than 0.1 a second. At most 50 a second." in page
    of_group: dict[Any, Any] = {"what": f"group {'a1' * 6}", "again": "1", "others": "0"}
    await redis.hset(keys.job("default", "token-01"), mapping=of_group)
    page = (await http.get("/console/resends/token-01")).text
    assert re.search(
        rf'since=[^"&]+T[^"&]+&amp;group={"a1" * 6}">What died again of the same<', page
    )
    assert "since it began" not in page


async def test_lists_name_the_lane_as_the_console_does(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """Beside other filters, too; text that a person looks for stays as it is."""
    await pipeline.kill(order(1), lane=Lane.PURCHASE, reason=Reason.MISSING_EMAIL)
    page = (await http.get("/console/dead?lane=purchase&reason=missing_email")).text
    assert "Filter: <bdi>reason missing_email, Orders &amp; carts</bdi>" in page
    for verb in ("resend", "fix", "discard"):
        assert (
            "<bdi>Orders &amp; carts</bdi>"
            in (await http.get(f"/console/{verb}?lane=purchase")).text
        )
    (group,) = (await http.get("/api/dead/stats")).json()["groups"]
    page = (await http.get(f"/console/resend?group={group['fingerprint']}")).text
    assert f"<bdi>problem {group['fingerprint']}</bdi>" in page
    page = (await http.get("/console/dead?lane=purchase&match=x, lane event")).text
    assert "Filter: <bdi>Orders &amp; carts, match x, lane event</bdi>" in page


async def change(redis: Redis, identity: str, **fields: Any) -> None:
    """Write into a letter's header."""
    blob: Any = await redis.hget(keys.dead("default"), identity)
    header, _, raw = blob.partition(b"\n")
    line = json.dumps(json.loads(header) | fields).encode()
    await redis.hset(keys.dead("default"), identity, line + b"\n" + raw)


def plain(page: str) -> str:
    return re.sub(r"\s+", " ", page)
