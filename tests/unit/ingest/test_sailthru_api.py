"""Sailthru's own API over ASGI and fakeredis: what is queued, what is passed on, and each refusal in Sailthru's form."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import fakeredis
import httpx
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from pipeline.clock import ManualClock
from pipeline.errors import QueueFull
from pipeline.ingest import create_app
from pipeline.ingest.sailthru import PASSED_ON
from pipeline.ingest.upstream import NotNow, Upstream
from pipeline.producer import AsyncProducer
from pipeline.sailthru.answers import Accepted, Answer, Failed, Failure, read_answer
from pipeline.sailthru.calls import Call, HandedCall, Upload
from pipeline.sailthru.client import Reply
from pipeline.sailthru.signing import signature, signed
from pipeline.settings import Settings, load_settings
from pipeline.storage import keys

EMAIL = "ann@example.com"
EVENT = {"id": EMAIL, "event": "attendingConcert", "schedule_time": "March 1, 2017 8:00pm EST"}
ITEM = {"id": "p1", "title": "Tea", "price": 450, "qty": 2, "url": "https://shop.example/p1"}
RATE = {
    "X-Rate-Limit-Limit": "18000",
    "X-Rate-Limit-Remaining": "17",
    "X-Rate-Limit-Reset": "1700000000",
}


class FakeUpstream(Upstream):
    """Answers every call alike."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, fakeredis.FakeAsyncRedis())
        self.calls: list[tuple[str, Call]] = []
        self.reply = Reply(200, {"Content-Type": "application/json", **RATE, "Set-Cookie": "a=b"})
        self.reply.body += b'{ "ok" : true }'
        self.answer: Answer = Accepted(200, {})
        self.refusal: NotNow | None = None

    async def exchange(self, account: str, call: Call) -> tuple[Answer, Reply]:
        if self.refusal:
            raise self.refusal
        self.calls.append((account, call))
        return self.answer, self.reply


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    env = {"SAILPIPE_API_KEY": "new,old", "SAILPIPE_API_SECRET": "s-new,s-old"}
    (tmp_path / "sailpipe.toml").write_text(
        '[accounts.news]\napi_key = "news"\napi_secret = "first,second"\n'
    )
    return load_settings(env, directory=tmp_path)


@pytest.fixture
def upstream(settings: Settings) -> FakeUpstream:
    return FakeUpstream(settings)


@pytest.fixture
async def fake() -> AsyncIterator[fakeredis.FakeAsyncRedis]:
    async with fakeredis.FakeAsyncRedis() as client:
        yield client


@pytest.fixture
async def http(
    settings: Settings, fake: fakeredis.FakeAsyncRedis, upstream: FakeUpstream
) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings, fake, ManualClock(), upstream)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as client:
        yield client


def form(params: Any, key: str = "new", secret: str = "s-new", **more: str) -> dict[str, str]:  # noqa: S107
    """A signed form; `more` is signed, too."""
    fields = signed(params, key, secret) | more
    return fields | {"sig": signature(secret, {k: v for k, v in fields.items() if k != "sig"})}


async def taken(fake: fakeredis.FakeAsyncRedis) -> list[dict[str, Any]]:
    entries: Any = await fake.xrange(keys.RAW)
    return [json.loads(fields[b"event"]) for _, fields in entries]


def check_refusal(reply: httpx.Response, status: int, code: int) -> str:
    """Exactly the two fields that Sailthru's Python client takes for an error; returns its text."""
    body = reply.json()
    assert (reply.status_code, body["error"]) == (status, code), body
    assert body.keys() == {"error", "errormsg"}
    message: str = body["errormsg"]
    return message


@pytest.mark.parametrize(
    ("endpoint", "params"),
    [
        ("/event", EVENT),
        ("/event/", {"id": "1234567890", "key": "sid", "event": "userPostedComment"}),
        ("/event", {**EVENT, "vars": {"url": "http://example.com/123", "n": {"a": [1, 2.5]}}}),
        ("/user", {"id": "u1", "key": "extid", "keys": {"email": EMAIL}, "fields": {}}),
        ("/purchase", {"email": EMAIL, "items": [ITEM], "incomplete": 1}),
        ("/purchase", {"email": EMAIL, "items": [], "incomplete": 1}),
        ("/purchase", {"email": EMAIL, "items": [ITEM]}),
        ("/return", {"email": EMAIL, "items": [ITEM]}),
    ],
)
async def test_a_signed_post_is_queued_as_it_is(
    http: httpx.AsyncClient,
    fake: fakeredis.FakeAsyncRedis,
    upstream: FakeUpstream,
    endpoint: str,
    params: dict[str, Any],
) -> None:
    """Every parameter of the documents; Sailthru is not called."""
    reply = await http.post(endpoint, data=form(params))
    assert (reply.status_code, reply.json()) == (200, {"ok": True})
    (event,) = await taken(fake)
    found: Any = await fake.xrange(keys.RAW)
    [(_, entry)] = found
    assert (entry.keys(), entry[b"via"]) == ({b"event", b"via"}, b"sailthru")
    expected = {"type": "sailthru", "endpoint": f"/{endpoint.strip('/')}", "params": params}
    assert event == {**expected, "messageId": reply.headers["x-sailpipe-trace"]}
    assert upstream.calls == []


async def test_two_equal_requests_are_two_events(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis
) -> None:
    """A second concert is meant, for all that anyone can tell."""
    for _ in range(2):
        await http.post("/event", data=form(EVENT))
    first, second = await taken(fake)
    assert first["messageId"] != second["messageId"]


@pytest.mark.parametrize(
    ("key", "secret", "account"),
    [
        ("new", "s-new", None),
        ("old", "s-old", None),
        ("news", "first", b"news"),
        ("news", "second", b"news"),
    ],
)
async def test_a_key_says_which_account_and_may_be_one_of_two(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis, key: str, secret: str, account: Any
) -> None:
    """While a key or secret is being changed."""
    reply = await http.post("/event", data=form(EVENT, key, secret))
    assert reply.status_code == 200
    [(_, fields)] = await fake.xrange(keys.RAW) or []
    assert (fields or {}).get(b"account") == account


async def test_the_sandboxs_account_has_the_sandboxs_key(
    fake: fakeredis.FakeAsyncRedis, tmp_path: Path
) -> None:
    """Without an API key."""
    app = create_app(load_settings({}, directory=tmp_path), fake, ManualClock())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as client:
        reply = await client.post("/event", data=form(EVENT, "sandbox", "sandbox"))
    assert reply.status_code == 200


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({}, 400, 2),
        ({"api_key": "new", "format": "json", "json": "{}"}, 400, 2),
        ({"format": "json", "json": "{}", "sig": "x"}, 400, 2),
        ({"api_key": "new", "format": "json", "sig": "x"}, 400, 2),
        (form(EVENT, key="nobody"), 401, 3),
        (form(EVENT, secret="s-old"), 401, 5),
        (form(EVENT, key="old"), 401, 5),
        ({**form(EVENT), "json": json.dumps(EVENT)}, 401, 5),
        ({**form(EVENT), "more": "1"}, 401, 5),
        ({**form(EVENT), "sig": "\u00e9"}, 401, 5),
        (form([1]), 400, 99),
        (form("text"), 400, 99),
        (form({}, json="{"), 400, 99),
        (form({}, json='{"id":1e999,"event":"a"}'), 400, 99),
        (form({}, json="[" * 300 + "]" * 300), 400, 99),
        (form({}), 400, 2),
        (form([]), 400, 2),
        (form({"id": EMAIL}), 400, 2),
        (form({"id": EMAIL, "event": ""}), 400, 2),
        (form({"id": EMAIL, "event": "purchase"}), 400, 99),
        (form({"id": "ann@", "event": "a", "key": "email"}), 400, 11),
        (form({"id": "x" * 600, "key": "extid", "event": "a"}), 400, 99),
        (form({**EVENT, "vars": {"a": "b" * 33_000}}), 413, 99),
        (form({**EVENT, "vars": {"a": "b" * 600_000}}), 413, 99),
        ({str(n): "" for n in range(101)}, 400, 99),
    ],
    ids=str,
)
async def test_what_is_wrong_is_refused_in_sailthrus_form(
    http: httpx.AsyncClient,
    fake: fakeredis.FakeAsyncRedis,
    fields: dict[str, str],
    status: int,
    code: int,
) -> None:
    """With its status; nothing is queued, and nothing that was sent is quoted."""
    reply = await http.post("/event", data={"format": "json", **fields})
    message = check_refusal(reply, status, code)
    assert EMAIL not in message
    assert await taken(fake) == []


@pytest.mark.parametrize(
    ("endpoint", "params", "code"),
    [
        ("/purchase", {"items": [ITEM]}, 2),
        ("/purchase", {"email": "ann", "items": [ITEM]}, 11),
        ("/purchase", {"email": EMAIL, "items": {}}, 99),
        ("/return", {"email": EMAIL}, 99),
        ("/user", {"vars": {"a": 1}}, 2),
    ],
)
async def test_a_call_that_sailthru_would_refuse_for_certain_is_refused_at_once(
    http: httpx.AsyncClient, endpoint: str, params: dict[str, Any], code: int
) -> None:
    """Its client can still be told."""
    check_refusal(await http.post(endpoint, data=form(params)), 400, code)


async def test_what_is_no_utf8_is_refused_with_error_6(http: httpx.AsyncClient) -> None:
    """In the form, and in the bytes that it stands for."""
    for body in (b"api_key=new&format=json&json=%FF&sig=x", b"format=json&json=\xff"):
        check_refusal(await http.post("/event", content=body), 400, 6)


@pytest.mark.parametrize("reply_format", [None, "xml", "php"])
async def test_a_refusal_is_xml_unless_json_was_asked_for(
    http: httpx.AsyncClient, reply_format: str | None
) -> None:
    """As Sailthru's own is (reference: sailthru-api 1)."""
    fields = {} if reply_format is None else {"format": reply_format}
    reply = await http.post("/event", data=fields)
    assert reply.status_code == 400
    assert reply.headers["content-type"].startswith("application/xml")
    assert "<triggermail><error>2</error><errormsg>Missing" in reply.text


@pytest.mark.parametrize(
    ("method", "path", "params"),
    [
        ("GET", "/user", {"id": "u1", "key": "extid", "fields": {"vars": 1}}),
        ("DELETE", "/user", {"id": EMAIL}),
        ("POST", "/user", {"id": EMAIL, "fields": {"keys": 1}}),
        ("GET", "/purchase", {"purchase_id": "o1", "purchase_key": "extid"}),
        ("GET", "/event", {}),
        *(("POST", f"/{name}", {"template": "t", "email": EMAIL}) for name in PASSED_ON),
        ("GET", "/template", []),
    ],
    ids=str,
)
async def test_everything_else_is_passed_on_as_it_came(
    http: httpx.AsyncClient,
    fake: fakeredis.FakeAsyncRedis,
    upstream: FakeUpstream,
    method: str,
    path: str,
    params: Any,
) -> None:
    """The same JSON text; the reply's status, body and rate headers, and nothing else of its head."""
    text = json.dumps(params, indent=1)
    sent = form({}, json=text)
    if method == "POST":
        reply = await http.post(path, data=sent)
    else:
        reply = await http.request(method, path, params=sent)
    read = {} if params == [] else params
    assert upstream.calls == [("default", HandedCall(method, path, read, text))]  # type: ignore[arg-type]
    assert (reply.status_code, reply.content) == (200, b'{ "ok" : true }')
    assert {name: reply.headers[name] for name in RATE} == RATE
    assert "set-cookie" not in reply.headers
    assert await taken(fake) == []


UPLOAD = {"file": ("users.txt", b"\x00\xffann@example.com\r\n", "text/plain")}


async def test_a_file_is_passed_on_with_its_call(
    http: httpx.AsyncClient, upstream: FakeUpstream
) -> None:
    """It is no part of what was signed."""
    sent = form({"job": "import", "list": "News"})
    reply = await http.post("/job", data=sent, files=UPLOAD)
    assert reply.status_code == 200
    [(_, call)] = upstream.calls
    assert isinstance(call, HandedCall)
    name, content, kind = UPLOAD["file"]
    assert (call.bucket, call.params["list"]) == ("POST /job", "News")
    assert call.upload == Upload("file", name, kind, content)


async def test_a_form_of_several_parts_without_a_file_is_as_any_other(
    http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis
) -> None:
    """PHP's client writes one once it has uploaded something."""
    parts: Any = {name: (None, text) for name, text in form(EVENT).items()}
    assert (await http.post("/event", files=parts)).json() == {"ok": True}
    assert len(await taken(fake)) == 1


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"data": form({}, secret="wrong"), "files": UPLOAD}, 401, 5),
        ({"data": form({}), "files": [*UPLOAD.items(), *UPLOAD.items()]}, 400, 99),
        ({"data": form({}), "files": {"file": ("f", b"a" * 10_000_001)}}, 413, 99),
        ({"content": b"--x\r\n", "headers": {"Content-Type": "multipart/form-data"}}, 400, 99),
        (
            {
                "content": b"nonsense",
                "headers": {"Content-Type": "multipart/form-data; boundary=x"},
            },
            400,
            99,
        ),
        ({"content": b"", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400, 2),
    ],
    ids=["signature", "two files", "too large", "no boundary", "no form", "empty"],
)
async def test_an_upload_that_is_wrong_is_refused(
    http: httpx.AsyncClient, upstream: FakeUpstream, sent: Any, status: int, code: int
) -> None:
    """Before anything is passed on."""
    reply = await http.post("/job", **sent)
    assert reply.status_code == status
    assert str(code) in reply.text
    assert upstream.calls == []


async def test_a_refusal_of_sailthrus_is_passed_back(
    http: httpx.AsyncClient, upstream: FakeUpstream
) -> None:
    """With its status."""
    upstream.reply.headers = {"Content-Type": "tëxt ☃"}  # an odd proxy's
    upstream.reply.status, upstream.reply.body = 400, bytearray(b'{"error":99,"errormsg":"no"}')
    upstream.answer = read_answer(400, bytes(upstream.reply.body), {})
    reply = await http.get("/user", params=form({"id": "u1"}))
    assert (reply.status_code, reply.json()) == (400, {"error": 99, "errormsg": "no"})


@pytest.mark.parametrize("reply_format", ["xml", "XML"])
async def test_a_call_whose_answer_is_to_be_xml_is_passed_on(
    http: httpx.AsyncClient, upstream: FakeUpstream, reply_format: str
) -> None:
    """Only Sailthru knows what its XML looks like."""
    await http.post("/event", data=form(EVENT, format=reply_format))
    [(_, call)] = upstream.calls
    assert isinstance(call, HandedCall)
    assert (call.bucket, call.reply_format) == ("POST /event", "xml")


@pytest.mark.parametrize(("ambiguous", "status"), [(True, 502), (False, 503)])
async def test_a_call_without_an_answer_says_whether_it_may_have_been_made(
    http: httpx.AsyncClient, upstream: FakeUpstream, *, ambiguous: bool, status: int
) -> None:
    """A mail must not be sent twice because a client took it for unsent."""
    upstream.reply = Reply(broken="timed out")
    upstream.answer = Failed(Failure.UNAVAILABLE, None, None, "timed out", ambiguous=ambiguous)
    reply = await http.post("/send", data=form({"template": "t", "email": EMAIL}))
    check_refusal(reply, status, 9)
    assert ("retry-after" in reply.headers) is not ambiguous


async def test_a_call_that_cannot_be_made_now_says_when_to_come_again(
    http: httpx.AsyncClient, upstream: FakeUpstream
) -> None:
    """Its slot is too far away, or delivery is paused."""
    upstream.refusal = NotNow("Calls are stopped (paused)", 59.2)
    reply = await http.get("/user", params=form({"id": "u1"}))
    assert "paused" in check_refusal(reply, 503, 9)
    assert reply.headers["retry-after"] == "60"


@pytest.mark.parametrize("trouble", [RedisConnectionError("gone"), QueueFull("Redis is full")])
async def test_a_redis_that_is_away_or_full_is_error_9(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    """Nothing was taken; Sailthru's clients retry a 9."""

    async def refuse(*_: object) -> None:
        raise trouble

    monkeypatch.setattr(AsyncProducer, "_check_format", refuse)
    reply = await http.post("/event", data=form(EVENT))
    check_refusal(reply, 503, 9)
    assert int(reply.headers["retry-after"]) > 0


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "HEAD"])
async def test_other_methods_are_not_supported(http: httpx.AsyncClient, method: str) -> None:
    """Error 1."""
    reply = await http.request(method, "/event", params=form(EVENT))
    assert reply.status_code == 405
    assert reply.headers["Allow"] == "GET, POST, DELETE"


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/track"])
async def test_segments_api_takes_no_call_of_sailthrus(
    fake: fakeredis.FakeAsyncRedis, path: str, tmp_path: Path
) -> None:
    """A write key may not do what the account's secret may: such an event has no type, and dies of it."""
    app = create_app(load_settings({}, directory=tmp_path), fake, ManualClock())
    native = {"type": "sailthru", "endpoint": "/user", "params": {"id": "u1"}, "userId": "u1"}
    body = {"batch": [native]} if path == "/v1/batch" else native
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as client:
        reply = await client.post(path, json=body, auth=("sandbox", ""))
    assert reply.status_code == 200
    (event,) = await taken(fake)
    assert event.get("type") == ("track" if path == "/v1/track" else None)
