"""Saved views over ASGI and a real Redis."""

from __future__ import annotations

import httpx
import pytest
from redis.asyncio import Redis

from pipeline.deadletters.audit import AuditTrail
from pipeline.deadletters.views import MAX_FILTER, MAX_NAME, MAX_VIEWS, SavedViews
from tests.support.letters import Pipeline, track


async def test_a_filter_is_saved_under_a_name_used_and_deleted(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline
) -> None:
    """It stands beside the letters and on the page Activity; times in it stay so many hours ago."""
    await pipeline.kill(track(1))
    form = {"name": "Refused <today>", "reason": "rejected", "since": "24h"}
    saved = await http.post("/console/views", data=form)
    assert saved.headers["location"].startswith("/console/dead?reason=rejected&since=24h&notice=")
    link = 'href="/console/dead?reason=rejected&amp;since=24h"'
    for path in ("/console/dead", "/console/activity"):
        page = (await http.get(path)).text
        assert link in page, path
        assert "Refused &lt;today&gt;" in page
    here = (await http.get("/console/dead?reason=rejected&since=24h")).text
    assert f'{link} aria-current="true"' in here
    assert "Save this view" not in here
    assert "Save this view" in (await http.get("/console/dead?reason=too_old")).text
    gone = {"name": "Refused <today>"}
    assert (await http.post("/console/views/delete", data=gone)).status_code == 303
    assert (await http.post("/console/views/delete", data=gone)).status_code == 404
    assert link not in (await http.get("/console/dead")).text
    acts = await AuditTrail(redis, "default").latest(9)
    assert [act.verb for act in acts] == ["delete view", "save view"]


@pytest.mark.parametrize(
    "form",
    [
        {"name": "", "reason": "rejected"},
        {"name": "x" * (MAX_NAME + 1), "reason": "rejected"},
        {"name": "x\u202ey", "reason": "rejected"},
        {"name": "everything"},
        {"name": "wrong", "reason": "nonsense"},
        {"name": "a person", "user": "u1"},
        {"name": "an order", "order": "o1"},
        {"name": "an address", "match": "ann@example.com"},
        {"name": "too long", "match": "x" * (MAX_FILTER + 1)},
    ],
)
async def test_what_cannot_be_a_view_is_refused(
    http: httpx.AsyncClient, redis: Redis, form: dict[str, str]
) -> None:
    """A view outlives the person it would name."""
    assert (await http.post("/console/views", data=form)).status_code == 400
    assert await SavedViews(redis, "default").all() == {}


async def test_views_are_bounded(http: httpx.AsyncClient, redis: Redis) -> None:
    """One more is refused; one that is there may be written anew."""
    saved = SavedViews(redis, "default")
    for number in range(MAX_VIEWS):
        await saved.save(str(number), {"reason": "rejected"})
    one = {"name": "more", "reason": "too_old"}
    assert (await http.post("/console/views", data=one)).status_code == 400
    assert (await http.post("/console/views", data={**one, "name": "7"})).status_code == 303
    assert (await saved.all())["7"] == {"reason": "too_old"}
