"""`sailpipe enqueue` as a real process that is interrupted and killed: each line reaches the raw stream once."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from pipeline.producer import RAW_HOLD
from pipeline.storage import keys
from tests.support.commands import running, wait_until

LINES = 3 * RAW_HOLD + 123


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as opened:
        yield opened


def taken(client: redis.Redis) -> list[int]:
    """What the raw stream holds, which is empty afterwards: as if it was split."""
    pipe: Any
    with client.pipeline() as pipe:
        pipe.xrange(keys.RAW)
        pipe.delete(keys.RAW)
        entries, _ = pipe.execute()
    return [json.loads(fields[b"event"])["properties"]["n"] for _, fields in entries]


def test_an_import_that_was_interrupted_and_killed_enqueues_each_line_once(
    client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    """Ctrl-C, then kill -9, while it holds back; the third run comes to the end."""
    lines = [
        {"type": "track", "event": "Seen", "userId": "u", "properties": {"n": n}}
        for n in range(LINES)
    ]
    (tmp_path / "day.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    command, place = ("enqueue", "day.jsonl"), {"SAILPIPE_REDIS_URL": redis_url}
    found: list[int] = []
    with running(*command, directory=tmp_path, **place) as first:
        first.wait_for("Holding back")
        assert first.stop(signal.SIGINT) == 1
    assert "it goes on where it stopped" in first.output
    found += taken(client)
    with running(*command, directory=tmp_path, **place) as second:
        second.wait_for("Holding back")
        second.stop(signal.SIGKILL)
    found += taken(client)
    with running(*command, directory=tmp_path, **place) as third:

        def ended() -> bool:
            found.extend(taken(client))
            return third.ended

        wait_until(ended, "the third run ends")
    found += taken(client)
    assert f"day.jsonl: goes on after line {2 * RAW_HOLD};" in third.output
    assert found == list(range(LINES))
