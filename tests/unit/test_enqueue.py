"""The Python way in, against fakeredis: what is accepted, what is refused, and how it says so."""

from __future__ import annotations

import inspect
import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, get_type_hints

import fakeredis
import pytest
import redis
from redis.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ResponseError

import pipeline
from pipeline.accept import (
    _PRODUCERS,
    message_id_for_line,
    prepare,
    prepare_line,
)
from pipeline.errors import ConfigError, EnqueueError, InvalidEvent, QueueFull, Reason
from pipeline.events.models import INGEST_BYTES, MAX_EVENT_BYTES, Identify, parse_event
from pipeline.producer import Producer
from pipeline.storage import keys

NOTHING: tuple[Any, ...] = (None, "  ", False, [], "\x00")
REGISTERED = {"type": "track", "userId": "u1", "event": "Registered"}


@pytest.fixture
def fake() -> Iterator[redis.Redis]:
    with fakeredis.FakeRedis() as client:
        yield client


@pytest.fixture(autouse=True)
def _no_producer_yet() -> Iterator[None]:
    _PRODUCERS.clear()
    yield
    _PRODUCERS.clear()


def raw_entries(client: redis.Redis) -> list[dict[bytes, bytes]]:
    found: Any = client.xrange(keys.RAW)
    return [fields for _, fields in found]


def broken(error: Exception) -> redis.Redis:
    """A client whose every command fails the way Redis would."""

    class BrokenPipeline(Pipeline):
        def execute(self, raise_on_error: bool = True) -> Any:
            raise error

    class Broken(fakeredis.FakeRedis):
        def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Any:
            return BrokenPipeline(self.connection_pool, {}, transaction, shard_hint)

        def execute_command(self, *args: Any, **options: Any) -> Any:
            raise error

    return Broken()


# -- prepare ---------------------------------------------------------------------------------------


def test_an_event_keeps_its_own_message_id() -> None:
    """The producer's messageId is what duplicates are recognised by."""
    message_id, raw = prepare({**REGISTERED, "messageId": "m-1"})
    assert message_id == "m-1"
    assert json.loads(raw) == {**REGISTERED, "messageId": "m-1"}


@pytest.mark.parametrize(
    "given", [{}, *({"messageId": none} for none in (*NOTHING, ["m1"], "m" * 513))]
)
def test_an_event_without_a_message_id_gets_one(given: dict[str, Any]) -> None:
    """Nothing is no id, however it is written, and what cannot be read as one is none either."""
    message_id, raw = prepare({**REGISTERED, **given}, new_id=lambda: "fresh")
    assert message_id == "fresh"
    assert json.loads(raw)["messageId"] == "fresh"


def test_an_event_that_its_new_message_id_makes_too_large_is_refused() -> None:
    """The id counts towards the size of the event, as one that the producer gave would."""
    event = {**REGISTERED, "properties": {"x": ""}}
    room = MAX_EVENT_BYTES + INGEST_BYTES - len(prepare(event, new_id=lambda: "fresh")[1])
    prepare(event | {"properties": {"x": "y" * room}}, new_id=lambda: "fresh")
    with pytest.raises(InvalidEvent, match="too_large"):
        prepare(event | {"properties": {"x": "y" * room}}, new_id=lambda: "fresh!")


def test_the_callers_dict_is_left_alone() -> None:
    """Assigning an id happens to a copy."""
    event = dict(REGISTERED)
    prepare(event)
    assert event == REGISTERED


def test_unknown_fields_and_python_values_survive() -> None:
    """What Python programs hold (dates, decimals) is written as JSON; nothing is dropped."""
    at = datetime(2026, 11, 22, tzinfo=UTC)
    event = {
        **REGISTERED,
        "extra": {"a": [1]},
        "timestamp": at,
        "properties": {"p": Decimal("1.10")},
    }
    written = json.loads(prepare(event)[1])
    assert written["extra"] == {"a": [1]}
    assert written["timestamp"] == "2026-11-22T00:00:00Z"
    assert written["properties"] == {"p": "1.10"}


def test_a_model_is_written_in_segments_spelling() -> None:
    """Models and dicts are the same event on the wire."""
    message_id, raw = prepare(Identify(user_id="u1", traits={"email": "a@example.com"}))
    assert json.loads(raw)["userId"] == "u1"
    assert parse_event(raw).message_id == message_id


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"type": "track", "event": "Registered"}, Reason.MISSING_USER_ID),
        ({"type": "nonsense", "userId": "u1"}, Reason.INVALID_EVENT),
        ({**REGISTERED, "event": None}, Reason.INVALID_EVENT),
        ({**REGISTERED, "properties": {"x": "y" * 40_000}}, Reason.TOO_LARGE),
        ({**REGISTERED, "properties": {"x": float("nan")}}, Reason.INVALID_JSON),
        ({**REGISTERED, "properties": {"x": object()}}, Reason.INVALID_EVENT),
        ("track", Reason.INVALID_EVENT),
    ],
)
def test_what_can_never_be_valid_is_refused(event: Any, reason: Reason) -> None:
    """InvalidEvent says why, before anything is sent."""
    with pytest.raises(InvalidEvent) as refused:
        prepare(event)
    assert refused.value.reason is reason


def test_half_an_emoji_is_mended_wherever_it_stands() -> None:
    """A program that cuts a title must not lose the event."""
    cut = {**REGISTERED, "messageId": "m\ud83d", "properties": {"a\udc00": ["\ud83d"], "n": 1.10}}
    message_id, raw = prepare(cut)
    assert message_id == "m\ufffd"
    assert json.loads(raw)["properties"] == {"a\ufffd": ["\ufffd"], "n": 1.10}


def test_an_event_that_holds_itself_is_refused() -> None:
    """Mending its texts would never end."""
    event: dict[str, Any] = {**REGISTERED, "x": "\ud800"}
    event["properties"] = event
    with pytest.raises(InvalidEvent):
        prepare(event)


def test_a_refusal_quotes_no_values() -> None:
    """The text of an InvalidEvent may be logged."""
    with pytest.raises(InvalidEvent) as refused:
        prepare({"type": "track", "userId": ["ann@example.com"], "event": 3})
    assert "ann@example.com" not in f"{refused.value!r} {refused.value}"


def test_an_event_that_its_new_id_makes_too_large_is_refused() -> None:
    """What is accepted is within the limit as it lies in the stream."""
    bare = {**REGISTERED, "p": ""}
    left = MAX_EVENT_BYTES + INGEST_BYTES - len(json.dumps(bare, separators=(",", ":")))
    with pytest.raises(InvalidEvent) as refused:
        prepare({**bare, "p": "x" * left})
    assert refused.value.reason is Reason.TOO_LARGE


# -- lines of files --------------------------------------------------------------------------------


def test_a_line_stays_as_it_was_but_for_the_id() -> None:
    """Numbers are not rewritten on the way in: a price is what the file says."""
    line = b'{"type":"track", "p": 18.990, "big": 1e400}\r\n'
    expected = b'{"type":"track", "p": 18.990, "big": 1e400,"messageId":"f-1"}'
    assert prepare_line(line, "f-1") == expected


def test_a_line_with_an_id_is_untouched() -> None:
    """The id of the line's place is only for those that have none."""
    assert prepare_line(b' {"messageId": 7} ', "f-1") == b'{"messageId": 7}'


@pytest.mark.parametrize(
    "line", [b'{"a":"\\ud83d"}', b'{"a":"\xff"}', b'{"a":"x\ty"}', b'\xef\xbb\xbf{"a":1}']
)
def test_a_broken_text_stays_as_it_is_and_costs_no_line(line: bytes) -> None:
    """It is mended where it is read."""
    assert prepare_line(line, "f-1") == line[:-1] + b',"messageId":"f-1"}'


def test_an_empty_object_and_a_null_id_get_the_lines_id() -> None:
    """Every JSON object is enqueued; the splitter judges it."""
    assert prepare_line(b"{}", "f-1") == b'{"messageId":"f-1"}'
    assert json.loads(prepare_line(b'{"messageId":null,"a":1}', "f-1")) == {
        "messageId": "f-1",
        "a": 1,
    }


@pytest.mark.parametrize("line", [b"", b"[1]", b'"x"', b"{", b"{'a': 1}", b"\xff", b"[" * 500])
def test_a_bad_line_is_refused(line: bytes) -> None:
    """A bad line is one that is not a JSON object."""
    with pytest.raises(InvalidEvent) as refused:
        prepare_line(line, "f-1")
    assert refused.value.reason is Reason.INVALID_JSON


def test_a_files_lines_have_the_same_ids_when_it_is_imported_again() -> None:
    """Hash and line number: a repeated import is a set of duplicates, not of new events."""
    assert message_id_for_line("ab" * 32, 7) == "abababababababab-7"


# -- Producer --------------------------------------------------------------------------------------


def test_send_appends_the_event_and_names_no_default_account(fake: redis.Redis) -> None:
    """XADD sailpipe:raw * event JSON [account NAME] is the whole contract."""
    producer = Producer(fake)
    producer.send(b'{"a":1}')
    producer.send(b'{"a":2}', "brand")
    assert raw_entries(fake) == [
        {b"event": b'{"a":1}'},
        {b"event": b'{"a":2}', b"account": b"brand"},
    ]


def test_send_many_keeps_the_order_over_chunks(fake: redis.Redis) -> None:
    """Order is arrival order."""
    raws = [str(n).encode() for n in range(1201)]
    assert Producer(fake).send_many((raw, "default") for raw in raws) == 1201
    assert [fields[b"event"] for fields in raw_entries(fake)] == raws


def test_bulk_holds_back_while_the_raw_stream_is_long(fake: redis.Redis) -> None:
    """An import waits for the splitter instead of delaying everyone; it goes on as room appears."""
    waits: list[float] = []
    longest: list[int] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        longest.append(fake.xlen(keys.RAW))
        if len(waits) % 2 == 0:
            fake.delete(keys.RAW)

    producer = Producer(fake, hold=600, sleep=sleep)
    seen: list[int] = []
    assert producer.send_many(((b"{}", "default") for _ in range(2500)), seen.append) == 2500
    assert max(longest) < 600 + 500
    assert seen == [1000, 1000, 1000, 1000]


def test_a_full_raw_stream_refuses_until_it_is_shorter(fake: redis.Redis) -> None:
    """QueueFull at the bound; accepted again once the splitter has caught up."""
    producer = Producer(fake, bound=2)
    producer.send(b"1")
    producer.send(b"2")
    with pytest.raises(QueueFull):
        producer.send(b"3")
    fake.delete(keys.RAW)
    producer.send(b"4")
    assert [fields[b"event"] for fields in raw_entries(fake)] == [b"4"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OutOfMemoryError("command not allowed"), QueueFull),
        (ResponseError("Error running script: -OOM command not allowed"), QueueFull),
        (RedisConnectionError("refused; event ann@example.com"), EnqueueError),
    ],
)
@pytest.mark.parametrize("events", [1, 2])
def test_a_redis_that_fails_is_one_clear_error(
    error: Exception, expected: type, events: int
) -> None:
    """Out of memory is QueueFull, anything else EnqueueError; neither quotes the event."""
    with pytest.raises(EnqueueError) as refused:
        Producer(broken(error)).send_many([(b"{}", "default")] * events)
    assert type(refused.value) is expected
    assert "ann@" not in str(refused.value)
    assert refused.value.__suppress_context__


def test_a_failed_import_says_how_many_were_taken(fake: redis.Redis) -> None:
    """The user learns where it stopped."""
    producer = Producer(fake)

    def items() -> Iterator[tuple[bytes, str]]:
        for _ in range(700):
            yield b"{}", "default"
        producer._redis = broken(OutOfMemoryError("full"))

    with pytest.raises(QueueFull, match="500 events were taken before"):
        producer.send_many(items())


# -- pipeline.enqueue ------------------------------------------------------------------------------


def test_enqueue_finds_redis_by_the_environment(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SAILPIPE_REDIS_URL wins."""
    monkeypatch.setenv("SAILPIPE_REDIS_URL", redis_url)
    assert pipeline.enqueue({**REGISTERED, "messageId": "m-1"}) == "m-1"
    ids = pipeline.enqueue_many([REGISTERED, REGISTERED], account="brand")
    with redis.Redis.from_url(redis_url) as client:
        entries = raw_entries(client)
    assert [json.loads(fields[b"event"])["messageId"] for fields in entries] == ["m-1", *ids]
    assert [fields.get(b"account") for fields in entries] == [None, b"brand", b"brand"]


def test_enqueue_finds_the_redis_of_a_running_up(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no URL set, DATA_DIR/redis.url names it."""
    (tmp_path / "redis.url").write_text(redis_url)
    monkeypatch.setenv("SAILPIPE_DATA_DIR", str(tmp_path))
    pipeline.enqueue(REGISTERED)
    with redis.Redis.from_url(redis_url) as client:
        assert client.xlen(keys.RAW) == 1


def test_enqueue_says_what_to_set_when_it_cannot_tell_where_redis_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing setting is named."""
    monkeypatch.setenv("SAILPIPE_DATA_DIR", str(tmp_path))
    with pytest.raises(ConfigError, match="SAILPIPE_REDIS_URL"):
        pipeline.enqueue(REGISTERED)


def test_after_a_failure_enqueue_looks_again_where_redis_is(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that runs on while Redis moves to another port needs no restart."""
    monkeypatch.setenv("SAILPIPE_REDIS_URL", "redis://127.0.0.1:1/0")
    with pytest.raises(EnqueueError):
        pipeline.enqueue(REGISTERED)
    monkeypatch.setenv("SAILPIPE_REDIS_URL", redis_url)
    assert pipeline.enqueue(REGISTERED)


def test_one_invalid_event_refuses_all_before_anything_is_sent(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """enqueue_many checks all first."""
    monkeypatch.setenv("SAILPIPE_REDIS_URL", redis_url)
    with pytest.raises(InvalidEvent):
        pipeline.enqueue_many([REGISTERED, {"type": "track"}])
    with redis.Redis.from_url(redis_url) as client:
        assert client.xlen(keys.RAW) == 0


def test_threads_and_forked_children_can_all_enqueue(redis_url: str) -> None:
    """First use in many threads at once, then in a child that inherited the parent's producer."""
    code = """
import os, threading, pipeline
event = {"type": "track", "userId": "u1", "event": "Registered"}
threads = [threading.Thread(target=pipeline.enqueue, args=[event]) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
child = os.fork()
for _ in range(50): pipeline.enqueue(event)
if child == 0: os._exit(0)
raise SystemExit(os.waitpid(child, 0)[1])
"""
    # Python 3.12 warns of threads that were joined: what the system has of them ends a moment later.
    quiet = "ignore:This process:DeprecationWarning"
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-W", quiet, "-c", code],
        env={**os.environ, "SAILPIPE_REDIS_URL": redis_url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with redis.Redis.from_url(redis_url) as client:
        assert client.xlen(keys.RAW) == 16 + 50 + 50


def test_the_function_keeps_its_name_whatever_else_is_imported() -> None:
    """No module has the name, or importing it would put itself in the function's place."""
    names = [module.name for module in pkgutil.walk_packages(pipeline.__path__, "pipeline.")]
    assert not {f"pipeline.{name}" for name in pipeline.__all__} & set(names)
    for name in pipeline.__all__:
        assert callable(getattr(pipeline, name))


def test_a_name_that_the_package_does_not_have_is_an_attribute_error() -> None:
    """`hasattr` and `from pipeline import` rely on it."""
    assert not hasattr(pipeline, "enqeue")


def test_its_signature_can_be_read_at_run_time() -> None:
    """A program may build a command or an endpoint around it."""
    assert get_type_hints(pipeline.enqueue)["return"] is str
    assert list(inspect.signature(pipeline.enqueue).parameters) == ["event", "account"]


def test_importing_pipeline_loads_neither_celery_nor_http_nor_the_web() -> None:
    """A web shop imports us in its request path; we bring only redis and pydantic."""
    code = (
        "import sys, pipeline; pipeline.enqueue; heavy = {'celery', 'kombu', 'httpx', 'aiohttp',"
        " 'fastapi', 'starlette', 'uvicorn', 'typer', 'structlog'} & set(sys.modules);"
        " sys.exit(' '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
