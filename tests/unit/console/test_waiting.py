"""The pages of what waits, over ASGI and a real Redis."""

from __future__ import annotations

import httpx

from pipeline.deadletters.audit import AuditTrail
from pipeline.events.models import Lane
from tests.support.letters import Pipeline, order


async def wait(pipeline: Pipeline, *numbers: int) -> None:
    """Orders that turn out to lack an email, of a user each."""
    for number in numbers:
        await pipeline.send(order(number))
        await pipeline.split()
        await pipeline.wait_for_email(f"u{number}")


async def test_what_waits_is_reached_from_the_overview_and_told_by_cause(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """Who waits, the next try, and when it is given up; what is not sorted yet is said, too."""
    await wait(pipeline, 1, 2)
    await pipeline.send(order(3))
    overview = (await http.get("/console")).text
    assert 'href="/console/waiting"' in overview
    assert 'href="/console/waiting?lane=purchase&amp;for=email"' in overview
    page = (await http.get("/console/waiting")).text
    assert "An email of its person" in page
    assert "2 events · 2 people" in page
    assert "1 event waits to be sorted" in page
    assert 'href="/console/people/u1"' not in page
    one = (await http.get("/console/waiting?lane=purchase&for=email")).text
    assert 'href="/console/people/u1"' in one
    assert 'href="/console/waiting/drop?lane=purchase&amp;for=email"' in one
    assert one.count(">Given up ") == 3
    assert "Nothing waits for this" in (await http.get("/console/waiting?lane=page")).text


async def test_what_waits_is_tried_now(http: httpx.AsyncClient, pipeline: Pipeline) -> None:
    """After a page that says how much that is."""
    await wait(pipeline, 1, 2)
    page = (await http.get("/console/waiting/release?for=email&user=u1")).text
    assert ("1 event" in page, 'name="why"' in page) == (True, True)
    form = {"for": "email", "user": "u1", "why": "it is there"}
    done = await http.post("/console/waiting/release", data=form)
    assert "of+1+person" in done.headers["location"]
    assert (await pipeline.claim("u1", Lane.PURCHASE)).head.id == "m1"
    (act,) = await AuditTrail(pipeline.redis, "default").latest(9)
    said = (act.verb, act.what, act.why)
    assert said == ("release", "waiting for email of one person", "it is there")


async def test_what_waits_is_discarded_as_long_as_it_is_what_was_shown(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """With the reason that was given, in words on the page Activity."""
    await wait(pipeline, 1, 2)
    assert "Discard 2" in (await http.get("/console/waiting/drop?for=email")).text
    for form, status in (
        ({"for": "email"}, 400),
        ({"for": "email", "count": "1"}, 400),
        ({"for": "turn", "count": "2"}, 400),
        ({"count": "2"}, 400),
    ):
        assert (await http.post("/console/waiting/drop", data=form)).status_code == status
    form = {"for": "email", "count": "2", "why": "a test shop"}
    done = await http.post("/console/waiting/drop", data=form)
    assert done.headers["location"] == "/console/waiting?notice=2+discarded."
    assert "Nothing waits" in (await http.get("/console/waiting")).text
    activity = (await http.get("/console/activity")).text
    assert "waiting for email" in activity
    assert "a test shop" in activity
