"""The page that fixes many letters, over ASGI and a real Redis."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from pipeline.deadletters.audit import AuditTrail
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.store import DeadLetters
from pipeline.verbs import fixing
from tests.support.console import browser
from tests.support.letters import Pipeline, track

RULE = {"kind0": "cast", "path0": "properties.total", "value0": "number"}


def priced(number: int, **properties: Any) -> dict[str, Any]:
    return {**track(number), "properties": {"total": "9.50", **properties}}


async def total(redis: Redis, identity: str) -> Any:
    letter = await DeadLetters(redis, "default").get(identity)
    return json.loads(letter.raw)["properties"]["total"]


async def test_a_fix_is_shown_written_and_leads_to_sending_again(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline
) -> None:
    """With the form that the preview holds; the audit trail names the field and why."""
    await pipeline.kill(priced(1), priced(2), priced(3, total="much"))
    shown = html.unescape(
        (await http.post("/console/fix", data={"reason": "rejected", **RULE})).text
    )
    assert 'properties.total: "9.50"' in shown
    assert "properties.total cannot be read as number" in shown
    assert await total(redis, "m1") == "9.50"
    form = dict(
        re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', shown.partition("/fix/apply")[2])
    )
    assert form["count"] == "3"
    done = await http.post("/console/fix/apply", data={**form, "why": "text for a number"})
    assert done.status_code == 303
    assert done.headers["location"].startswith("/console/resend?reason=rejected&notice=2+changed")
    page = (await http.get(done.headers["location"])).text
    assert "1 could not be changed" in page
    assert "Send 3 again" in page
    assert [await total(redis, f"m{n}") for n in (1, 2, 3)] == [9.5, 9.5, "much"]
    (act,) = await AuditTrail(redis, "default").latest(9)
    assert (act.verb, act.what, act.count, act.why) == (
        "fix",
        "reason rejected: cast properties.total to number",
        2,
        "text for a number",
    )
    again = await http.post("/console/fix/apply", data=form)
    assert "0+changed%2C+2+were+so+already" in again.headers["location"]


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"count": "9", **RULE}, 400),
        ({"reason": "rejected", **RULE}, 400),
        ({"reason": "rejected", "count": "1", **RULE}, 400),
        ({"reason": "rejected", "count": "9"}, 400),
        ({"reason": "rejected", "count": "9", **RULE, "kind0": "burn"}, 400),
        ({"reason": "rejected", "count": "9", **RULE, "value0": "colour"}, 400),
        ({"reason": "rejected", "count": "9", **RULE, "path0": "sailpipe.letter"}, 400),
        ({"reason": "rejected", "count": "9", **RULE, "account": "x"}, 404),
    ],
)
async def test_a_fix_that_does_not_say_what_it_means_changes_nothing(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline, form: dict[str, str], status: int
) -> None:
    """No filter, no count or an old one, no change or one that cannot be read."""
    await pipeline.kill(priced(1), priced(2))
    assert (await http.post("/console/fix/apply", data=form)).status_code == status
    assert await total(redis, "m1") == "9.50"
    for path in ("/console/fix", "/console/fix?reason=nonsense"):
        assert (await http.get(path)).status_code == 400


async def test_more_letters_than_a_request_may_fix_are_refused_and_said_to_be(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line has no bound."""
    monkeypatch.setattr(fixing, "MAX_FIXED", 1)
    await pipeline.kill(priced(1), priced(2))
    form = {"reason": "rejected", "count": "2", **RULE}
    reply = await http.post("/console/fix/apply", data=form)
    assert (reply.status_code, "sailpipe dead fix" in reply.text) == (400, True)
    assert await total(redis, "m1") == "9.50"


async def test_letters_are_downloaded_as_lines(http: httpx.AsyncClient, pipeline: Pipeline) -> None:
    """Those of the filter in the address."""
    await pipeline.kill(priced(1), priced(2))
    reply = await http.get("/console/export?user=u1")
    assert "attachment" in reply.headers["content-disposition"]
    (line,) = reply.text.splitlines()
    assert json.loads(line)["messageId"] == "m1"


async def test_what_redact_names_is_masked_in_a_fix_and_not_downloaded_by_who_may_only_read(
    redis: Redis, pipeline: Pipeline
) -> None:
    """The download holds what is sent."""
    await pipeline.kill(priced(1, phone="+49 30"))
    words = {"CONSOLE_PASSWORD": "correct horse", "CONSOLE_READ_PASSWORD": "battery staple"}
    async with browser(redis, REDACT="phone", **words) as http:
        await http.post("/console/login", data={"password": "battery staple"})
        form = {"reason": "rejected", "kind0": "set", "path0": "properties.phone", "value0": "x"}
        page = (await http.post("/console/fix", data=form)).text
        assert ("What changes" in page, "+49" in page) == (True, False)
        reply = await http.get("/console/export?reason=rejected")
        assert (reply.status_code, "+49" in reply.text) == (403, False)
    assert await DeadLetters(redis, "default").count(Filter()) == 1
