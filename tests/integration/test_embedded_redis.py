"""The embedded Redis keeps what it was told, whatever ends it."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from pipeline.embedded.data_dir import DataDir
from pipeline.embedded.memory import available_memory
from pipeline.embedded.redis_server import EmbeddedRedis
from pipeline.errors import ConfigError, SailpipeError
from tests.support.commands import wait_until


@contextmanager
def started(embedded: EmbeddedRedis) -> Iterator[subprocess.Popen[bytes]]:
    embedded.prepare()
    process = subprocess.Popen(embedded.command)  # noqa: S603 - our own arguments
    try:
        wait_until(lambda: answers(embedded.url), "Redis answers")
        yield process
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    with redis.Redis.from_url(url) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


def test_the_embedded_redis_is_durable_and_never_evicts(tmp_path: Path) -> None:
    """Append-only, noeviction; and its memory has an end before the machine's has."""
    embedded = EmbeddedRedis(tmp_path)
    with started(embedded), redis.Redis.from_url(embedded.url) as client:
        info = client.info("everything")
        assert (info["aof_enabled"], info["maxmemory_policy"]) == (1, "noeviction")
        assert info["maxmemory"] == available_memory()
    lines = (embedded.directory / "redis.conf").read_text().splitlines()
    assert {"appendfsync everysec", "bind 127.0.0.1"} <= {*lines}


def test_another_user_of_the_machine_reads_and_writes_nothing(tmp_path: Path) -> None:
    """Its port is open to them; the password is not, whatever umask `up` was started with."""
    before = os.umask(0)
    try:
        embedded = EmbeddedRedis(tmp_path)
        with started(embedded):
            asyncio.run(embedded.wait_ready(alive=lambda: True))
            stranger = redis.Redis.from_url(f"redis://127.0.0.1:{embedded.port}")
            for command in (stranger.ping, stranger.info, lambda: stranger.xadd("s", {"a": "b"})):
                with pytest.raises(redis.AuthenticationError):
                    command()
            stranger.close()
    finally:
        os.umask(before)
    for name in ("redis.url", "redis.password", "redis/redis.conf"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(embedded.directory.stat().st_mode) == 0o700


def test_a_client_cannot_write_files_through_it(tmp_path: Path) -> None:
    """CONFIG SET dir and dbfilename, DEBUG and MODULE LOAD write or run files as our user."""
    embedded = EmbeddedRedis(tmp_path)
    with started(embedded), redis.Redis.from_url(embedded.url) as client:
        for command in ("CONFIG GET dir", "DEBUG SLEEP 0", "MODULE LIST"):
            with pytest.raises(redis.ResponseError, match="unknown command"):
                client.execute_command(*command.split())


def newest(folder: Path) -> Path:
    """What it appends to: Redis 7 has a folder of that name, and a base."""
    files = [file for file in folder.rglob("appendonly.aof*") if file.is_file()]
    return max(files, key=lambda file: file.stat().st_size)


def test_a_file_that_a_crash_cut_short_is_repaired(tmp_path: Path) -> None:
    """Power cuts end in the middle of a write; only that last write may be lost."""
    embedded = EmbeddedRedis(tmp_path)
    with started(embedded), redis.Redis.from_url(embedded.url) as client:
        client.set("kept", "1")
        client.set("cut", "short")
        client.set("last", "2")
        wait_until(lambda: b"last" in newest(tmp_path).read_bytes(), "it is in the file")
    file = newest(tmp_path)
    file.write_bytes(file.read_bytes()[:-7])
    again = EmbeddedRedis(tmp_path)
    with started(again), redis.Redis.from_url(again.url) as client:
        assert client.get("kept") == b"1"
        assert client.get("cut") == b"short"
        assert client.get("last") is None


def test_the_files_of_the_embedded_redis_are_commands_that_every_server_reads(
    tmp_path: Path,
) -> None:
    """A snapshot of Valkey 9 is read by no Redis, one of Redis 8 by no Valkey; either may be on PATH."""
    embedded = EmbeddedRedis(tmp_path)
    with started(embedded), redis.Redis.from_url(embedded.url) as client:
        client.set("kept", "1")
        client.bgrewriteaof()
        wait_until(lambda: rewritten(client), "the file is rewritten")
    files = [
        f for f in tmp_path.rglob("appendonly.aof*") if f.is_file() and f.suffix != ".manifest"
    ]
    assert b"kept" in b"".join(file.read_bytes() for file in files)
    assert [f for f in files if f.read_bytes()[:1] not in {b"", b"*", b"#"}] == []


def rewritten(client: redis.Redis) -> bool:
    state = client.info("persistence")
    return not (state["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"])


def test_the_embedded_redis_keeps_its_address_so_that_others_find_it_again(tmp_path: Path) -> None:
    """A `sailpipe worker` of another terminal reconnects after `up` was restarted."""
    first, second = EmbeddedRedis(tmp_path), EmbeddedRedis(tmp_path)
    first.prepare()
    second.prepare()
    assert first.url == second.url


@pytest.mark.parametrize("found", [b"short\n", b"\xff" * 40, b"\0" * 44, b""])
def test_it_takes_no_password_that_it_did_not_make(tmp_path: Path, found: bytes) -> None:
    """An empty file, or one with a line break, would leave the port open or spoil the configuration."""
    (tmp_path / "redis.password").write_bytes(found)
    embedded = EmbeddedRedis(tmp_path)
    embedded.prepare()
    password = urlsplit(embedded.url).password or ""
    assert len(password) >= 32
    assert password.encode() not in found


def test_a_redis_that_a_killed_up_left_is_ended_first(tmp_path: Path) -> None:
    """Two redis-servers over one append-only file would spoil it."""
    leftover, ours = EmbeddedRedis(tmp_path), EmbeddedRedis(tmp_path)
    with started(leftover) as process:
        with redis.Redis.from_url(leftover.url) as client:
            client.set("kept", "1")
        ours.prepare()
        assert process.poll() is not None or process.wait(5) is not None
        with started(ours), redis.Redis.from_url(ours.url) as client:
            assert client.get("kept") == b"1"


def test_a_process_that_merely_has_the_leftovers_number_is_left_alone(tmp_path: Path) -> None:
    """Process ids are used again; killing by number alone would hit a stranger."""
    embedded = EmbeddedRedis(tmp_path)
    embedded.directory.mkdir()
    with started(EmbeddedRedis(tmp_path / "other")) as stranger:
        (embedded.directory / "redis.pid").write_text(str(stranger.pid))
        embedded.prepare()
        assert stranger.poll() is None


async def test_a_redis_that_does_not_start_is_reported_with_its_log(tmp_path: Path) -> None:
    """A spoilt file, say: the reason is in Redis' own log."""
    embedded = EmbeddedRedis(tmp_path)
    embedded.prepare()
    with pytest.raises(SailpipeError, match=r"redis\.log"):
        await embedded.wait_ready(alive=lambda: False)


def test_a_data_directory_has_one_up_at_a_time(tmp_path: Path) -> None:
    """The second is told which process has it; when the first ends, however, it may start."""
    with (
        DataDir(str(tmp_path)),
        pytest.raises(ConfigError, match="already runs"),
        DataDir(str(tmp_path)),
    ):
        pass
    with DataDir(str(tmp_path)) as held:
        assert held.path == tmp_path
