"""Segment's Webhooks destination over ASGI and fakeredis: who may post, what is taken, what Segment is answered."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import fakeredis
import httpx
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from pipeline.clock import ManualClock
from pipeline.ingest import create_app
from pipeline.settings import Settings, load_settings
from pipeline.storage import keys

URL = "http://ingest/webhook/segment"
EVENT = {
    "type": "track",
    "event": "Viewed",
    "userId": "u1",
    "messageId": "m1",
    "timestamp": "2026-11-22T11:59:49.000Z",
    "sentAt": "2026-11-22T11:00:10Z",
    "receivedAt": "2026-11-22T11:59:59.000Z",
    "context": {"library": {"name": "analytics.js"}},
    "properties": {"title": "Café"},
}


@pytest.fixture
async def fake() -> AsyncIterator[fakeredis.FakeAsyncRedis]:
    async with fakeredis.FakeAsyncRedis() as client:
        yield client


def client_of(settings: Settings, fake: fakeredis.FakeAsyncRedis) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(settings, fake, ManualClock()))
    )


def load(directory: Path, secrets: str) -> Settings:
    (directory / "sailpipe.toml").write_text(
        f"""
        api_key = "a"
        api_secret = "a"
        write_keys = "erp"
        webhook_secrets = "{secrets}"
        [accounts.shoes]
        api_key = "b"
        api_secret = "b"
        webhook_secrets = "of-shoes"
        """
    )
    return load_settings({}, directory=directory)


@pytest.fixture
async def http(fake: fakeredis.FakeAsyncRedis, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(load(tmp_path, "new,old,page:browser"), fake) as client:
        yield client


async def post(
    http: httpx.AsyncClient, event: object, secret: str | None, *, url: str = URL
) -> httpx.Response:
    """As Segment posts: the signature is of the bytes as they are sent."""
    body = json.dumps(event, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json"}
    if secret is not None:
        headers["X-Signature"] = hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()
    return await http.post(url, content=body, headers=headers)


async def entries(fake: fakeredis.FakeAsyncRedis) -> list[dict[bytes, bytes]]:
    found: Any = await fake.xrange(keys.RAW)
    return [fields for _, fields in found]


@pytest.mark.parametrize("url", [URL, f"{URL}/"])
async def test_an_event_that_segment_signed_is_taken_as_it_is(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis, url: str
) -> None:
    """Fully formed as it comes, its times above all."""
    reply = await post(http, EVENT, "new", url=url)
    assert (reply.status_code, reply.json()) == (200, {"success": True})
    [entry] = await entries(fake)
    assert json.loads(entry[b"event"]) == EVENT
    assert entry == {b"event": entry[b"event"], b"via": b"webhook"}


@pytest.mark.parametrize(
    ("secret", "account"), [("new", None), ("old", None), ("of-shoes", b"shoes")]
)
async def test_the_secret_that_verifies_chooses_the_account(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis, secret: str, account: bytes | None
) -> None:
    """Of one that is being changed the old one counts, too."""
    assert (await post(http, EVENT, secret)).status_code == 200
    [entry] = await entries(fake)
    assert entry.get(b"account") == account


@pytest.mark.parametrize(
    ("secret", "code"),
    [(None, "missing_signature"), ("wrong", "invalid_signature"), ("erp", "invalid_signature")],
)
async def test_what_no_secret_signed_is_refused_for_good(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis, secret: str | None, code: str
) -> None:
    """401, on which Segment gives up; a write key signs nothing."""
    reply = await post(http, EVENT, secret)
    assert (reply.status_code, reply.json()["code"]) == (401, code)
    assert await entries(fake) == []


@pytest.mark.parametrize("signature", ["", "\xe9", "0" * 40, "sha1=" + "0" * 40, "0" * 100_000])
async def test_no_odd_signature_is_more_than_wrong(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis, signature: str
) -> None:
    """Whatever a stranger writes there."""
    headers = [(b"X-Signature", signature.encode("latin-1"))]
    reply = await http.post(URL, content=json.dumps(EVENT), headers=headers)
    assert reply.status_code == 401
    assert await entries(fake) == []


async def test_a_changed_body_is_refused(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis
) -> None:
    """The signature is of every byte."""
    body = json.dumps(EVENT).encode()
    headers = {"X-Signature": hmac.new(b"new", body, hashlib.sha1).hexdigest().upper()}
    changed = await http.post(URL, content=body.replace(b"u1", b"u2"), headers=headers)
    assert (changed.status_code, changed.json()["code"]) == (401, "invalid_signature")
    assert (await http.post(URL, content=body, headers=headers)).status_code == 200
    assert len(await entries(fake)) == 1


async def test_without_a_secret_the_answer_says_what_to_set(
    fake: fakeredis.FakeAsyncRedis, tmp_path: Path
) -> None:
    """Nobody may post then: no secret is made up."""
    async with client_of(load_settings({}, directory=tmp_path), fake) as http:
        reply = await post(http, EVENT, "sandbox")
    assert (reply.status_code, reply.json()["code"]) == (401, "no_webhook_secrets")
    assert "SAILPIPE_WEBHOOK_SECRETS" in reply.json()["message"]


@pytest.mark.parametrize(
    ("event", "code"), [("text", "invalid_json"), ([EVENT, EVENT], "one_event"), ([], "one_event")]
)
async def test_what_is_not_one_event_is_refused_for_good(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis, event: object, code: str
) -> None:
    """A batch says why: Segment signs the first of its events alone."""
    reply = await post(http, event, "new")
    assert (reply.status_code, reply.json()["code"]) == (400, code)
    assert await entries(fake) == []


async def test_an_event_that_is_wrong_is_taken_and_becomes_a_dead_letter(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis
) -> None:
    """Segment would throw away what is refused, and nobody reads its answers."""
    for wrong in ({"type": "nonsense"}, {**EVENT, "p": "x" * 40_000}):
        assert (await post(http, wrong, "new")).status_code == 200
    assert len(await entries(fake)) == 2


async def test_a_secret_of_role_browser_has_the_rights_of_one(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis
) -> None:
    """A source at Segment whose write key stands in a page forwards what any visitor sends."""
    assert (await post(http, EVENT, "page")).status_code == 200
    reply = await post(http, {**EVENT, "event": "Order Completed"}, "page")
    assert (reply.status_code, reply.json()["code"]) == (403, "refused_by_role")
    [entry] = await entries(fake)
    assert entry[b"role"] == b"browser"


async def test_beyond_its_rate_what_a_secret_signs_is_bulk(
    fake: fakeredis.FakeAsyncRedis, tmp_path: Path
) -> None:
    """As with a write key: it is taken, and delays no other's events."""
    async with client_of(load(tmp_path, "new:server:2"), fake) as http:
        for _ in range(3):
            assert (await post(http, EVENT, "new")).status_code == 200
    assert [one.get(b"class") for one in await entries(fake)] == [None, None, b"bulk"]


async def test_while_redis_is_away_segment_is_to_come_again(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with Retry-After: Segment repeats a 5xx for hours."""

    async def fail(*_: object, **__: object) -> None:
        raise RedisConnectionError

    monkeypatch.setattr("pipeline.producer.Batcher.execute", fail)
    reply = await post(http, EVENT, "new")
    assert (reply.status_code, reply.json()["code"]) == (503, "unavailable")
    assert 0 < int(reply.headers["Retry-After"]) <= 300


async def test_only_post_is_served(http: httpx.AsyncClient) -> None:
    """The mapping at Segment can choose another method; the answer says which is right."""
    reply = await http.put(URL, json=EVENT)
    assert (reply.status_code, reply.headers["Allow"]) == (405, "POST")
