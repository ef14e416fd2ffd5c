"""One letter in the console: then and today, what Sailthru said, each try; and letters in lists."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from datetime import datetime

import httpx
import pytest
from redis.asyncio import Redis

from pipeline.console.tries import against_then, answer, timeline
from pipeline.console.views import at_tag, order_number
from pipeline.deadletters.letter import Header, Letter
from pipeline.deadletters.reading import LetterReader
from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.guard.masking import Masking
from pipeline.mailbox.history import Attempt
from pipeline.settings import load_settings
from pipeline.storage import keys
from pipeline.trace.log import TraceLog
from pipeline.trace.names import message_name
from pipeline.trace.records import Fate, Record
from tests.support.console import browser
from tests.support.letters import Pipeline, bury, order, track

LETTER = Letter(
    "m1",
    "default",
    Header(account="default", reason="rejected", first_seen_ms=1, died_at=9_000),
    b"{}",
)
PLAIN = Masking(load_settings({}))
REDACTED = Masking(load_settings({"SAILPIPE_REDACT": "email"}))
FAILED = Attempt(n=1, at=2.0, duration_s=0.041, status=503, error="try later", wait_s=20.0)


def with_header(**fields: object) -> Letter:
    return replace(LETTER, header=replace(LETTER.header, **fields))  # type: ignore[arg-type]


def test_what_was_sent_then_is_compared_with_the_same_calls_of_today() -> None:
    """A letter keeps the call that was refused; today's others say nothing about it."""
    then = [{"method": "POST", "endpoint": "/event", "params": {"id": "u1", "vars": {"a": 1}}}]
    other = {"method": "GET", "endpoint": "/user", "params": {}}
    assert against_then(then, [other, *then], PLAIN) == []
    today = [{**then[0], "params": {"id": "u1", "vars": {"a": 2, "b": [3]}}}]
    assert against_then(then, today, PLAIN) == [
        ("-", "POST /event.vars.a: 1"),
        ("+", "POST /event.vars.a: 2"),
        ("+", "POST /event.vars.b: [3]"),
    ]
    assert against_then([], today, PLAIN) == []
    assert [sign for sign, _ in against_then(then, [], PLAIN)] == ["-"]
    twice = [then[0], {**then[0], "params": {}}]
    assert against_then(twice, twice, PLAIN) == []


def test_a_call_whose_masked_field_alone_differs_is_not_the_same_as_then() -> None:
    """The mended address would read as if nothing changed."""
    call = {"method": "POST", "endpoint": "/purchase"}
    then, today = ({**call, "params": {"email": one}} for one in ("bad@", "ann@example.com"))
    assert against_then([then], [today], REDACTED) == [("+", "(fields that REDACT names)")]
    assert against_then([then], [then], REDACTED) == []


@pytest.mark.parametrize(
    ("letter", "said"),
    [
        (LETTER, {"status": None, "code": None, "text": "", "none": "Nothing was sent."}),
        (
            with_header(endpoint="POST /event", status=400, error=99, detail="no such template"),
            {"status": 400, "code": 99, "text": "no such template", "none": ""},
        ),
        (
            with_header(endpoint="POST /event", detail="given up", timeline=[FAILED]),
            {"status": 503, "code": None, "text": "try later", "none": ""},
        ),
        (
            with_header(detail="no email in the event", timeline=[FAILED]),
            {
                "status": None,
                "code": None,
                "text": "",
                "none": "It was not asked at the end. The try before: HTTP 503, try later",
            },
        ),
        (
            with_header(
                endpoint="POST /event", timeline=[replace(FAILED, status=None, error="a timeout")]
            ),
            {"status": None, "code": None, "text": "", "none": "No answer was read: a timeout"},
        ),
    ],
)
def test_what_sailthru_said_is_its_status_its_code_and_its_words(
    letter: Letter, said: dict[str, object]
) -> None:
    assert answer(letter) == said


def test_tries_and_waits_stand_in_the_order_in_which_they_were() -> None:
    """Of the log only the waits, up to the death: what came later is of the letter that was sent again."""
    records = [
        Record("m1", Fate.WAITS, at=1_000, reason="email"),
        Record("m1", Fate.DEAD, at=9_000),
        Record("m1", Fate.WAITS, at=10_000, reason="retry"),
    ]
    wait, tried = timeline(with_header(timeline=[FAILED]), records, 10.0)
    assert wait["waits"] == "an email of its person"
    assert (tried["n"], tried["status"], tried["ms"], tried["text"]) == (1, 503, 41, "try later")
    assert tried["again"] == "20 s"


async def test_a_letter_shows_then_against_today_and_what_sailthru_said(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline
) -> None:
    """Line by line, with + and -; the same in a sentence."""
    await pipeline.kill(track(1))
    page = (await http.get("/console/dead/m1")).text
    assert "POST /event.event: &#34;Signed Up&#34;" in page
    assert "What was sent then" in page
    said = page.partition('id="said"')[2]
    assert ("HTTP 400, Sailthru's error 99" in said, "no such thing 17" in said) == (True, True)
    (call,) = (await http.post("/api/map", json=track(1))).json()["results"][0]["calls"]
    await write(redis, "m1", calls=[call], packed_calls=None)
    assert "The same as then." in (await http.get("/console/dead/m1")).text
    await write(redis, "m1", calls=None, status=None, error=None)
    page = (await http.get("/console/dead/m1")).text
    assert ("Nothing was sent." in page, "Against what was sent then" in page) == (True, False)


async def test_a_letter_shows_its_tries_and_what_it_waited_for(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline
) -> None:
    """Each try opens; the waits are those of the log of outcomes."""
    await pipeline.kill(track(1))
    past = json.dumps([asdict(FAILED)])
    await write(redis, "m1", past=past)
    waits = Record(
        "m1", Fate.WAITS, lane="event", user="u1", seq="1-0", at=1_000, reason="identify"
    )
    names = [message_name("m1")]
    await TraceLog(redis, "default").write([waits._replace(names=names)], 1 << 20)
    page = plain((await http.get("/console/dead/m1")).text)
    assert "waited for <bdi>an earlier identify of its person</bdi>" in page
    assert "try 1, HTTP 503</summary>" in page
    assert (
        'After 41 ms: <span class="code"><bdi>try later</bdi></span>. Tried again after 20 s.'
        in page
    )


async def test_the_problem_s_sample_shows_what_was_sent_and_what_was_said(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """As the letter's own page does; and the buttons say how many letters they are about."""
    await pipeline.kill(track(1), track(2))
    (group,) = (await http.get("/api/dead/stats")).json()["groups"]
    page = (await http.get(f"/console/problems/{group['fingerprint']}")).text
    for text in ("Byte for byte", "POST /event", "What Sailthru said", "Sailthru's error 99"):
        assert text in page
    for text in ("Send all 2 again…", "Fix all 2…", "Discard all 2…"):
        assert text in page


async def test_an_order_is_listed_with_its_number_unless_that_is_masked(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline
) -> None:
    """People know an order by nothing else."""
    await pipeline.kill(order(1), lane=Lane.PURCHASE, reason=Reason.MISSING_EMAIL)
    (group,) = (await http.get("/api/dead/stats")).json()["groups"]
    paths = ("dead", "resend?id=m1", f"problems/{group['fingerprint']}", "dead/m1")
    for path in paths:
        text = (await http.get(f"/console/{path}")).text
        assert "<bdi>o1</bdi>" in text or "Order o1" in text
    async with browser(redis, REDACT="order_id") as masked:
        for path in paths:
            text = (await masked.get(f"/console/{path}")).text
            assert ("<bdi>o1" in text, "Order o1" in text, "Order •" in text) == (False,) * 3


async def test_a_list_says_how_many_at_least_and_leads_back(
    http: httpx.AsyncClient, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no index knows, some letters are counted; each page knows those before it."""
    line = Header(account="default", reason="rejected", event="Paid", first_seen_ms=1, died_at=1)
    letters = [(f"m{n:04}", replace(line, died_at=n + 1)) for n in range(1_200)]
    await bury(redis, "default", letters)
    page = (await http.get("/console/dead?event=paid")).text
    assert "</span> 1,200 letters, newest first" not in page
    assert "1,200 letters, newest first" in page
    monkeypatch.setattr(LetterReader.count_within, "__defaults__", (500,))
    page = (await http.get("/console/dead?event=paid")).text
    assert '≥</span> <span class="hidden">at least</span> 500 letters, newest first' in page
    assert "Send all again…" in page
    first, seen = re.findall("m[0-9]{4}", page)[0], []
    for _ in range(2):
        page = (await http.get(link(page, "next"))).text
        seen.append(re.findall("m[0-9]{4}", page)[0])
    assert len({first, *seen}) == 3
    page = (await http.get(link(page, "prev"))).text
    assert re.findall("m[0-9]{4}", page)[0] == seen[0]
    page = (await http.get(link(page, "prev"))).text
    assert re.findall("m[0-9]{4}", page)[0] == first
    assert 'rel="prev"' not in page
    for wrong in ("{}", "[1]", "x"):
        reply = await http.get("/console/dead", params={"cursor": "1.m", "back": wrong})
        assert reply.status_code == 400


async def test_reasons_are_chosen_by_their_words(http: httpx.AsyncClient) -> None:
    """The code stands behind them."""
    page = (await http.get("/console/dead?reason=missing_email")).text
    assert (
        '<option value="missing_email" selected>It has no e-mail address · missing_email<' in page
    )


def plain(page: str) -> str:
    return re.sub(r"\s+", " ", page)


def link(page: str, rel: str) -> str:
    found = re.search(rf'href="([^"]*)" rel="{rel}"', page)
    assert found is not None
    return found[1].replace("&amp;", "&")


async def write(redis: Redis, identity: str, **fields: object) -> None:
    """Write into a letter's header; None takes a field out."""
    blob = await redis.hget(keys.dead("default"), identity)
    assert isinstance(blob, bytes)
    header, _, raw = blob.partition(b"\n")
    found = json.loads(header) | fields
    line = json.dumps({name: value for name, value in found.items() if value is not None}).encode()
    await redis.hset(keys.dead("default"), identity, line + b"\n" + raw)


@pytest.mark.parametrize(
    ("properties", "number"),
    [
        ({"checkout_id": "1234", "order_id": "A-77"}, "A-77"),
        ({"checkoutId": "1234"}, "1234"),
        ({"total": 3}, ""),
    ],
)
def test_an_order_is_called_by_its_own_number(properties: dict[str, object], number: str) -> None:
    """Segment's events have the number of the check-out, too."""
    raw = json.dumps({"event": "Order Completed", "properties": properties}).encode()
    letter = replace(with_header(lane=Lane.PURCHASE), raw=raw)
    assert order_number(letter, PLAIN) == number
    masked = Masking(load_settings({"SAILPIPE_REDACT": "order_id"}))
    assert order_number(letter, masked) == ("" if "order_id" in properties else number)


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        ("2026-11-27T23:40:00Z", "23:40 UTC"),
        ("2026-11-26T23:40:00Z", "26 Nov 23:40 UTC"),
        ("2026-11-28T00:10:00Z", "28 Nov 00:10 UTC"),
    ],
)
def test_a_time_of_another_day_has_its_day(at: str, shown: str) -> None:
    """However near it is; the browser writes it anew in its zone, day and all."""
    now = datetime.fromisoformat("2026-11-27T23:59:00Z").timestamp()
    tag = str(at_tag(at, now))
    assert (f">{shown}<" in tag, 'data-clock="moment"' in tag) == (True, True)
