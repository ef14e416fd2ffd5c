"""A Redis that another version has filled: every process says what to do, and starts nothing."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.exceptions import OutOfMemoryError

import pipeline
from pipeline.accept import _PRODUCERS
from pipeline.errors import ConfigError, EnqueueError, WrongFormat
from pipeline.events.models import Lane
from pipeline.producer import AsyncProducer
from pipeline.storage import keys
from pipeline.storage.format import check_format, check_format_async
from pipeline.storage.redis_client import open_async_redis
from pipeline.supervisor.celery_command import SPLIT_QUEUE, celery_command
from tests.support.commands import DEADLINE_S, Command, running, sailpipe, wait_until
from tests.support.mailboxes import Mailboxes, track
from tests.support.redis_server import RedisServer, free_port

OURS = str(keys.FORMAT_NUMBER).encode()
NEWER = keys.FORMAT_NUMBER + 1
EVENT = {"type": "page", "userId": "u1"}


@pytest.fixture
def store(redis_url: str) -> Iterator[redis.Redis]:
    """A Redis on which no sailpipe has worked yet."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        yield client


@pytest.fixture
def newer(store: redis.Redis) -> None:
    """A Redis that a newer version has filled."""
    store.set(keys.FORMAT, NEWER)


def with_port(words: str) -> list[str]:
    return words.replace("PORT", str(free_port())).split()


def test_a_redis_from_before_formats_had_numbers_is_refused_and_left_as_it_is(
    store: redis.Redis,
) -> None:
    """Its keys mean something else now; with our number on them the next version would trust them."""
    store.hset(keys.SPLITTER_HEAD, "entry", "")
    with pytest.raises(WrongFormat, match="before formats had numbers"):
        check_format(store, stamp=True)
    assert store.keys() == [keys.SPLITTER_HEAD.encode()]


async def test_a_redis_that_was_emptied_beside_a_running_splitter_takes_the_number_anew(
    redis_url: str,
) -> None:
    """A person's FLUSHALL must not make it one of before. What older versions left is not given a number."""
    async with open_async_redis(redis_url) as client:
        boxes = Mailboxes(client)
        await boxes.post(track("m1", "ann"))
        await client.flushall()
        await boxes.post(track("m2", "ann"))
        assert await client.get(keys.FORMAT) == OURS
        await client.delete(keys.FORMAT)
        await boxes.post(track("m3", "ann"))
        with pytest.raises(WrongFormat):
            await check_format_async(client, stamp=True)


def test_an_empty_redis_takes_the_number_of_the_first_that_works_on_it(store: redis.Redis) -> None:
    """A look does not write. What producers of other languages have sent says nothing about the version."""
    store.xadd(keys.RAW, {"event": "{}"})
    check_format(store, stamp=False)
    assert store.get(keys.FORMAT) is None
    check_format(store, stamp=True)
    assert store.get(keys.FORMAT) == OURS
    store.hset(keys.SPLITTER_HEAD, "entry", "")
    check_format(store, stamp=True)


def test_a_full_redis_takes_the_number(store: redis.Redis) -> None:
    """Other producers may have filled it before the first worker, which is to empty it, starts."""
    store.config_set("maxmemory", "1")
    try:
        with pytest.raises(OutOfMemoryError):
            store.set("any", "1")
        check_format(store, stamp=True)
        assert store.get(keys.FORMAT) == OURS
    finally:
        store.config_set("maxmemory", "0")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (NEWER, f"a sailpipe of newer format {NEWER}"),
        (1, "a sailpipe of older format 1"),
        (-1, "a sailpipe of unknown format"),
        ("?", "a sailpipe of unknown format"),
    ],
)
def test_the_error_says_which_version_is_needed(
    store: redis.Redis, number: int | str, said: str
) -> None:
    """It names the alternative as well."""
    store.set(keys.FORMAT, number)
    with pytest.raises(WrongFormat) as refused:
        check_format(store, stamp=True)
    assert said in str(refused.value)
    assert "SAILPIPE_REDIS_URL" in str(refused.value)
    assert isinstance(refused.value, ConfigError)


@pytest.mark.usefixtures("newer")
@pytest.mark.parametrize(
    "words",
    [
        "status",
        "dead list",
        "pause",
        "limits",
        "adopt",
        "reset --yes",
        "enqueue e.jsonl",
        "xadd {}",
        "serve --port PORT",
        "trace m1",
        "user ann",
        "waiting",
        "metrics",
        "calls",
    ],
)
def test_commands_say_what_to_do_and_change_nothing(
    words: str, command: Command, store: redis.Redis
) -> None:
    """One sentence; wrong settings, exit code 2."""
    Path("e.jsonl").write_text('{"type": "page", "userId": "u1"}\n')
    before = set(store.keys())
    code, out, err = command(*with_port(words))
    assert (code, out) == (2, "")
    assert f"newer format {NEWER}" in err
    assert err.count("\n") == 1
    assert set(store.keys()) == before


@pytest.mark.usefixtures("newer")
@pytest.mark.parametrize("words", ["worker", "splitter", "up --port PORT"])
def test_long_running_commands_start_nothing(
    words: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: redis.Redis
) -> None:
    """Neither a worker nor a part of `up`."""
    monkeypatch.chdir(tmp_path)
    keyed = {"SAILPIPE_API_KEY": "k", "SAILPIPE_API_SECRET": "s"}
    ended = sailpipe(*with_port(words), stdin=b"", SAILPIPE_REDIS_URL=redis_url, **keyed)
    assert ended.returncode == 2
    assert f"newer format {NEWER}".encode() in ended.stderr
    assert store.keys() == [keys.FORMAT.encode()]


@pytest.mark.usefixtures("newer")
def test_the_doctor_fails_a_redis_of_another_format(command: Command) -> None:
    """Beside all else that it finds."""
    code, out, _ = command("doctor")
    assert code == 1
    assert "fail redis format: This Redis was filled by a sailpipe of newer format" in out


@pytest.fixture
def _new_process() -> Iterator[None]:
    """This process has sent nothing yet."""
    _PRODUCERS.clear()
    yield
    _PRODUCERS.clear()


@pytest.mark.usefixtures("newer")
def test_celery_s_own_command_ends_with_the_sentence_in_its_log(redis_url: str) -> None:
    """Which is how containers and supervisors may start a worker."""
    ended = subprocess.run(  # noqa: S603 - our own arguments
        celery_command([SPLIT_QUEUE, *Lane], 2),
        env={
            **os.environ,
            "SAILPIPE_REDIS_URL": redis_url,
            "SAILPIPE_API_KEY": "k",
            "SAILPIPE_API_SECRET": "s",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S * 2,
    )
    assert ended.returncode == 2
    assert "event=format_refused" in ended.stderr
    assert f"newer format {NEWER}" in ended.stderr


@pytest.mark.usefixtures("_new_process")
def test_a_producer_asks_once_and_refuses(
    store: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pipeline.enqueue` in a producer's program asks before its first event, and never again."""
    monkeypatch.setenv("SAILPIPE_REDIS_URL", redis_url)
    store.set(keys.FORMAT, NEWER)
    with pytest.raises(ConfigError, match="newer format"):
        pipeline.enqueue(EVENT)
    store.flushall()
    pipeline.enqueue(EVENT)
    assert store.get(keys.FORMAT) == OURS
    asked = _scripts_run(store)
    pipeline.enqueue(EVENT)
    assert (store.xlen(keys.RAW), _scripts_run(store)) == (2, asked)


@pytest.mark.usefixtures("_new_process")
def test_a_producer_that_may_only_append_need_not_ask(
    store: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """XADD to the raw stream means the same in every format."""
    port = redis_url.rpartition(":")[2]
    store.acl_setuser(
        "shop",
        enabled=True,
        passwords=["+pw"],
        keys=[keys.RAW],
        commands=["+xadd", "+xlen", "+multi", "+exec", "+client", "+ping", "+hello"],
    )
    monkeypatch.setenv("SAILPIPE_REDIS_URL", f"redis://shop:pw@127.0.0.1:{port}")
    try:
        pipeline.enqueue(EVENT)
        pipeline.enqueue_many([EVENT, EVENT])
        assert store.xlen(keys.RAW) == 3
    finally:
        store.acl_deluser("shop")


@pytest.mark.usefixtures("_new_process")
@pytest.mark.parametrize(
    ("commands", "many"), [(["+xadd"], False), (["+xadd", "+multi", "+exec"], True)]
)
def test_a_producer_that_may_only_append_is_not_told_that_what_it_appended_was_refused(
    store: redis.Redis,
    redis_url: str,
    commands: list[str],
    many: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would send the event again. How long the stream is need not be known."""
    port = redis_url.rpartition(":")[2]
    store.acl_setuser("shop", enabled=True, passwords=["+pw"], keys=[keys.RAW], commands=commands)
    monkeypatch.setenv("SAILPIPE_REDIS_URL", f"redis://shop:pw@127.0.0.1:{port}")
    try:
        pipeline.enqueue(EVENT)
        if many:
            pipeline.enqueue_many([EVENT, EVENT])
        assert store.xlen(keys.RAW) == 1 + 2 * many
    finally:
        store.acl_deluser("shop")


async def test_an_http_server_that_found_redis_away_asks_when_it_is_back(
    store: redis.Redis, redis_url: str
) -> None:
    """It refuses events and is not ready until the format is right; then it asks no more."""
    store.set(keys.FORMAT, NEWER)
    async with open_async_redis(redis_url) as client:
        producer = AsyncProducer(client)
        with pytest.raises(EnqueueError, match="newer format"):
            await producer.check_ready()
        with pytest.raises(EnqueueError, match="newer format"):
            await producer.send_all([b"{}"])
        assert store.xlen(keys.RAW) == 0
        store.delete(keys.FORMAT)
        await producer.check_ready()
        await producer.send_all([b"{}"])
        assert store.xlen(keys.RAW) == 1


def test_a_worker_waits_for_a_redis_that_is_away_before_it_begins(tmp_path: Path) -> None:
    """It asks when Redis is there; told to stop meanwhile, it ends."""
    server = RedisServer(tmp_path)
    settings = {
        "SAILPIPE_REDIS_URL": server.url,
        "SAILPIPE_API_KEY": "k",
        "SAILPIPE_API_SECRET": "s",
    }
    with running("worker", directory=tmp_path, **settings) as worker:
        worker.wait_for("event=redis_away")
        assert worker.stop(signal.SIGTERM) == 0
    with running("splitter", directory=tmp_path, **settings) as splitter:
        splitter.wait_for("event=redis_away")
        server.start()
        try:
            with redis.Redis(port=server.port) as client:
                wait_until(lambda: client.get(keys.SPLITTER), "it splits")
                assert client.get(keys.FORMAT) == OURS
            splitter.stop()
        finally:
            server.kill()


def _scripts_run(store: redis.Redis) -> int:
    stats = store.info("commandstats")
    return int(stats.get("cmdstat_evalsha", {"calls": 0})["calls"])
