"""`sailpipe enqueue`: every JSON object goes in, every bad line is told, nothing else happens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import redis

from pipeline.cli.app import run
from pipeline.keys import RAW
from tests.support.commands import sailpipe


@pytest.fixture
def client(redis_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> redis.Redis:
    monkeypatch.setenv("SAILPIPE_REDIS_URL", redis_url)
    monkeypatch.chdir(tmp_path)
    return redis.Redis.from_url(redis_url)


def entries(client: redis.Redis) -> list[dict[bytes, bytes]]:
    with client:
        found: Any = client.xrange(RAW)
    return [fields for _, fields in found]


def test_good_lines_go_in_and_bad_ones_are_told_with_their_numbers(
    client: redis.Redis, capfd: pytest.CaptureFixture[str]
) -> None:
    """A bad line is one that isn't a JSON object; the exit code is 2 (DESIGN 3)."""
    Path("day.jsonl").write_text('{"messageId":"m1"}\nnope\n[1]\n{"type":5}\n')
    assert run(["enqueue", "day.jsonl", "--json"]) == 2
    out, err = capfd.readouterr()
    assert json.loads(out) == {"enqueued": 2, "bad": 2}
    assert "day.jsonl:2: not a JSON object" in err
    assert "day.jsonl:3: not a JSON object" in err
    assert len(entries(client)) == 2


def test_the_same_file_gives_its_lines_the_same_ids_again(client: redis.Redis) -> None:
    """Running an import twice must not double it: the splitter drops what it has seen."""
    Path("day.jsonl").write_text('{"type":"page"}\n{"type":"page"}\n')
    assert [run(["enqueue", "day.jsonl"]) for _ in range(2)] == [0, 0]
    ids = [json.loads(fields[b"event"])["messageId"] for fields in entries(client)]
    assert ids[:2] == ids[2:]
    assert len(set(ids)) == 2


def test_a_file_that_breaks_off_leaves_what_came_before_it(
    client: redis.Redis, capfd: pytest.CaptureFixture[str]
) -> None:
    """And the files after it are still read: one bad export must not stop the night's import."""
    Path("a.json").write_text('[{"messageId":"m1"}, nope]')
    Path("b.jsonl").write_text('{"messageId":"m2"}\n')
    assert run(["enqueue", "a.json", "b.jsonl"]) == 2
    assert "element 2" in capfd.readouterr().err
    assert [fields[b"event"] for fields in entries(client)] == [
        b'{"messageId":"m1"}',
        b'{"messageId":"m2"}',
    ]


def test_stdin_is_read_as_a_file_is(client: redis.Redis) -> None:
    """`-` in a real process, as in `zcat … | sailpipe enqueue -`."""
    done = sailpipe("enqueue", "-", stdin=b'{"a":1}\n{"b":2}\n')
    assert (done.returncode, done.stdout) == (0, b"Enqueued: 2.\n")
    assert len(entries(client)) == 2
