"""`/api` over ASGI and fakeredis: each verb once, what it refuses, and who may not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from pipeline.api import Api
from pipeline.api.descriptions import DESCRIPTIONS
from pipeline.clock import ManualClock
from pipeline.deadletters.audit import AuditTrail
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.store import DeadLetters
from pipeline.gates.gates import Closure, Gates
from pipeline.ingest.app import create_app
from pipeline.ingest.upstream import Upstream
from pipeline.sailthru.answers import Accepted, Answer
from pipeline.sailthru.calls import Call
from pipeline.settings import load_settings
from pipeline.status import reader
from pipeline.storage.redis_client import open_async_redis
from pipeline.verbs.pausing import redis_now_ms
from pipeline.verbs.people import NotAsked
from tests.support.letters import Pipeline, order, track
from tests.support.redis_server import free_port

TOKEN = "r" * 40
SETTINGS = {"SAILPIPE_CONSOLE_READ_TOKEN": TOKEN, "SAILPIPE_REDACT": "phone"}


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with open_async_redis(redis_url) as client:
        yield client


@pytest.fixture
async def http(redis: Redis) -> AsyncIterator[httpx.AsyncClient]:
    url = "redis://:secret@h/0"
    app = create_app(load_settings(SETTINGS), redis, ManualClock(), redis_url=url)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.fixture
def pipeline(redis: Redis) -> Pipeline:
    return Pipeline(redis)


def check_refusal(reply: httpx.Response, status: int, code: str) -> None:
    body = reply.json()
    assert (reply.status_code, body["code"], body["success"]) == (status, code, False)
    assert body["error"] == body["message"] != ""


async def test_status_is_that_of_the_command_line(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """The password of Redis never shows."""
    await pipeline.kill(track(1), died_at_ms=1_000)
    found = (await http.get("/api/status")).json()
    assert found["accounts"]["default"]["counts"]["dead"] == 1
    assert "secret" not in json.dumps(found)


async def test_many_who_look_at_once_cost_one_reading(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second later it is read anew."""
    readings = []

    async def noting(*_: object) -> dict[str, Any]:
        readings.append(1)
        return {"reading": len(readings)}

    monkeypatch.setattr(reader, "read_status", noting)
    clock = ManualClock()
    status = reader.StatusReader(redis, load_settings({}), "", clock)
    assert [await status.read() for _ in range(5)] == [{"reading": 1}] * 5
    clock.advance(reader.FRESH_S)
    assert await status.read() == {"reading": 2}


async def test_map_shows_the_calls_and_sends_nothing(http: httpx.AsyncClient, redis: Redis) -> None:
    """One event or several; a bad one is told of in its line."""
    event = {"type": "track", "event": "Registered", "userId": "u1"}
    one = (await http.post("/api/map", json=event)).json()["results"]
    assert one[0]["calls"][-1]["endpoint"] == "/event"
    many = (await http.post("/api/map", json=[event, 7])).json()["results"]
    assert [line["error"] and line["error"]["reason"] for line in many] == [None, "invalid_event"]
    assert await redis.keys() == []
    check_refusal(await http.post("/api/map", content=b"{"), 400, "invalid_json")
    check_refusal(await http.post("/api/map", json=[event] * 101), 400, "too_many")
    check_refusal(await http.post("/api/map", content=b'"' + b"x" * 600_000), 400, "too_large")


async def test_letters_are_listed_by_filter_and_shown_whole(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """The list has the shape of `dead list --json`, one letter that of `dead show --json`, fields masked."""
    await pipeline.kill(track(1), died_at_ms=1_000)
    await pipeline.kill(
        {**track(2), "messageId": "a/b c", "properties": {"phone": "+49 30"}}, died_at_ms=2_000
    )
    found = (await http.get("/api/dead", params={"limit": "1"})).json()
    assert [row["id"] for row in found["letters"]] == ["a/b c"]
    older = (await http.get("/api/dead", params={"cursor": found["next"]})).json()
    assert ([row["id"] for row in older["letters"]], older["next"]) == (["m1"], None)
    matched = (await http.get("/api/dead", params={"match": "+49", "code": "99"})).json()
    assert [row["id"] for row in matched["letters"]] == ["a/b c"]
    none = (await http.get("/api/dead", params={"reason": "too_old"})).json()
    assert none == {"letters": [], "next": None}
    letter = (await http.get("/api/dead/a%2Fb%20c")).json()
    assert (letter["id"], letter["timeline"]) == ("a/b c", [])
    assert json.loads(letter["raw"])["properties"] == {"phone": "•••"}


@pytest.mark.parametrize(
    "query",
    [
        "reasn=rejected",
        "reason=nonsense",
        "lane=x",
        "since=2",
        "limit=0",
        "limit=501",
        "limit=²",
        "code=x",
        "cursor=x",
        "reason=rejected&reason=too_old",
    ],
)
async def test_a_filter_that_is_not_understood_is_refused(
    http: httpx.AsyncClient, query: str
) -> None:
    """Ignored, it would mean more letters than were meant."""
    check_refusal(await http.get(f"/api/dead?{query}"), 400, "invalid")


async def test_what_is_not_there_is_said_to_be(http: httpx.AsyncClient) -> None:
    """A letter, an account, a lane, a path, a method."""
    for path in ("/api/dead/nobody", "/api/dead?account=x", "/api/nowhere", "/api"):
        check_refusal(await http.get(path), 404, "not_found")
    check_refusal(await http.post("/api/lanes/x/pause"), 404, "not_found")
    check_refusal(await http.get("/api/lanes/user/pause"), 405, "method_not_allowed")


async def test_letters_are_sent_again_by_id(
    http: httpx.AsyncClient, pipeline: Pipeline, redis: Redis
) -> None:
    """Twice sends them once: the second finds nothing."""
    await pipeline.kill(track(1), died_at_ms=1_000)
    body = {
        "ids": [letter.id for letter in await DeadLetters(redis, "default").find(Filter(), limit=9)]
    }
    reply = await http.post("/api/dead/replay", json={**body, "dry_run": True})
    assert reply.json() == {"letters": 1, "overtaken": 0}
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


async def test_a_lane_is_paused_and_resumed(http: httpx.AsyncClient, redis: Redis) -> None:
    """With a reason that status shows; a pause and the brake end, an outage does not."""
    reply = await http.post("/api/lanes/event/pause", json={"reason": "a bad release"})
    assert reply.json() == {"lane": "event", "paused": True, "changed": True}
    assert (await http.post("/api/lanes/event/pause")).json()["changed"] is False
    gates, now = Gates(redis, "default"), await redis_now_ms(redis)
    (closure,) = await gates.all_closures(now)
    assert (closure.scope, closure.detail) == ("event", "by this machine: a bad release")
    await gates.close(Closure("event", "brake", 0, now))
    await gates.close(Closure("event", "circuit", now + 60_000, now))
    reply = await http.post("/api/lanes/event/resume")
    assert reply.json() == {"lane": "event", "ended": ["paused", "brake"]}
    assert [one.reason for one in await gates.all_closures(now)] == ["circuit"]
    assert (await http.post("/api/lanes/account/pause")).json()["changed"] is True
    for body in ({"reason": 7}, {"reason": "x" * 201}, {"why": "x"}):
        check_refusal(await http.post("/api/lanes/user/pause", json=body), 400, "invalid")


async def test_what_happened_to_an_event_is_told(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """In the shape of `sailpipe trace --json`."""
    await pipeline.kill(track(1))
    found = (await http.get("/api/trace/m1")).json()
    assert (found["seen"], found["events"][0]["id"]) == (True, "m1")
    assert (await http.get("/api/trace/nobody")).json()["seen"] is False
    person = (await http.get("/api/users/u1")).json()
    assert "m1" in json.dumps(person)


ORDER = {**track(1), "properties": {"order_id": "o1", "total": "9.50"}}


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


async def test_why_a_person_got_no_mail_is_told_after_one_call(
    redis: Redis, pipeline: Pipeline
) -> None:
    """Also to a token that only reads; and without a call when it cannot be made now."""
    await pipeline.kill(track(1))
    asked: list[Call] = []

    class Asked(Upstream):
        async def ask(self, account: str, call: Call) -> Answer:
            asked.append(call)
            if call.params["id"] != "u1":
                raise NotAsked("Calls are stopped (paused)", 60)
            return Accepted(200, {"keys": {"email": "ann@example.com"}, "optout_email": "all"})

    settings = load_settings(SETTINGS)
    app = create_app(settings, redis, ManualClock(), Asked(settings, redis))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        http.headers["authorization"] = f"Bearer {TOKEN}"
        found = (await http.post("/api/why", json={"id": "u1"})).json()
        assert {"what": "optout", "ok": False, "text": "opted out of all mails"} in found["why"]
        assert [one["id"] for one in found["dead"]] == ["m1"]
        check_refusal(await http.post("/api/why", json={"id": "u2"}), 409, "not_asked")
        check_refusal(await http.post("/api/why", json={}), 400, "invalid")
    assert [call.bucket for call in asked] == ["GET /user"] * 2


async def test_problems_are_listed_marked_and_what_was_done_is_told(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """By cause, the largest first; a state that was set is found again, and so is who set it."""
    await pipeline.kill(track(1), track(2))
    await pipeline.kill(track(3), detail="something else")
    found = (await http.get("/api/dead/stats")).json()
    assert ([one["letters"] for one in found["groups"]], found["more"]) == ([2, 1], 0)
    largest = found["groups"][0]
    assert (largest["fault"], largest["state"]) == ("data", "open")
    one = (await http.get("/api/dead/stats", params={"limit": 1})).json()
    assert (one["groups"][0]["fingerprint"], one["more"]) == (largest["fingerprint"], 1)
    asked = {"group": largest["fingerprint"], "state": "ignored", "why": "a test shop"}
    assert (await http.post("/api/dead/mark", json=asked)).json()["state"] == "ignored"
    ignored = (await http.get("/api/dead/stats", params={"state": "ignored"})).json()["groups"]
    assert [(row["fingerprint"], row["state_why"]) for row in ignored] == [
        (largest["fingerprint"], "a test shop")
    ]
    (act,) = (await http.get("/api/dead/audit")).json()["acts"]
    assert (act["verb"], act["what"]) == ("mark", f"group {largest['fingerprint']} ignored")
    check_refusal(
        await http.post("/api/dead/mark", json={**asked, "group": "no"}), 404, "not_found"
    )
    for wrong in ({}, {**asked, "state": "x"}, {**asked, "group": 7}, {**asked, "all": True}):
        check_refusal(await http.post("/api/dead/mark", json=wrong), 400, "invalid")


async def test_what_waits_is_told_by_cause_let_go_and_dropped_as_long_as_it_was_shown(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """Two people's orders without an email; what is done is written down, and whose it was is not."""
    for number in (1, 2):
        await pipeline.send(order(number))
        await pipeline.split()
        await pipeline.wait_for_email(f"u{number}")
    (row,) = (await http.get("/api/waiting", params={"for": "email"})).json()["waiting"]
    assert (row["lane"], row["people"], row["events"]) == ("purchase", 2, 2)
    assert (await http.get("/api/waiting", params={"lane": "user"})).json()["waiting"] == []
    asked = {"for": "email", "user": "u1"}
    for verb in ("release", "drop"):
        counted = (await http.post(f"/api/waiting/{verb}", json={**asked, "dry_run": True})).json()
        assert counted == {"people": 1, "events": 1}
    released = await http.post("/api/waiting/release", json=asked)
    assert released.json() == {"released": 1}
    again = await http.post("/api/waiting/drop", json={"for": "email", "count": 2, "why": "a test"})
    assert again.json() == {"dropped": 1}
    acts = await AuditTrail(pipeline.redis, "default").latest(9)
    assert [(act.verb, act.what, act.count) for act in acts] == [
        ("drop", "waiting for email", 1),
        ("release", "waiting for email of one person", 1),
    ]
    for wrong in ({}, {"for": "turn"}, {"for": "email"}, {"for": "email", "count": True}):
        check_refusal(await http.post("/api/waiting/drop", json=wrong), 400, "invalid")
    check_refusal(await http.get("/api/waiting", params={"for": "x"}), 400, "invalid")


async def test_more_than_was_shown_is_not_dropped(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """What came meanwhile waits on."""
    for number in (1, 2):
        await pipeline.send(order(number))
        await pipeline.split()
        await pipeline.wait_for_email(f"u{number}")
    reply = await http.post("/api/waiting/drop", json={"for": "email", "count": 1})
    check_refusal(reply, 409, "not_dropped")
    assert (await http.get("/api/waiting")).json()["waiting"][0]["events"] == 2


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


async def test_a_read_only_token_reads_and_maps_and_changes_nothing(
    http: httpx.AsyncClient, redis: Redis
) -> None:
    """Every path that changes something, as the description names them."""
    http.headers["Authorization"] = f"Bearer {TOKEN}"
    for path, item in DESCRIPTIONS.items():
        for method in item:
            url = "/" + path.replace("{id}", "1").replace("{verb}", "stop").replace(
                "{lane}", "user"
            )
            reply = await http.request(method.upper(), url)
            may = method == "get" or path in {"api/map", "api/why"}
            assert (reply.json().get("code") != "read_only") is may, path
    assert await redis.keys("sailpipe:default:gates*") == []


async def test_another_site_or_another_machine_reaches_nothing(http: httpx.AsyncClient) -> None:
    """The guard stands before the whole of `/api`."""
    cross = {"Sec-Fetch-Site": "cross-site"}
    check_refusal(await http.post("/api/lanes/user/pause", headers=cross), 403, "cross_site")
    foreign = {"Host": "evil.example"}
    check_refusal(await http.get("/api/status", headers=foreign), 400, "unknown_host")
    proxied = {"X-Forwarded-For": "10.0.0.1"}
    check_refusal(await http.get("/api/status", headers=proxied), 403, "no_password")


async def test_without_redis_the_answer_says_so() -> None:
    """In the shape of every other refusal."""
    async with Redis(port=free_port(), retry=Retry(NoBackoff(), 0)) as nowhere:
        app = create_app(load_settings({}), nowhere, ManualClock())
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            check_refusal(await client.get("/api/status"), 503, "unavailable")
            check_refusal(await client.get("/api/dead/1"), 503, "unavailable")


async def test_every_route_is_described_and_every_description_is_a_route() -> None:
    """By path and method."""
    nothing: Any = None
    api = Api(load_settings({}), nothing, nothing, nothing, nothing)
    seen: dict[str, set[str]] = {}

    class Noting:
        def around(self, app: Any, **_: object) -> Any:
            for route in app.routes:
                path = route.path.strip("/").replace(":path", "")
                seen[path] = route.methods - {"HEAD"}
            return app

    api.app(Noting())  # type: ignore[arg-type]
    assert seen == {path: {m.upper() for m in item} for path, item in DESCRIPTIONS.items()}
