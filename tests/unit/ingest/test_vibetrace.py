"""Vibetrace's event API over ASGI: its answers word for word, its rules, and the order in which they are asked."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import fakeredis
import httpx
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError

from pipeline.clock import ManualClock
from pipeline.events.models import parse_event
from pipeline.ingest import create_app
from pipeline.ingest.upstream import Upstream
from pipeline.ingest.vibetrace import MAX_BODY_BYTES
from pipeline.ingest.vibetrace_events import EventType
from pipeline.producer import AsyncProducer, enqueue_error
from pipeline.sailthru.answers import Accepted, Answer, Failed, Failure
from pipeline.sailthru.calls import Call
from pipeline.settings import load_settings
from pipeline.storage import keys

CREATED = {
    "results": {
        "message": "Event created",
        "email": "Event was created for the specified user",
    }
}
ANN = {"_id": "42"}
ORDER = {
    "orderId": "A-1",
    "items": [{"id": "l1", "title": "Lamp", "price": 18.99, "url": "https://shop.example/l1"}],
}
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


class Sailthru:
    """Knows everybody whose name begins with a digit or an `a`, unless it is down."""

    def __init__(self) -> None:
        self.is_down = False
        self.asked = 0

    async def call(self, account: str, method: str, endpoint: str, params: Any) -> Answer:
        self.asked += 1
        if self.is_down:
            return Failed(Failure.UNAVAILABLE, 503, None, "HTTP 503")
        if params["id"][0] in "0123456789a":
            return Accepted(200, {"keys": {}})
        return Failed(Failure.USER_NOT_FOUND, 400, 99, "User not found with")

    async def ask(self, account: str, call: Call) -> Answer:
        return await self.call(account, call.method, call.endpoint, call.params)


class Api:
    """A caller of the API, and what has become of its calls."""

    def __init__(self, http: httpx.AsyncClient, fake: fakeredis.FakeAsyncRedis) -> None:
        self.http = http
        self.fake = fake

    async def post(
        self, event: Any, user: Any = ANN, *, key: str = "erp", **headers: str
    ) -> httpx.Response:
        sent = {"Authorization": key, **headers}
        return await self.http.post("/v1/event", json={"user": user, "event": event}, headers=sent)

    async def create(self, event: Any, user: Any = ANN, *, key: str = "erp") -> None:
        """It is answered as taken, be it dropped or not."""
        reply = await self.post(event, user, key=key)
        assert (reply.status_code, reply.json()) == (200, CREATED)

    async def entries(self) -> list[dict[bytes, bytes]]:
        found: Any = await self.fake.xrange(keys.RAW)
        return [fields for _, fields in found]

    async def events(self) -> list[dict[str, Any]]:
        return [json.loads(one[b"event"]) for one in await self.entries()]

    async def accounted(self) -> int:
        """Events that are in Redis, or were counted as ignored."""
        return len(await self.entries()) + sum((await self.counts()).values())

    async def counts(self, account: str = "default") -> dict[str, int]:
        found: Any = await self.fake.hgetall(keys.counts(account))
        return {name.decode(): int(n) for name, n in found.items()}


@pytest.fixture
def sailthru() -> Sailthru:
    return Sailthru()


@pytest.fixture
async def api(tmp_path: Path, sailthru: Sailthru) -> AsyncIterator[Api]:
    async with serving(tmp_path, sailthru) as api:
        yield api


@asynccontextmanager
async def serving(folder: Path, sailthru: Sailthru) -> AsyncIterator[Api]:
    """Two accounts; one has a key of a page's, and one with a rate."""
    (folder / "sailpipe.toml").write_text('[accounts.brand]\nwrite_keys = "brand"\n')
    env = {"SAILPIPE_WRITE_KEYS": "erp,page:browser,slow:server:1"}
    settings = load_settings(env, directory=folder)
    async with fakeredis.FakeAsyncRedis() as fake:
        app = create_app(settings, fake, ManualClock(), cast("Upstream", sailthru))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as http:
            yield Api(http, fake)


def refusal(reply: httpx.Response) -> tuple[int, str]:
    """Status and message, in the only form that Vibetrace has."""
    (error,) = reply.json()["errors"]
    assert set(reply.json()) == {"errors"}
    assert set(error) == {"message", "description"}
    assert error["description"]
    return reply.status_code, error["message"]


@pytest.mark.parametrize("path", ["/v1/event", "/v1/event/"])
async def test_the_sample_of_vibetraces_page_is_answered_word_for_word(api: Api, path: str) -> None:
    """With and without the slash at its end."""
    body = {"user": {"email": "ann@example.com"}, "event": {"update": {"firstname": "alexandru"}}}
    reply = await api.http.post(path, json=body, headers={"Authorization": "erp"})
    assert (reply.status_code, reply.json()) == (200, CREATED)
    (event,) = await api.events()
    assert event["type"] == "identify"
    assert event["traits"] == {"firstname": "alexandru", "email": "ann@example.com"}
    assert event["messageId"]
    assert event["receivedAt"] == event["timestamp"]


async def test_a_request_without_event_is_answered_word_for_word(api: Api) -> None:
    """The other body on Vibetrace's page."""
    body = {"user": {"email": "ann@example.com"}}
    reply = await api.http.post("/v1/event", json=body, headers={"Authorization": "erp"})
    assert reply.status_code == 400
    assert reply.json() == {
        "errors": [
            {
                "message": "Missing event information",
                "description": "Please send event information along with user",
            }
        ]
    }


async def test_the_users_own_event_rides_with_account_role_and_class(api: Api) -> None:
    """As those of every other way in: two accounts, a page's key, and one beyond its rate."""
    await api.create({"search": {}}, key="brand")
    await api.create({"search": {}}, key="page")
    for _ in range(2):
        await api.create({"search": {}}, key="slow")
    assert [
        {name: one[name] for name in one if name != b"event"} for one in await api.entries()
    ] == [
        {b"via": b"vibetrace"} | said
        for said in ({b"account": b"brand"}, {b"role": b"browser"}, {}, {b"class": b"bulk"})
    ]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("", (401, "Missing write key")),
        ("nope", (401, "Invalid write key")),
        ("Basic ZXJwOg==", (401, "Invalid write key")),
    ],
)
async def test_the_key_is_the_whole_header(api: Api, key: str, expected: tuple[int, str]) -> None:
    """Without a scheme, as at Vibetrace."""
    assert refusal(await api.post({"search": {}}, key=key)) == expected
    assert await api.entries() == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Invalid json"),
        (b"[]", "Invalid json"),
        (b'"user": {}', "Invalid json"),
        (b"\x1f\x8bxx", "Invalid gzip"),
        (b" " * (MAX_BODY_BYTES + 1), "Too large"),
        (gzip.compress(b" " * (MAX_BODY_BYTES + 1)), "Too large"),
        (json.dumps({"user": ANN, "event": {"a": {"b": "x" * 33_000}}}).encode(), "Too large"),
        (json.dumps({"user": ANN, "event": {"a" * 600: {}}}).encode(), "Invalid event"),
        (json.dumps({"user": ANN, "event": {" ": {}}}).encode(), "Invalid event"),
    ],
)
async def test_a_body_that_cannot_be_taken_is_400(api: Api, content: bytes, message: str) -> None:
    """What could only become a dead letter is refused, since one caller waits for one answer."""
    reply = await api.http.post("/v1/event", content=content, headers={"Authorization": "erp"})
    assert refusal(reply) == (400, message)
    assert await api.entries() == []


async def test_a_packed_body_is_read(api: Api) -> None:
    """As on every other path."""
    content = gzip.compress(json.dumps({"user": ANN, "event": {"search": {}}}).encode())
    reply = await api.http.post("/v1/event", content=content, headers={"Authorization": "erp"})
    assert reply.status_code == 200


async def test_another_method_is_405(api: Api) -> None:
    reply = await api.http.get("/v1/event")
    assert refusal(reply) == (405, "Method not allowed")
    assert reply.headers["allow"] == "POST"


async def test_a_page_may_ask_first(api: Api) -> None:
    """Its browser sends a preflight, since the header Authorization is none of the simple ones."""
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    asked["Access-Control-Request-Headers"] = "Authorization"
    reply = await api.http.options("/v1/event", headers=asked)
    assert reply.status_code == 200
    assert reply.headers["access-control-allow-origin"] == "*"


async def test_a_user_whom_nobody_knows_is_an_error(api: Api, sailthru: Sailthru) -> None:
    """A server's key only: with a page's any visitor could ask whose addresses the shop has."""
    stranger = {"email": "bob@example.com"}
    assert refusal(await api.post({"search": {}}, stranger)) == (400, "User not found")
    await api.create({"search": {}}, stranger, key="page")
    assert await api.entries() == []
    assert await api.counts() == {"ignored:unknown_user": 1}


async def test_a_user_who_cannot_be_asked_about_is_taken_and_counted(
    api: Api, sailthru: Sailthru
) -> None:
    """Delivery waits for its users all the same."""
    sailthru.is_down = True
    await api.create({"search": {}}, {"email": "bob@example.com"})
    assert len(await api.entries()) == 1
    assert await api.counts() == {"unchecked_users": 1}


async def test_what_a_bot_did_is_dropped_and_counted(api: Api, sailthru: Sailthru) -> None:
    """By the user agent inside the event. That of the request is its caller's library's."""
    await api.create({"viewitem": {"itemId": 1, "userAgent": GOOGLEBOT}}, {"_id": "bob"})
    assert (await api.entries(), await api.counts(), sailthru.asked) == ([], {"ignored:bot": 1}, 0)
    reply = await api.post({"viewitem": {"itemId": 1}}, **{"User-Agent": GOOGLEBOT})
    assert reply.status_code == 200
    assert len(await api.entries()) == 1


async def test_a_second_confirmation_of_an_order_is_dropped(api: Api) -> None:
    """Whoever it names, and whether its items are whole; another account's and another order are not."""
    await api.create({"confirmation": ORDER})
    await api.create({"confirmation": {"orderId": "A-1"}}, {"_id": "43"})
    await api.create({"confirmation": {"generic": {"orderId": "A-2"}}})
    await api.create({"confirmation": {"orderId": "A-2"}})
    await api.create({"confirmation": ORDER}, key="brand")
    await api.create({"confirmation": {"orderId": "undefined"}})
    await api.create({"confirmation": {"orderId": "undefined"}})
    assert [one["event"] for one in await api.events()] == [
        *("Order Completed", "confirmation", "Order Completed"),
        *["confirmation"] * 2,
    ]
    assert await api.counts() == {"ignored:repeated_confirmation": 2}


async def test_of_a_persons_opened_mails_one_is_taken_in_twenty_minutes(api: Api) -> None:
    """By whichever name the person goes, once it is known that they are one."""
    await api.fake.hset(keys.aliases("default", "0"), "email:ann@example.com", "1 42")
    await api.create({"email_open": {}}, {"_id": "42"})
    await api.create({"open": {}}, {"email": "Ann@example.com"})
    await api.create({"email_open": {}}, {"_id": "43"})
    await api.create({"email_open": {}}, {"_id": "43"}, key="page")
    assert len(await api.entries()) == 3
    assert await api.counts() == {"ignored:repeated_open": 1}


async def test_a_request_that_is_refused_takes_no_place_of_a_good_one(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a stranger, of a page, too large, and one that came while nothing could be appended."""
    confirmation = {"confirmation": ORDER}
    await api.post(confirmation, {"_id": "bob"})
    await api.post(confirmation, key="page")
    await api.post({"confirmation": {**ORDER, "note": "x" * 33_000}})
    with monkeypatch.context() as patch:
        patch.setattr(AsyncProducer, "admit", _full)
        assert refusal(await api.post(confirmation)) == (503, "Unavailable")
    assert await api.entries() == []
    await api.create(confirmation)
    assert len(await api.entries()) == 1
    assert await api.counts() == {}


async def _full(*_: Any) -> None:
    raise enqueue_error(OutOfMemoryError())


@pytest.mark.parametrize(
    "event",
    [
        {"confirmation": ORDER},
        {"confirmation": {"orderId": "A-1"}},
        {"generic": {"event_name": "Order Completed"}},
        {"generic": {"event_name": "User Deleted"}},
    ],
)
async def test_what_a_page_may_not_send_is_403(api: Api, event: dict[str, Any]) -> None:
    """An order under whichever name, be it whole or not."""
    assert refusal(await api.post(event, key="page")) == (403, "Refused by role")
    assert await api.entries() == []
    await api.create(event)


async def test_an_added_item_of_a_person_with_an_email_alone_is_a_cart_once_the_email_leads_to_a_user(
    api: Api,
) -> None:
    """Until then its cart change would die for want of a userId."""
    added, ann = {"addtocart": ORDER["items"][0]}, {"email": "ann@example.com"}
    await api.create(added, ann)
    await api.fake.hset(keys.aliases("default", "0"), "email:ann@example.com", "1 42")
    await api.create(added, ann)
    assert [one["event"] for one in await api.events()] == ["addtocart", "Product Added"]


async def test_while_redis_is_away_the_caller_is_to_come_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the same form, with Retry-After."""

    async def away(*_: Any, **__: Any) -> None:
        raise RedisConnectionError

    monkeypatch.setattr("redis.asyncio.client.Pipeline.execute", away)
    reply = await api.post({"search": {}})
    assert refusal(reply) == (503, "Unavailable")
    assert reply.headers["retry-after"] == "5"


NAMES = st.sampled_from(
    [
        "_id",
        "email",
        *EventType,
        "items",
        "orderId",
        "itemId",
        "title",
        "price",
        "url",
        "event_name",
    ]
)
VALUES = st.recursive(
    st.sampled_from([None, False, "", "42", 42, 1e300, "ann@example.com", "\ud83d", GOOGLEBOT]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
BODIES = st.fixed_dictionaries(
    {
        "user": st.just(ANN) | VALUES,
        "event": st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, max_size=5), max_size=2),
    },
    optional={"messageId": VALUES},
)


@given(st.lists(st.tuples(BODIES, st.sampled_from(["erp", "page"])), min_size=1, max_size=20))
@hypothesis_settings(max_examples=40)
def test_any_request_is_taken_dropped_and_counted_or_refused_in_the_form(
    tmp_path_factory: pytest.TempPathFactory, requests: list[tuple[dict[str, Any], str]]
) -> None:
    """No event lies in Redis that the splitter could not read, and none is answered as taken and is nowhere."""

    async def run() -> None:
        async with serving(tmp_path_factory.getbasetemp(), Sailthru()) as api:
            for body, key in requests:
                before = await api.accounted()
                content = json.dumps(body)
                headers = {"Authorization": key}
                reply = await api.http.post("/v1/event", content=content, headers=headers)
                if reply.status_code == 200:
                    assert await api.accounted() > before
                else:
                    assert refusal(reply)[0] in {400, 403}
                    assert await api.accounted() == before
            for one in await api.entries():
                parse_event(one[b"event"])

    asyncio.run(run())
