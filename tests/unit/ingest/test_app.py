"""The HTTP server over ASGI and fakeredis: what is taken, and what each refusal looks like to an SDK."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import fakeredis
import httpx
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError

from pipeline.clock import ManualClock
from pipeline.errors import InvalidEvent, QueueFull
from pipeline.events.models import parse_event
from pipeline.ingest import create_app
from pipeline.ingest.bodies import MAX_BODY_BYTES
from pipeline.producer import AsyncProducer
from pipeline.settings import Settings, load_settings
from pipeline.storage import keys

KEY = {"Authorization": "Basic " + base64.b64encode(b"sandbox:").decode()}
EVENT = {"userId": "u1", "event": "Registered"}
ONE = json.dumps(EVENT).encode()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({}, directory=tmp_path)


@pytest.fixture
async def fake() -> AsyncIterator[fakeredis.FakeAsyncRedis]:
    async with fakeredis.FakeAsyncRedis() as client:
        yield client


@pytest.fixture
async def http(
    settings: Settings, fake: fakeredis.FakeAsyncRedis
) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings, fake, ManualClock())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as client:
        yield client


async def taken(fake: fakeredis.FakeAsyncRedis) -> list[dict[str, Any]]:
    entries: Any = await fake.xrange(keys.RAW)
    return [json.loads(fields[b"event"]) for _, fields in entries]


def check_refusal(reply: httpx.Response, status: int, code: str) -> None:
    """Python's SDK needs code and message, Ruby's error; success must not be claimed."""
    body = reply.json()
    assert (reply.status_code, body["code"]) == (status, code)
    assert body["success"] is False
    assert body["error"] == body["message"] != ""


@pytest.mark.parametrize(
    ("path", "event_type"),
    [
        ("track", "track"),
        ("identify", "identify"),
        ("page", "page"),
        ("screen", "screen"),
        ("group", "group"),
        ("alias", "alias"),
        ("t", "track"),
        ("i", "identify"),
        ("p", "page"),
        ("s", "screen"),
        ("g", "group"),
        ("a", "alias"),
    ],
)
@pytest.mark.parametrize("slash", ["", "/"])
async def test_every_single_path_takes_its_type(
    http: httpx.AsyncClient,
    fake: fakeredis.FakeAsyncRedis,
    path: str,
    event_type: str,
    slash: str,
) -> None:
    """Exactly 200 and {"success": true}, with and without a trailing slash."""
    reply = await http.post(f"/v1/{path}{slash}", json=EVENT, headers=KEY)
    assert (reply.status_code, reply.json()) == (200, {"success": True})
    (event,) = await taken(fake)
    assert (event["type"], event["userId"]) == (event_type, "u1")


@pytest.mark.parametrize("path", ["batch", "batch/", "import", "import/", "b"])
async def test_every_batch_path_takes_many_in_order(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis, path: str
) -> None:
    """Documented, Ruby's and Java's, and the mobile SDKs' paths."""
    items = [{"type": "track", "userId": "u1", "event": str(n)} for n in range(30)]
    reply = await http.post(f"/v1/{path}", json={"batch": items, "writeKey": "sandbox"})
    assert reply.status_code == 200
    assert [event["event"] for event in await taken(fake)] == [str(n) for n in range(30)]


async def test_bad_items_do_not_spoil_their_batch(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis
) -> None:
    """Everything is enqueued; the splitter makes dead letters of the bad ones."""
    good = {"type": "track", **EVENT}
    items = [good, {"type": "nonsense"}, None, "text", [good], {**good, "p": "x" * 40_000}, good]
    reply = await http.post("/v1/batch", json={"batch": items}, headers=KEY)
    assert (reply.status_code, reply.json()) == (200, {"success": True})
    events = [parsed(json.dumps(one).encode()) for one in await taken(fake)]
    assert events == [
        "u1",
        "invalid_event",
        "invalid_event",
        "invalid_event",
        "invalid_event",
        "too_large",
        "u1",
    ]


def parsed(raw: bytes) -> str | None:
    """The userId of an event; the reason of the letter that it becomes."""
    try:
        return parse_event(raw).user_id
    except InvalidEvent as problem:
        return problem.reason


@pytest.mark.parametrize("path", ["t", "i", "p", "s", "g", "a", "b", "b/"])
async def test_the_short_paths_are_taken_without_v1(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis, path: str
) -> None:
    """The browser SDK's, where `apiHost` is the host alone."""
    body = {"batch": [{"type": "track", **EVENT}], **EVENT}
    assert (await http.post(f"/{path}", json=body, headers=KEY)).status_code == 200
    assert len(await taken(fake)) == 1
    asking = {"Origin": "https://shop.example.com", "Access-Control-Request-Method": "POST"}
    assert (await http.options(f"/{path}", headers=asking)).status_code == 200


@pytest.mark.parametrize("path", ["batch", "import", "b"])
async def test_nothing_of_a_batch_of_too_many_events_is_taken(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis, path: str
) -> None:
    """The answer says how many are beyond the limit."""
    reply = await http.post(f"/v1/{path}", json={"batch": [EVENT] * 2501}, headers=KEY)
    check_refusal(reply, 413, "too_many_events")
    assert "1 beyond" in reply.json()["message"]
    assert await taken(fake) == []


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", None])
async def test_content_type_is_ignored(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis, content_type: str | None
) -> None:
    """Browsers and Kotlin send text/plain."""
    headers = {**KEY, **({"Content-Type": content_type} if content_type else {})}
    reply = await http.post("/v1/track", content=json.dumps(EVENT), headers=headers)
    assert reply.status_code == 200
    assert len(await taken(fake)) == 1


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


PACKED = {
    "gzip": gzip.compress(ONE),
    "gzip_of_two_members": gzip.compress(ONE[:20]) + gzip.compress(ONE[20:]),
    "gzip_that_is_padded": gzip.compress(ONE) + bytes(100),
    "deflate": zlib.compress(ONE),
    "deflate_without_a_header": raw_deflate(ONE),
}


@pytest.mark.parametrize("encoding", [None, "gzip", "deflate"])
@pytest.mark.parametrize("packed", PACKED.values(), ids=PACKED.keys())
async def test_a_packed_body_is_unpacked_by_its_content(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis, packed: bytes, encoding: str | None
) -> None:
    """With the right header, a wrong one or none."""
    header = {"Content-Encoding": encoding} if encoding else {}
    reply = await http.post("/v1/track", content=packed, headers={**KEY, **header})
    assert reply.status_code == 200
    assert (await taken(fake))[0]["event"] == "Registered"


BAD_BODIES = {
    "empty": (b"", "invalid_json"),
    "unfinished": (b"{", "invalid_json"),
    "array": (b"[]", "invalid_json"),
    "null": (b"null", "invalid_json"),
    "string": (b'"text"', "invalid_json"),
    "nan": (b'{"a": NaN}', "invalid_json"),
    "infinity": (b'{"a": Infinity}', "invalid_json"),
    "cut_emoji_and_nan": (b'{"a": "\\ud83d", "b": NaN}', "invalid_json"),
    "cut_emoji_and_unfinished": (b'{"a": "\\ud83d"', "invalid_json"),
    "not_utf8_outside_texts": (b'{\xff"a": 1}', "invalid_json"),
    "deep": (b'{"a": ' + b"[" * 1000 + b"]" * 1000 + b"}", "invalid_json"),
    "deep_and_unfinished": (b"[" * 100_000, "invalid_json"),
    "absurd_number": (b'{"a": ' + b"1" * 5000 + b"}", "invalid_json"),
    "large_event": (b'{"a": "' + b"x" * 33_000 + b'"}', "too_large"),
    "large_body": (b'{"a": "' + b"x" * MAX_BODY_BYTES + b'"}', "too_large"),
    "gzip_bomb": (gzip.compress(b"x" * 50_000_000, 1), "too_large"),
    "gzip_bomb_of_members": (gzip.compress(b"x" * 99_000) * 6, "too_large"),
    "deflate_bomb": (zlib.compress(b"x" * 50_000_000), "too_large"),
    "deflate_bomb_without_a_header": (raw_deflate(b"x" * 50_000_000), "too_large"),
    "deflate_cut_short": (zlib.compress(b'{"a": 1}')[:-5], "invalid_json"),
    "gzip_cut_short": (gzip.compress(b'{"a": 1}')[:-9], "invalid_gzip"),
    "gzip_in_name_only": (b"\x1f\x8bnot gzip at all", "invalid_gzip"),
}


@pytest.mark.parametrize(("body", "code"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
async def test_bad_bodies_are_a_clear_400(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis, body: bytes, code: str
) -> None:
    """Bombs, broken JSON and oversize: never a 500, and nothing is enqueued."""
    check_refusal(await http.post("/v1/track", content=body, headers=KEY), 400, code)
    assert await taken(fake) == []


BROKEN_TEXTS = {
    "cut_emoji": (b"Ten things we love \\ud83d", "Ten things we love \ufffd"),
    "its_other_half": (b"\\uDE00 things", "\ufffd things"),
    "whole_emoji": (b"\\ud83d\\ude00", "\U0001f600"),
    "not_utf8": (b"Caf\xe9", "Caf\ufffd"),
    "line_break": (b"one\ntwo", "one\ntwo"),
}


@pytest.mark.parametrize(("title", "read"), BROKEN_TEXTS.values(), ids=BROKEN_TEXTS.keys())
@pytest.mark.parametrize("front", [b"", b"\xef\xbb\xbf"])
async def test_a_broken_text_costs_neither_its_event_nor_the_batch(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis, title: bytes, read: str, front: bytes
) -> None:
    """An SDK throws a refused batch away, with the events of everybody in it."""
    cut = b'{"type":"track","event":"Read","userId":"u2","properties":{"title":"%s","\\udc00":1}}'
    whole = json.dumps({"type": "track", **EVENT}).encode()
    body = front + b'{"batch":[%s,%s,%s]}' % (whole, cut % title, whole)
    reply = await http.post("/v1/batch", content=body, headers=KEY)
    assert (reply.status_code, reply.json()) == (200, {"success": True})
    first, second, third = await taken(fake)
    assert (first["userId"], third["userId"]) == ("u1", "u1")
    assert second["properties"] == {"title": read, "\ufffd": 1}


async def test_an_unknown_key_is_401_and_enqueues_nothing(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis
) -> None:
    """A key decides the account; without one there is none."""
    check_refusal(await http.post("/v1/track", json=EVENT), 401, "missing_write_key")
    wrong = {**EVENT, "writeKey": "nope"}
    check_refusal(await http.post("/v1/track", json=wrong), 401, "invalid_write_key")
    assert await taken(fake) == []


@pytest.mark.parametrize("error", [RedisConnectionError("away"), OutOfMemoryError("full")])
async def test_a_redis_that_is_away_or_full_is_503_with_retry_after(
    settings: Settings, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SDKs keep the event and come again; /readyz says no and /healthz still yes."""

    async def fail(*_: object, **__: object) -> None:
        raise error

    async with fakeredis.FakeAsyncRedis() as fake:
        monkeypatch.setattr("redis.asyncio.client.Pipeline.execute", fail)
        monkeypatch.setattr(fake, "xadd", fail)
        transport = httpx.ASGITransport(create_app(settings, fake))
        async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as http:
            reply = await http.post("/v1/track", json=EVENT, headers=KEY)
            check_refusal(reply, 503, "unavailable")
            assert 0 < int(reply.headers["Retry-After"]) <= 300
            assert (await http.get("/readyz")).status_code == 503
            assert (await http.get("/healthz")).status_code == 200


async def test_a_full_raw_stream_is_503_until_it_is_shorter(fake: fakeredis.FakeAsyncRedis) -> None:
    """The bound holds over HTTP too."""
    producer = AsyncProducer(fake, bound=1)
    await producer.send_all([b'{"n": 1}'])
    with pytest.raises(QueueFull):
        await producer.send_all([b'{"n": 2}'])
    await fake.delete(keys.RAW)
    await producer.send_all([b'{"n": 3}'])
    assert await taken(fake) == [{"n": 3}]


async def test_browsers_may_call_from_any_site(http: httpx.AsyncClient) -> None:
    """The pre-flight that an Authorization header causes is answered."""
    headers = {
        "Origin": "https://shop.example.com",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    reply = await http.options("/v1/t", headers=headers)
    assert reply.status_code == 200
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    posted = await http.post("/v1/t", json=EVENT, headers={**KEY, "Origin": headers["Origin"]})
    assert posted.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("path", ["/v1/batch", "//v1/batch", "/v1/batch//", "//v1/t/"])
async def test_slashes_around_a_path_do_not_count(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis, path: str
) -> None:
    """A base URL that ends in one makes two of them; browsers ask such a path, too, whether they may."""
    url = f"http://ingest{path}"
    reply = await http.post(url, json={**EVENT, "batch": [EVENT]}, headers=KEY)
    assert reply.status_code == 200
    assert len(await taken(fake)) == 1
    asking = {"Origin": "https://shop.example.com", "Access-Control-Request-Method": "POST"}
    assert (await http.options(url, headers=asking)).status_code == 200


@pytest.mark.parametrize("path", ["/v1/track", "/healthz"])
async def test_a_request_that_tells_its_length_in_two_ways_is_refused(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis, path: str
) -> None:
    """Where a proxy believes the other one, a body could hold another client's next request."""
    both = {**KEY, "Content-Length": "32", "Transfer-Encoding": "chunked"}
    reply = await http.post(path, content=json.dumps(EVENT).encode(), headers=both)
    check_refusal(reply, 400, "two_lengths")
    assert reply.headers["Connection"] == "close"
    assert await taken(fake) == []


async def test_a_browser_may_read_a_refusal(http: httpx.AsyncClient) -> None:
    """Or its console would speak of CORS and hide what is wrong."""
    origin = {"Origin": "https://shop.example.com"}
    for reply in (
        await http.post("/v1/t", content=b"{", headers={**KEY, **origin}),
        await http.post("/v1/t", json=EVENT, headers=origin),
        await http.get("/v1/t", headers=origin),
    ):
        assert reply.status_code in {400, 401, 405}
        assert reply.headers["Access-Control-Allow-Origin"] == "*"
        assert reply.headers["Access-Control-Expose-Headers"] == "Retry-After"


async def test_healthz_and_readyz_answer_200(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis
) -> None:
    """/healthz: the process answers. /readyz: Redis would take an event, of which nothing is left."""
    assert (await http.get("/healthz")).status_code == 200
    assert (await http.get("/readyz")).status_code == 200
    assert await fake.keys("sailpipe:raw*") == []


async def test_what_is_not_served_is_refused_in_the_same_shape(http: httpx.AsyncClient) -> None:
    """A wrong path or method must not look like success to any SDK."""
    check_refusal(await http.post("/v1/nothing", json=EVENT), 404, "not_found")
    reply = await http.get("/v1/track")
    check_refusal(reply, 405, "method_not_allowed")
    assert reply.headers["Allow"] == "POST"
