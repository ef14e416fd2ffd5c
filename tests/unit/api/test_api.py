"""`/api` over ASGI and fakeredis: each verb once, what it refuses, and who may not."""

from __future__ import annotations

import json
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
from pipeline.gates.gates import Closure, Gates
from pipeline.ingest.app import create_app
from pipeline.ingest.upstream import Upstream
from pipeline.sailthru.answers import Accepted, Answer
from pipeline.sailthru.calls import Call
from pipeline.settings import load_settings
from pipeline.status import reader
from pipeline.verbs.pausing import redis_now_ms
from pipeline.verbs.people import NotAsked
from tests.support.api import SETTINGS, TOKEN, check_refusal
from tests.support.letters import Pipeline, order, track
from tests.support.redis_server import free_port


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
    lately = (await http.get("/api/dead/stats", params={"hours": 3})).json()["groups"]
    assert [row["by_hour"] for row in lately] == [[0, 0, 2], [0, 0, 1]]
    check_refusal(await http.get("/api/dead/stats", params={"hours": 49}), 400, "invalid")
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


async def two_wait(pipeline: Pipeline) -> None:
    """For an email, with an order each."""
    for number in (1, 2):
        await pipeline.send(order(number))
        await pipeline.split()
        await pipeline.wait_for_email(f"u{number}")


async def test_what_waits_is_told_by_cause_let_go_and_dropped_as_long_as_it_was_shown(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """Two people's orders without an email; what is done is written down, and whose it was is not."""
    await two_wait(pipeline)
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
    await two_wait(pipeline)
    reply = await http.post("/api/waiting/drop", json={"for": "email", "count": 1})
    check_refusal(reply, 409, "not_dropped")
    assert (await http.get("/api/waiting")).json()["waiting"][0]["events"] == 2


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
