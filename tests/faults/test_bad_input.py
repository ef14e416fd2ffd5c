"""Input that is wrong in every way, through the stream and through the door."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import httpx
import pytest

from pipeline import keys
from pipeline.doors.app import create_app
from pipeline.redis_client import open_async_redis
from pipeline.settings import load_settings
from tests.faults.conftest import Open
from tests.support.faults_bad_input import TAKEN, bad_entries
from tests.support.faults_world import World

FEWEST_KINDS = 200


def misread(world: World) -> list[str]:
    """Numbers that no shop means: Sailthru takes them without a word."""
    items = [
        item
        for one in world.app.sandbox.effects
        if one.endpoint == "/purchase" and one.method == "POST"
        for item in one.params["items"]
    ]
    return [repr(item) for item in items if item["qty"] < 1 or item["price"] < 0]


@pytest.mark.timeout(200)
def test_every_kind_of_bad_entry_meets_a_fate_and_harms_no_other(open_world: Open) -> None:
    """Each is delivered, ignored or a dead letter with a reason of its own making; none sticks."""
    with open_world(USER_WAIT="1s", EMAIL_WAIT="1s") as world:
        worker = world.crew.hire()
        entries = bad_entries()
        assert len(entries) >= FEWEST_KINDS
        strange = [{"nothing": "here"}, {"event": "{}", "account": "nobody's"}]
        sent = [*({"event": raw} for raw, _ in entries), *strange]
        for fields in sent:
            world.client.xadd(keys.RAW, fields)
        world.wait_settled()
        assert worker.starts == 1
        counts, dead = world.counts(), Counter(world.dead().values())
        assert counts.total == len(sent)
        assert not dead["crashed"] + dead["poison"] + dead["rejected"], dead
        for raw, fates in entries:
            reason = world.dead().get(_id(raw))
            assert reason in fates or (reason is None and (fates & TAKEN or not _id(raw))), raw
        assert misread(world) == []
        world.record("bad entries of every kind", sent)


def _id(raw: bytes) -> str:
    head, _, rest = raw.partition(b'{"messageId": "')
    return "" if head else rest.partition(b'"')[0].decode()


@pytest.mark.timeout(200)
def test_the_door_answers_every_bad_body_with_a_400_or_takes_it(world: World) -> None:
    """Never a 500: what the door takes is in the raw stream, what it refuses is not."""
    settings = load_settings(world.environment)

    async def post_all() -> Counter[int]:
        answers: Counter[int] = Counter()
        async with open_async_redis(world.server.url) as redis:
            transport = httpx.ASGITransport(create_app(settings, redis))
            async with httpx.AsyncClient(transport=transport, base_url="http://door") as http:
                for raw, _ in bad_entries():
                    for path in ("/v1/identify", "/v1/track"):
                        answer = await http.post(path, content=raw, auth=("sandbox", ""))
                        answers[answer.status_code] += 1
                batch = {"batch": [{"type": "track", "event": "Played", "userId": "u"}, 7]}
                bad = await http.post("/v1/batch", json=batch, auth=("sandbox", ""))
                answers[bad.status_code] += 1
        return answers

    answers = asyncio.run(post_all())
    assert set(answers) <= {200, 400, 413}
    assert world.client.xlen(keys.RAW) == answers[200]
    kept = [fields[b"event"] for _, fields in world.client.xrange(keys.RAW)]
    assert all(isinstance(json.loads(raw), dict) for raw in kept)
