"""Whatever JSON arrives, the server either refuses it clearly or passes it on whole."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import Callable
from typing import Any, TypeVar, cast

import fakeredis
import httpx
import pydantic_core
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.clock import ManualClock
from pipeline.ingest import create_app
from pipeline.ingest.answers import HttpError
from pipeline.ingest.bodies import read_object
from pipeline.ingest.segment import BATCH_PATHS, SINGLE_PATHS
from pipeline.ingest.segment_events import Arrival, batch_events, single_event
from pipeline.settings import load_settings
from pipeline.storage import keys

T = TypeVar("T")
KEY = {"Authorization": "Basic " + base64.b64encode(b"sandbox:").decode()}
ARRIVAL = Arrival(1_763_812_800.0, lambda: "fresh")
OURS = {
    "writeKey",
    "sailpipe",
    "type",
    "messageId",
    "timestamp",
    "originalTimestamp",
    "sentAt",
    "receivedAt",
}
"""What the server may write or take away; `context` and `integrations` only in batches."""

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT
TIMES = st.sampled_from(
    ["2026-11-22T11:00:00Z", "0001-01-01", "9999-12-31T23:59:59+14:00", "2026-W47", "now", ""]
)
VALUES = st.recursive(
    SCALARS | TIMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from([*sorted(OURS), "batch", "context", "integrations", "userId"]) | TEXT
BODIES = st.dictionaries(NAMES, VALUES | TIMES, max_size=8)
BATCHES = st.fixed_dictionaries(
    {"batch": st.lists(BODIES | VALUES, max_size=4)},
    optional={"context": VALUES, "integrations": VALUES, "sentAt": VALUES | TIMES},
)


@settings(max_examples=200)
@given(BODIES)
def test_a_single_event_keeps_all_that_its_producer_wrote(body: dict[str, Any]) -> None:
    """Nothing is lost or changed but what the server says it writes; an id is always there."""
    event = pydantic_core.from_json(single_event(body, "track", ARRIVAL))
    assert event["type"] == "track"
    assert str(event["messageId"]).strip()
    assert {name: value for name, value in event.items() if name not in OURS} == {
        name: value for name, value in body.items() if name not in OURS
    }


@settings(max_examples=200)
@given(BATCHES | BODIES)
def test_a_batch_is_taken_whole_or_refused(body: dict[str, Any]) -> None:
    """As many entries as there were items, each of them JSON, and an object where the item was one; else a 400."""
    found = outcome(lambda: list(batch_events(body, ARRIVAL)))
    if isinstance(found, HttpError):
        assert found.status == 400
    else:
        entries = [pydantic_core.from_json(raw) for raw in found]
        assert [type(entry) for entry in entries] == [type(item) for item in body["batch"]]


@settings(max_examples=200)
@given(st.binary(max_size=60) | TEXT.map(str.encode) | VALUES.map(json.dumps).map(str.encode))
def test_any_bytes_are_an_object_or_a_400(body: bytes) -> None:
    """The reader has no third way."""
    found = outcome(lambda: read_object(body))
    if isinstance(found, HttpError):
        assert (found.status, found.code) == (400, "invalid_json")
    else:
        assert isinstance(found, dict)


def outcome(act: Callable[[], T]) -> T | HttpError:
    """What the server returns, or its refusal; any other exception fails the test."""
    try:
        return act()
    except HttpError as refusal:
        return refusal


def packed_or_not(bodies: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return bodies | bodies.map(lambda body: gzip.compress(body, mtime=0))


WHOLE = BATCHES.map(json.dumps).map(str.encode)
BYTES = st.binary(max_size=60) | BODIES.map(json.dumps).map(str.encode) | WHOLE
PATHS = st.sampled_from([*SINGLE_PATHS, *BATCH_PATHS])
HEADERS = st.dictionaries(
    st.sampled_from(["Content-Type", "Content-Encoding", "Authorization", "Expect"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20),
)
ANY = st.tuples(PATHS, packed_or_not(BYTES), HEADERS)
BATCHED = st.tuples(st.sampled_from(BATCH_PATHS), packed_or_not(WHOLE), HEADERS)


@settings(max_examples=200, deadline=None)
@given(st.lists(ANY | BATCHED, max_size=4))
def test_any_request_is_refused_clearly_or_lies_in_the_raw_stream(
    requests: list[tuple[str, bytes, dict[str, str]]],
) -> None:
    """Over the whole API, with a key that it knows or with nonsense: never a 500, nothing half taken."""
    asyncio.run(post_all(requests))


async def post_all(requests: list[tuple[str, bytes, dict[str, str]]]) -> None:
    redis = fakeredis.FakeAsyncRedis()
    server = httpx.ASGITransport(create_app(load_settings({}), redis, ManualClock()))
    async with redis, httpx.AsyncClient(transport=server, base_url="http://ingest") as http:
        for path, body, headers in requests:
            before = await redis.xlen(keys.RAW)
            answer = await http.post(f"/v1/{path}", content=body, headers={**KEY, **headers})
            added = await redis.xlen(keys.RAW) - before
            assert answer.status_code in (200, 400, 401)
            assert answer.json()["success"] is (answer.status_code == 200)
            assert added == (events_in(path, body) if answer.status_code == 200 else 0)
        for _, fields in cast("list[Any]", await redis.xrange(keys.RAW)):
            pydantic_core.from_json(fields[b"event"])


def events_in(path: str, body: bytes) -> int:
    """How many events a body that was taken holds; gzip is known by its first bytes."""
    if path in SINGLE_PATHS:
        return 1
    plain = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
    return len(json.loads(plain)["batch"])
