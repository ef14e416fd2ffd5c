"""Input that is wrong in every way, through the stream and over HTTP."""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter

import httpx
import pytest

from pipeline.ingest.app import create_app
from pipeline.settings import load_settings
from pipeline.storage import keys
from pipeline.storage.redis_client import open_async_redis
from tests.faults.conftest import Open
from tests.faults.support.bad_input import DELIVERED, bad_entries
from tests.faults.support.world import World

FEWEST_KINDS = 200
KEY = ("sandbox", "")
SINGLE = ("/v1/identify", "/v1/track")


def misread(world: World) -> list[str]:
    """Numbers that no shop means: Sailthru takes them without a word."""
    items = [
        item
        for one in world.effects
        if one.endpoint == "/purchase" and one.method == "POST"
        for item in one.params["items"]
    ]
    return [repr(item) for item in items if not is_meant(item["qty"], item["price"])]


def is_meant(quantity: float, price: float) -> bool:
    """Whole pieces at a price (cents) that is one."""
    return quantity >= 1 and quantity == int(quantity) and 0 <= price < math.inf


def outcome_of(letters: dict[str, str], raw: bytes, sid: str) -> str:
    """The reason it died of, or that it did not. What has no id that can be read has its entry's."""
    return letters.get(_id(raw)) or letters.get(sid, DELIVERED)


def _id(raw: bytes) -> str:
    head, _, rest = raw.partition(b'{"messageId": "')
    return "" if head else rest.partition(b'"')[0].decode()


@pytest.mark.timeout(200)
def test_every_kind_of_bad_entry_has_an_allowed_outcome_and_harms_no_other(
    open_world: Open,
) -> None:
    """Each is delivered, ignored or a dead letter with a reason of its own making; none sticks."""
    # Long enough for all of them to be read: an event waits for a user whom a later entry identifies.
    with open_world(USER_WAIT="10s", EMAIL_WAIT="1s") as world:
        worker = world.crew.hire()
        entries = bad_entries()
        assert len(entries) >= FEWEST_KINDS
        strange = [{"nothing": "here"}, {"event": "{}", "account": "not-configured"}]
        sent = [*({"event": raw} for raw, _ in entries), *strange]
        sids = [world.client.xadd(keys.RAW, fields).decode() for fields in sent]
        world.wait_settled()
        assert worker.starts == 1
        letters = world.dead()
        dead = Counter(letters.values())
        assert not dead["crashed"] + dead["poison"] + dead["rejected"], dead
        wrong = [
            (outcome, raw[:80])
            for (raw, outcomes), sid in zip(entries, sids, strict=False)
            if (outcome := outcome_of(letters, raw, sid)) not in outcomes
        ]
        assert wrong == []
        assert misread(world) == []
        world.record("bad entries of every kind", sent)


@pytest.mark.timeout(200)
def test_the_server_refuses_bad_bodies_with_a_clear_400_and_what_it_takes_is_settled(
    open_world: Open,
) -> None:
    """Never a 500: what the server takes is in the raw stream, what it refuses is not. Of a batch it takes what is no event,
    too, and it becomes a dead letter."""
    with open_world(USER_WAIT="1s", EMAIL_WAIT="1s") as world:
        answers = asyncio.run(post_all(world))
        taken = [one for one in answers if one.status_code == 200]
        refused = [one for one in answers if one.status_code != 200]
        assert {one.status_code for one in refused} == {400}
        assert all(one.json()["success"] is False for one in refused)
        assert all(len(one.json()["message"]) > 10 for one in refused)
        raws = [fields[b"event"] for _, fields in world.client.xrange(keys.RAW)]
        *single, good, bad = raws
        assert len(single) + 1 == len(taken)
        assert all(isinstance(json.loads(raw), dict) for raw in (*single, good))
        assert json.loads(bad) == 7
        world.crew.hire()
        world.wait_settled()
        assert misread(world) == []
        world.record("bad bodies over HTTP", raws)


async def post_all(world: World) -> list[httpx.Response]:
    """Every bad body to two endpoints, and a batch with one bad event among good ones."""
    async with open_async_redis(world.server.url) as redis:
        server = httpx.ASGITransport(create_app(load_settings(world.environment), redis))
        async with httpx.AsyncClient(transport=server, base_url="http://ingest", auth=KEY) as http:
            bodies = [raw for raw, _ in bad_entries()]
            singly = [await http.post(path, content=raw) for path in SINGLE for raw in bodies]
            batch = {"batch": [{"type": "track", "event": "Played", "userId": "u"}, 7]}
            return [*singly, await http.post("/v1/batch", json=batch)]
