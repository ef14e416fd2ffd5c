"""A stopped import goes on where it stopped: no event twice, none left out, whatever stopped it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import redis

from pipeline.cli.app import run
from pipeline.errors import EnqueueError
from pipeline.producer import Producer
from pipeline.raw_entries import CHUNK, Chunk, Mark
from pipeline.storage import keys
from pipeline.storage.verdict import Verdict

LINES = 2 * CHUNK + 7


@pytest.fixture
def client(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[redis.Redis]:
    monkeypatch.setenv("SAILPIPE_REDIS_URL", redis_url)
    monkeypatch.chdir(tmp_path)
    with redis.Redis.from_url(redis_url) as opened:
        yield opened


def event(number: int) -> str:
    return json.dumps({"type": "track", "event": "Seen", "userId": f"u{number}"})


def write(name: str, count: int = LINES) -> None:
    Path(name).write_text("".join(f"{event(number)}\n" for number in range(count)))


def users(client: redis.Redis) -> list[str]:
    """Of the entries in the raw stream, in order."""
    found: Any = client.xrange(keys.RAW)
    return [json.loads(fields[b"event"])["userId"] for _, fields in found]


def everybody(count: int = LINES) -> list[str]:
    return [f"u{number}" for number in range(count)]


def imports_in(client: redis.Redis) -> int:
    """Files of which Redis knows how far their import is."""
    found: Any = client.keys(keys.import_of("*", "*"))
    return len(found)


def stop_after(
    chunks: int,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException | None = None,
    *,
    taken: bool = False,
) -> None:
    """So many chunks are taken, and the next append fails, before or after Redis has `taken` it; later ones do not."""
    calls, append = count(1), Producer._append

    def stops(producer: Producer, *given: Any) -> None:
        number = next(calls)
        if number != chunks + 1 or taken:
            append(producer, *given)
        if number == chunks + 1:
            raise error or KeyboardInterrupt

    monkeypatch.setattr(Producer, "_append", stops)


@pytest.mark.parametrize("taken", [False, True], ids=["was not taken", "was taken"])
@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), EnqueueError("Redis does not answer")], ids=["Ctrl-C", "Redis"]
)
def test_a_stopped_import_goes_on_without_a_double_or_a_gap(
    client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    taken: bool,
) -> None:
    """Also when nobody knows whether the chunk was taken during which it was stopped."""
    write("day.jsonl")
    stop_after(1, monkeypatch, error, taken=taken)
    assert run(["enqueue", "day.jsonl"]) == 1
    assert "it goes on where it stopped" in capsys.readouterr().err
    had = len(users(client))
    assert had == CHUNK * (2 if taken else 1)
    assert run(["enqueue", "day.jsonl"]) == 0
    out, err = capsys.readouterr()
    assert f"day.jsonl: goes on after line {had}; {had} events of it" in err
    assert out == f"Enqueued: {LINES - had}. {had} were before.\n"
    assert users(client) == everybody()
    assert imports_in(client) == 0


def test_each_file_of_a_command_goes_on_for_itself(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first was through; the second is packed, and its numbers are those of its lines."""
    write("a.jsonl", 20)
    rest = "".join(f"{event(number)}\n" for number in range(20, LINES))
    Path("b.jsonl.gz").write_bytes(gzip.compress(rest.encode()))
    stop_after(2, monkeypatch)
    command = ["enqueue", "a.jsonl", "b.jsonl.gz", "--json"]
    assert run(command) == 1
    assert imports_in(client) == 2
    capsys.readouterr()
    assert run(command) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["enqueued"], said["before"]) == (LINES - 20 - CHUNK, 20 + CHUNK)
    assert users(client) == everybody()
    assert imports_in(client) == 0


def test_what_goes_on_is_of_the_class_that_it_began_with(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last hundred of an import are no live events for having been left."""
    write("day.jsonl")
    stop_after(2, monkeypatch)
    assert [run(["enqueue", "day.jsonl"]) for _ in range(2)] == [1, 0]
    found: Any = client.xrange(keys.RAW)
    assert {fields.get(b"class") for _, fields in found} == {b"bulk"}


@pytest.mark.parametrize("again", [["day.jsonl", "--from-start"], ["changed.jsonl"]])
def test_an_import_begins_again_from_its_start_or_as_another_file(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch, again: list[str]
) -> None:
    """A file is what is in it."""
    write("day.jsonl")
    Path("changed.jsonl").write_text(f"{Path('day.jsonl').read_text()}\n")
    stop_after(1, monkeypatch)
    assert run(["enqueue", "day.jsonl"]) == 1
    assert run(["enqueue", *again]) == 0
    assert users(client) == everybody(CHUNK) + everybody()


def test_a_file_that_was_through_begins_again(client: redis.Redis) -> None:
    """As it always did; the splitter drops what it has seen within the window."""
    write("day.jsonl", 3)
    assert [run(["enqueue", "day.jsonl"]) for _ in range(2)] == [0, 0]
    assert users(client) == everybody(3) * 2


def test_another_account_has_its_own_import(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same file for two brands."""
    Path("sailpipe.toml").write_text("[accounts.shoes]\n")
    write("day.jsonl")
    stop_after(1, monkeypatch)
    assert run(["enqueue", "day.jsonl"]) == 1
    assert run(["enqueue", "day.jsonl", "--account", "shoes"]) == 0
    assert users(client) == everybody(CHUNK) + everybody()


def test_two_processes_never_enqueue_the_same_lines(client: redis.Redis) -> None:
    """The later one stops: what lies there is not what it has read."""
    mark = Mark(keys.import_of("default", "d"), "", "1 1 0")
    producer = Producer(client)
    assert producer.send_chunks([Chunk([b"1"], mark)]) == 1
    with pytest.raises(EnqueueError, match="by another process"):
        producer.send_chunks([Chunk([b"1"], mark)])
    assert client.xlen(keys.RAW) == 1


def test_the_same_content_is_enqueued_once_by_a_command(
    client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    """A copy of a file is that file."""
    write("a.jsonl", 3)
    write("b.jsonl", 3)
    assert run(["enqueue", "a.jsonl", "b.jsonl"]) == 0
    assert "b.jsonl: is left out" in capsys.readouterr().err
    assert users(client) == everybody(3)


def test_a_user_of_redis_that_may_only_append_imports_too(
    client: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No mark can be left, so that a stopped import begins again."""
    client.acl_setuser(
        "web",
        enabled=True,
        passwords=["+pw"],
        keys=[keys.RAW],
        commands=["+xadd", "+multi", "+exec"],
    )
    try:
        monkeypatch.setenv("SAILPIPE_REDIS_URL", redis_url.replace("//", "//web:pw@"))
        write("day.jsonl", 3)
        assert run(["enqueue", "day.jsonl"]) == 0
    finally:
        client.acl_deluser("web")
    assert users(client) == everybody(3)


def test_progress_counts_what_redis_has_taken(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where stderr is no terminal, a line now and then."""
    monkeypatch.setattr("pipeline.cli.progress.LINE_EVERY", CHUNK)
    write("day.jsonl")
    assert run(["enqueue", "day.jsonl", "--bulk"]) == 0
    shown = [line for line in capsys.readouterr().err.splitlines() if line.endswith("enqueued ...")]
    assert shown == [f"{number * CHUNK} enqueued ..." for number in (1, 2)]
    assert client.xlen(keys.RAW) == LINES


def test_an_import_waits_while_redis_is_short_of_memory_and_says_so(
    client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every other way in is refused. The splitter's verdict ends by itself when it is not said again."""
    client.set(keys.VERDICT, Verdict(memory=90).encode(), px=300)
    write("day.jsonl", 3)
    assert run(["enqueue", "day.jsonl"]) == 0
    assert "Holding back: 90% of Redis' memory is in use" in capsys.readouterr().err
    assert users(client) == everybody(3)


# -- bad lines -------------------------------------------------------------------------------------


def test_bad_lines_are_collected_beside_their_file_as_they_were(client: redis.Redis) -> None:
    """To be mended there and enqueued."""
    Path("day.jsonl").write_bytes(b'{"a":1}\nnope \xff\n{"b":1}\n[1]\n')
    Path("fine.jsonl").write_text('{"c":1}\n')
    assert run(["enqueue", "day.jsonl", "fine.jsonl"]) == 2
    assert Path("day.jsonl.bad").read_bytes() == b"nope \xff\n[1]\n"
    assert not Path("fine.jsonl.bad").exists()
    Path("day.jsonl.bad").write_text('{"d":1}\n{"e":1}\n')
    assert run(["enqueue", "day.jsonl.bad"]) == 0
    assert client.xlen(keys.RAW) == 5


def test_an_element_of_an_array_is_collected_on_one_line(client: redis.Redis) -> None:
    """So that the file can be enqueued as lines."""
    Path("day.json").write_text('[{"a":1}, [1,\n2], 3]')
    assert run(["enqueue", "day.json"]) == 2
    assert Path("day.json.bad").read_text() == "[1, 2]\n3\n"
    assert client.xlen(keys.RAW) == 1


def test_bad_lines_of_all_files_go_where_it_is_said(
    client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each run writes the file anew."""
    Path("a.jsonl").write_text("nope\n")
    Path("b.jsonl").write_text("no\n{}\n")
    Path("bad").write_text("of another run\n")
    assert run(["enqueue", "a.jsonl", "b.jsonl", "--bad", "bad"]) == 2
    assert Path("bad").read_text() == "nope\nno\n"
    assert "Bad lines are collected in bad." in capsys.readouterr().err
    assert sorted(path.name for path in Path().iterdir()) == ["a.jsonl", "b.jsonl", "bad"]
    assert client.xlen(keys.RAW) == 1


def test_the_file_of_bad_lines_is_whole_after_an_import_went_on(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those before the stop and those behind it, each once, and all of them count."""
    lines = [event(number) for number in range(LINES)]
    lines[3], lines[CHUNK + 50], lines[-1] = "first", "second", "last"
    Path("day.jsonl").write_text("\n".join(lines))
    stop_after(1, monkeypatch, taken=True)
    assert run(["enqueue", "day.jsonl", "--json"]) == 1
    capsys.readouterr()
    assert run(["enqueue", "day.jsonl", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["bad"] == 3
    assert Path("day.jsonl.bad").read_text() == "first\nsecond\nlast\n"
    assert len(users(client)) == len(set(users(client))) == LINES - 3


@pytest.mark.parametrize("command", [["day", "--bad", "day"], ["day", "day.bad"]])
def test_a_file_that_is_read_is_never_written(client: redis.Redis, command: list[str]) -> None:
    """Not by the default name either."""
    Path("day").write_text("nope\n")
    Path("day.bad").write_text("{}\n")
    assert run(["enqueue", *command]) == 2
    assert (Path("day").read_text(), Path("day.bad").read_text()) == ("nope\n", "{}\n")
    assert client.xlen(keys.RAW) == 0


def test_a_folder_that_takes_no_file_costs_no_event(
    client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said once."""
    Path("day").write_text("nope\nno\n{}\n")
    assert run(["enqueue", "day", "--bad", "nowhere/bad"]) == 2
    assert capsys.readouterr().err.count("cannot be written to nowhere/bad") == 1
    assert client.xlen(keys.RAW) == 1
