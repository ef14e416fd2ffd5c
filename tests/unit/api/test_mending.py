"""Dead letters over HTTP: sent again, edited, fixed, dropped, exported."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from pipeline.deadletters.audit import AuditTrail
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.store import DeadLetters
from pipeline.ingest.app import create_app
from pipeline.settings import load_settings
from tests.support.api import check_refusal
from tests.support.letters import Pipeline, track

ORDER = {**track(1), "properties": {"order_id": "o1", "total": "9.50"}}


async def test_letters_are_sent_again_by_id(
    http: httpx.AsyncClient, pipeline: Pipeline, redis: Redis
) -> None:
    """Twice sends them once: the second finds nothing."""
    await pipeline.kill(track(1), died_at_ms=1_000)
    body = {
        "ids": [letter.id for letter in await DeadLetters(redis, "default").find(Filter(), limit=9)]
    }
    reply = await http.post("/api/dead/replay", json={**body, "dry_run": True})
    assert reply.json() == {
        "letters": 1,
        "overtaken": 0,
        "older_than_a_day": 0,
        "may_start_emails": 1,
        "people": 1,
    }
    reply = await http.post("/api/dead/replay", json=body)
    assert reply.json() == {"replayed": 1, "gone": 0, "overtaken": 0}
    check_refusal(await http.post("/api/dead/replay", json=body), 404, "not_found")


async def test_what_matches_is_sent_again_as_long_as_it_is_what_was_shown(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """Ten per cent more may have come meanwhile."""
    for number in range(11):
        await pipeline.kill(track(number), died_at_ms=1_000 + number)
    (row, *_) = (await http.get("/api/dead")).json()["letters"]
    wanted = {"filter": {"reason": row["reason"]}}
    check_refusal(
        await http.post("/api/dead/replay", json={**wanted, "count": 9}), 409, "not_replayed"
    )
    asked = {**wanted, "count": 10, "rate": 5, "first": 2, "why": "mended", "token": "token-01"}
    job = (await http.post("/api/dead/replay", json=asked)).json()["job"]
    assert (job["id"], job["total"], job["rate"]) == ("token-01", 11, 5.0)
    assert (await http.post("/api/dead/replay", json=asked)).json()["job"]["id"] == "token-01"
    assert (await http.get("/api/jobs/token-01")).json()["by"] == "this machine"
    for verb, state in (("pause", "paused"), ("resume", "running"), ("stop", "stopped")):
        assert (await http.post(f"/api/jobs/token-01/{verb}")).json()["state"] == state
    check_refusal(await http.post("/api/jobs/token-01/burn"), 404, "not_found")
    check_refusal(await http.get("/api/jobs/nothing"), 404, "not_found")
    verbs = [act.verb for act in await AuditTrail(pipeline.redis, "default").latest(9)]
    assert verbs == ["stop", "resume", "pause", "replay"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"filter": {}, "count": 1},
        {"filter": {"reason": "too_old"}},
        {"filter": {"reason": "too_old"}, "count": True},
        {"filter": {"resn": "too_old"}, "count": 1},
        {"filter": {"reason": 7}, "count": 1},
        {"ids": ["1"], "filter": {"reason": "too_old"}, "count": 1},
        {"ids": []},
        {"ids": [1]},
        {"ids": ["1"], "all": True},
        {"filter": {"reason": "too_old"}, "count": 1, "rate": 0},
        {"filter": {"reason": "too_old"}, "count": 1, "first": -1},
        {"filter": {"reason": "too_old"}, "count": 1, "why": 7},
        {"filter": {"reason": "too_old"}, "count": 1, "token": 7},
    ],
)
async def test_a_replay_that_does_not_say_what_it_means_is_refused(
    http: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    """Before anything is looked at."""
    check_refusal(await http.post("/api/dead/replay", json=body), 400, "invalid")


async def test_letters_of_another_target_are_not_sent(
    http: httpx.AsyncClient, pipeline: Pipeline, redis: Redis
) -> None:
    """The sandbox's never reach the real Sailthru, nor the other way round."""
    await pipeline.kill(track(1), died_at_ms=1_000, target="live https://api.sailthru.com 1a2b")
    ids = [letter.id for letter in await DeadLetters(redis, "default").find(Filter(), limit=9)]
    check_refusal(await http.post("/api/dead/replay", json={"ids": ids}), 409, "not_replayed")


async def test_a_letter_is_edited_by_fields_and_as_a_whole(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline
) -> None:
    """A dry run writes nothing; the audit trail names fields, not values."""
    await pipeline.kill(ORDER)
    letters = DeadLetters(redis, "default")
    change = {"set": {"properties.email": "ann@example.com"}, "unset": ["properties.total"]}
    seen = await http.patch("/api/dead/m1", json={**change, "dry_run": True})
    assert seen.json()["event_diff"] == [
        '+ properties.email: "ann@example.com"',
        '- properties.total: "9.50"',
    ]
    assert b"ann@" not in (await letters.get("m1")).raw
    done = await http.patch("/api/dead/m1", json={**change, "why": "asked them"})
    assert (done.status_code, done.json()["changed"]) == (200, True)
    assert b"ann@example.com" in (await letters.get("m1")).raw
    assert (await http.patch("/api/dead/m1", json=change)).json()["changed"] is False
    assert (await http.patch("/api/dead/m1", json={"event": track(1)})).json()["changed"] is True
    acts = await AuditTrail(redis, "default").latest(9)
    assert [(act.what, act.why) for act in acts] == [
        ("letter m1: as a whole", ""),
        ("letter m1: set properties.email, unset properties.total", "asked them"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"event": []},
        {"event": {}, "set": {"a": 1}},
        {"set": []},
        {"set": {"": 1}},
        {"set": {"sailpipe.letter": 1}},
        {"unset": [1]},
        {"rename": {"a": 1}},
        {"cast": {"a": "colour"}},
        {"cast": {"event": "number"}},
        {"set": {f"a{n}": 1 for n in range(51)}},
        {"set": {"a": "x" * 40_000}},
        {"set": {"a": 1}, "why": 7},
        {"set": {"a": 1}, "sets": {}},
    ],
)
async def test_an_edit_that_is_not_understood_is_refused(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline, body: dict[str, Any]
) -> None:
    """And the letter stays as it was."""
    await pipeline.kill(track(1))
    before = (await DeadLetters(redis, "default").get("m1")).raw
    assert (await http.patch("/api/dead/m1", json=body)).status_code == 400
    assert (await DeadLetters(redis, "default").get("m1")).raw == before


async def test_what_matches_is_fixed_as_long_as_it_is_what_was_shown(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline
) -> None:
    """A dry run shows samples; what cannot be changed is counted with its reason."""
    await pipeline.kill(ORDER, {**track(2), "properties": {"total": "much"}}, track(3))
    asked: dict[str, Any] = {"filter": {"reason": "rejected"}, "count": 3}
    asked["cast"] = {"properties.total": "number"}
    seen = (await http.post("/api/dead/fix", json={**asked, "dry_run": True})).json()
    assert [one["event_diff"] for one in seen["samples"]] == [
        ['- properties.total: "9.50"', "+ properties.total: 9.5"]
    ]
    expected = {
        "changed": 1,
        "unchanged": 1,
        "gone": 0,
        "refused": [{"why": "properties.total cannot be read as number.", "letters": 1}],
    }
    assert seen == {"letters": 3, "samples": seen["samples"], **expected}
    assert b'"9.50"' in (await DeadLetters(redis, "default").get("m1")).raw
    check_refusal(await http.post("/api/dead/fix", json={**asked, "count": 2}), 409, "not_fixed")
    assert (await http.post("/api/dead/fix", json=asked)).json() == expected
    assert b"9.5" in (await DeadLetters(redis, "default").get("m1")).raw
    by_id = {"ids": ["m3"], "set": {"properties.total": 1}}
    assert (await http.post("/api/dead/fix", json=by_id)).json()["changed"] == 1
    for wrong in ({}, {"ids": ["m1"]}, {"filter": {}, "count": 1, "unset": ["a"]}):
        assert (await http.post("/api/dead/fix", json=wrong)).status_code == 400
    acts = await AuditTrail(redis, "default").latest(9)
    assert acts[-1].what == "reason rejected: cast properties.total to number"


async def test_letters_are_dropped_as_long_as_they_are_what_was_shown(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline
) -> None:
    """By filter or by id; an empty filter is refused."""
    await pipeline.kill(track(1), track(2), track(3))
    asked: dict[str, Any] = {"filter": {"reason": "rejected"}, "count": 2}
    check_refusal(await http.post("/api/dead/drop", json=asked), 409, "not_dropped")
    check_refusal(
        await http.post("/api/dead/drop", json={"filter": {}, "count": 9}), 400, "invalid"
    )
    dry = await http.post("/api/dead/drop", json={**asked, "dry_run": True})
    assert dry.json() == {"letters": 3}
    done = await http.post("/api/dead/drop", json={"ids": ["m1"], "why": "a test"})
    assert done.json() == {"dropped": 1, "gone": 0}
    assert (await http.post("/api/dead/drop", json=asked)).json() == {"dropped": 2, "gone": 0}
    assert await DeadLetters(redis, "default").count(Filter()) == 0
    acts = await AuditTrail(redis, "default").latest(9)
    assert [(act.verb, act.what, act.why) for act in acts] == [
        ("drop", "reason rejected", ""),
        ("drop", "1 by id", "a test"),
    ]


async def test_letters_are_taken_away_as_lines_that_can_be_enqueued(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline
) -> None:
    """Each takes its letter's place."""
    await pipeline.kill(track(1), track(2))
    reply = await http.get("/api/dead/export?reason=rejected")
    assert reply.headers["content-type"] == "application/x-ndjson"
    await pipeline.send(*(line.encode() for line in reply.text.splitlines()))
    await pipeline.split()
    assert await DeadLetters(redis, "default").count(Filter()) == 0
    assert (await http.get("/api/dead/export?reason=rejected")).text == ""
    assert (await http.get("/api/dead/export?reasons=x")).status_code == 400


async def test_what_redact_names_is_masked_in_diffs_and_kept_from_who_may_only_read(
    redis: Redis, pipeline: Pipeline
) -> None:
    """An export holds what is sent, so that it takes the other token."""
    await pipeline.kill({**track(1), "properties": {"phone": "+49 30"}})
    tokens = {"CONSOLE_TOKEN": "t" * 40, "CONSOLE_READ_TOKEN": "r" * 40, "REDACT": "phone"}
    env = {f"SAILPIPE_{name}": value for name, value in tokens.items()}
    app = create_app(load_settings(env), redis)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        http.headers["authorization"] = f"Bearer {'t' * 40}"
        for change in ({"set": {"properties.phone": "+33 1"}}, {"unset": ["properties"]}):
            asked = {**change, "dry_run": True}
            assert "+49" not in (await http.patch("/api/dead/m1", json=asked)).text
            assert (
                "+49" not in (await http.post("/api/dead/fix", json={**asked, "ids": ["m1"]})).text
            )
        assert "+49" in (await http.get("/api/dead/export")).text
        http.headers["authorization"] = f"Bearer {'r' * 40}"
        check_refusal(await http.get("/api/dead/export"), 403, "redacted")
