"""`sailpipe enqueue`: every JSON object is enqueued and every bad line reported."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import redis

from pipeline.cli.app import run
from pipeline.cli.enqueue import MAX_LIVE
from pipeline.cli.progress import open_progress
from pipeline.errors import EnqueueError
from pipeline.producer import Producer
from pipeline.storage.keys import RAW
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


def test_good_lines_are_enqueued_and_bad_ones_reported_by_number(
    client: redis.Redis, capfd: pytest.CaptureFixture[str]
) -> None:
    """A bad line is one that isn't a JSON object; the exit code is 2."""
    Path("day.jsonl").write_text('{"messageId":"m1"}\nnope\n[1]\n{"type":5}\n')
    assert run(["enqueue", "day.jsonl", "--json"]) == 2
    out, err = capfd.readouterr()
    said = {"enqueued": 2, "before": 0, "bad": 2, "bad_files": ["day.jsonl.bad"]}
    assert json.loads(out) == said
    assert "day.jsonl:2: not a JSON object (" in err
    assert "day.jsonl:3: not a JSON object\n" in err
    assert [entry[b"via"] for entry in entries(client)] == [b"file", b"file"]


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
    """The files after it are still read: one bad export must not stop the night's import."""
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


def test_a_pipe_with_a_name_is_read_once(client: redis.Redis) -> None:
    """`sailpipe enqueue <(zcat …)`: reading it for a digest first would leave nothing to enqueue."""
    reader, writer = os.pipe()
    os.write(writer, b'{"a":1}\n{"b":2}\n')
    os.close(writer)
    assert run(["enqueue", f"/dev/fd/{reader}"]) == 0
    os.close(reader)
    assert len(entries(client)) == 2


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), EnqueueError("Redis did not take it")])
@pytest.mark.parametrize(
    ("names", "told"),
    [(["day.jsonl"], "it goes on where it stopped"), (["day.jsonl", "-"], "has a messageId")],
)
@pytest.mark.usefixtures("client")
def test_an_import_that_was_stopped_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    stop: BaseException,
    names: list[str],
    told: str,
) -> None:
    """Ctrl-C, or Redis going away: the same file again is safe, stdin is not."""

    def send_chunks(*_: object, **__: object) -> int:
        raise stop

    Path("day.jsonl").write_text("{}\n")
    monkeypatch.setattr(Producer, "send_chunks", send_chunks)
    assert run(["enqueue", *names]) == 1
    assert told in capfd.readouterr().err


def test_an_import_that_pauses_says_so_once(capfd: pytest.CaptureFixture[str]) -> None:
    """A log is no place for a line every few hundred events."""
    with open_progress("enqueued") as progress:
        for _ in range(3):
            progress.hold("20400 events wait already")
            progress.advance()
    assert capfd.readouterr().err.count("Holding back") == 1


@pytest.mark.parametrize(
    ("events", "option", "bulk"),
    [
        (MAX_LIVE, [], False),
        (MAX_LIVE + 1, [], True),
        (MAX_LIVE + 1, ["--live"], False),
        (1, ["--bulk"], True),
    ],
)
def test_many_events_are_bulk_unless_it_is_said_otherwise(
    client: redis.Redis, events: int, option: list[str], bulk: bool
) -> None:
    """All of them, in order, however many files they came in."""
    lines = [json.dumps({"messageId": f"m{number}"}) + "\n" for number in range(events)]
    Path("a.jsonl").write_text("".join(lines[:400]))
    Path("b.jsonl").write_text("".join(lines[400:]))
    assert run(["enqueue", "a.jsonl", "b.jsonl", *option]) == 0
    found = entries(client)
    assert [fields[b"event"] for fields in found] == [line.strip().encode() for line in lines]
    assert {fields.get(b"class") for fields in found} == {b"bulk" if bulk else None}
