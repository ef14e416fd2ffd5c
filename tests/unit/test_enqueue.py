"""The Python way in, against fakeredis: what is accepted, what is refused, and how it says so."""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import fakeredis
import pytest
import redis
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from redis.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ResponseError

import pipeline
from pipeline.accept import (
    _PRODUCERS,
)
from pipeline.errors import ConfigError, EnqueueError, InvalidEvent, QueueFull
from pipeline.producer import Producer
from pipeline.raw_entries import Labels
from pipeline.storage import keys
from pipeline.ways_in import WayIn

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


# -- Producer --------------------------------------------------------------------------------------


def test_an_entry_says_only_what_is_not_understood_anyway(fake: redis.Redis) -> None:
    """XADD sailpipe:raw * event JSON [account NAME] [class bulk] is the whole contract."""
    producer = Producer(fake)
    producer.send(b'{"a":1}')
    producer.send(b'{"a":2}', Labels("brand"))
    producer.send(b'{"a":3}', Labels("brand", bulk=True, via=WayIn.FILE))
    assert raw_entries(fake) == [
        {b"event": b'{"a":1}'},
        {b"event": b'{"a":2}', b"account": b"brand"},
        {b"event": b'{"a":3}', b"account": b"brand", b"class": b"bulk", b"via": b"file"},
    ]


@pytest.mark.parametrize("labels", [Labels(), Labels("brand"), Labels("brand", bulk=True)])
def test_every_entry_of_a_chunk_says_the_same(fake: redis.Redis, labels: Labels) -> None:
    """A chunk is one script call, one event one XADD."""
    producer = Producer(fake)
    producer.send(b"{}", labels)
    producer.send_many([b"{}", b"{}"], labels)
    first, *others = raw_entries(fake)
    assert others == [first, first]


def test_send_many_keeps_the_order_over_chunks(fake: redis.Redis) -> None:
    """Order is arrival order."""
    raws = [str(n).encode() for n in range(1201)]
    assert Producer(fake).send_many(raws) == 1201
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
    seen: list[str] = []
    assert producer.send_many([b"{}"] * 2500, on_hold=seen.append) == 2500
    assert max(longest) < 600 + 500
    assert seen == ["1000 events wait already"] * 4


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
        Producer(broken(error)).send_many([b"{}"] * events)
    assert type(refused.value) is expected
    assert "ann@" not in str(refused.value)
    assert refused.value.__suppress_context__


def test_a_failed_import_says_how_many_were_taken(fake: redis.Redis) -> None:
    """The user learns where it stopped."""
    producer = Producer(fake)

    def items() -> Iterator[bytes]:
        for _ in range(700):
            yield b"{}"
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
    for ours in (pipeline.enqueue, pipeline.enqueue_async):
        parameters = inspect.signature(ours).parameters
        assert list(parameters) == ["event", "account", "role"]
        assert parameters["role"].kind is inspect.Parameter.KEYWORD_ONLY


WITHOUT_EXTRA = """
import sys

class Absent:
    names = set(sys.argv[1:])
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import asyncio, pipeline
event = {"type": "track", "userId": "u1", "event": "Registered"}
pipeline.enqueue(event)
pipeline.enqueue_many([event] * 2)
asyncio.run(pipeline.enqueue_async(event))
asyncio.run(pipeline.enqueue_many_async([event] * 2))
"""


def test_a_program_that_enqueues_needs_no_package_beyond_the_base_requirements(
    redis_url: str,
) -> None:
    """As if nothing were installed but what comes without the extra `run`: pydantic, redis, and what these need."""
    ours = {canonicalize_name("sailpipe"), *base_requirements("sailpipe")}
    absent = [
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if ours.isdisjoint(map(canonicalize_name, owners))
    ]
    assert {"celery", "typer", "httpx"} <= {*absent}
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", WITHOUT_EXTRA, *absent],
        env={**os.environ, "SAILPIPE_REDIS_URL": redis_url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with redis.Redis.from_url(redis_url) as client:
        assert client.xlen(keys.RAW) == 6


def base_requirements(distribution: str, extras: frozenset[str] = frozenset()) -> set[str]:
    """Names of all that is installed with it, where no extra is asked for but those that it asks for itself."""
    found: set[str] = set()
    for text in importlib.metadata.requires(distribution) or ():
        wanted = Requirement(text)
        marker = wanted.marker
        if any(marker is None or marker.evaluate({"extra": extra}) for extra in extras or {""}):
            name = canonicalize_name(wanted.name)
            found |= {name, *base_requirements(name, frozenset(wanted.extras))}
    return found


def test_importing_pipeline_loads_neither_celery_nor_http_nor_the_web() -> None:
    """A web shop imports us in its request path; we bring only redis and pydantic."""
    code = (
        "import sys, pipeline; pipeline.enqueue; heavy = {'celery', 'kombu', 'httpx', 'httptools',"
        " 'fastapi', 'starlette', 'uvicorn', 'typer', 'structlog'} & set(sys.modules);"
        " sys.exit(' '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
