"""`sailpipe up` on an empty machine: everything comes up, stays up, and leaves nothing behind."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import redis

from pipeline.redis_client import open_redis
from tests.support.commands import Running, running, sailpipe, wait_until
from tests.support.redis_server import free_port

UP = "Ctrl-C stops"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder; afterwards no process may still work in it."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    wait_until(lambda: not processes_of(tmp_path), "no process is left over")


def processes_of(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if str(process.cwd()).startswith(str(folder)) and process.pid != psutil.Process().pid:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def child(up: Running, command: str) -> psutil.Process:
    [found] = [p for p in psutil.Process(up.process.pid).children() if command in p.cmdline()]
    return found


def redis_of(folder: Path) -> redis.Redis:
    return open_redis((folder / ".sailpipe" / "redis.url").read_text().strip())


def track(port: int, key: str) -> int:
    """The status an event is answered with; 0 when nothing answers."""
    url = f"http://127.0.0.1:{port}/v1/track"
    event = {"userId": "u1", "event": "Signed Up"}
    try:
        return httpx.post(url, json=event, auth=(key, ""), trust_env=False).status_code
    except httpx.HTTPError:
        return 0


def test_one_command_brings_everything_up_and_takes_it_down_again(folder: Path) -> None:
    """Where HTTP is, its key, and that it is the sandbox; commands in the same folder join it."""
    port = free_port()
    with running("up", "--port", str(port), directory=folder) as up:
        up.wait_for(UP)
        assert f"http://127.0.0.1:{port}" in up.output
        assert "Write key   sandbox" in up.output
        assert "sandbox in memory, because no API key is set" in up.output
        assert (track(port, "sandbox"), track(port, "wrong")) == (200, 401)
        joined = sailpipe("enqueue", "-", stdin=b'{"type":"page","userId":"u1"}\n')
        assert (joined.returncode, joined.stdout) == (0, b"Enqueued: 1.\n")
        assert b"default credentials: the sandbox accepts them" in sailpipe("doctor").stdout
        assert up.stop(signal.SIGINT) == 0
    assert sailpipe("enqueue", "-", stdin=b"{}\n").returncode == 2
    assert b"There is no Redis" in sailpipe("enqueue", "-", stdin=b"{}\n").stderr


def test_a_second_up_is_told_what_is_in_its_way(folder: Path) -> None:
    """One `up` per data directory, one server per port: a sentence each, and nothing started."""
    port = free_port()
    with running("up", "--port", str(port), directory=folder) as up:
        up.wait_for(UP)
        same_port = sailpipe("up", "--port", str(port))
        assert same_port.returncode == 1
        assert f"port {port} (address already in use)".encode() in same_port.stderr
        same_folder = sailpipe("up", "--port", str(free_port()))
        assert same_folder.returncode == 2
        assert f"already runs for {folder}/.sailpipe (process {up.process.pid})".encode() in (
            same_folder.stderr
        )
        assert up.stop() == 0


def test_what_is_killed_is_started_again(folder: Path) -> None:
    """The door by itself, Redis with what it kept."""
    port = free_port()
    with running("up", "--port", str(port), directory=folder) as up:
        up.wait_for(UP)
        with redis_of(folder) as client:
            client.set("kept", "1")
            client.config_set("appendfsync", "always")
            client.set("kept", "2")
        child(up, "serve").kill()
        up.wait_for("http     | exited (SIGKILL)")
        wait_until(lambda: track(port, "sandbox") == 200, "the door is open again")
        [server] = [p for p in processes_of(folder) if "redis-server" in p.name()]
        server.kill()
        up.wait_for("redis    | exited (SIGKILL)")
        wait_until(lambda: track(port, "sandbox") == 200, "Redis takes events again")
        with redis_of(folder) as client:
            assert client.get("kept") == b"2"
        assert up.stop() == 0


def test_what_was_queued_survives_a_killed_up(folder: Path) -> None:
    """SIGKILL of `up` ends all it started; the next one goes on with what was kept."""
    port = free_port()
    with running("up", "--port", str(port), directory=folder) as up:
        up.wait_for(UP)
        with redis_of(folder) as client:
            client.config_set("appendfsync", "always")
            client.set("kept", "1")
        up.stop(signal.SIGKILL)
    with running("up", "--port", str(port), directory=folder) as again:
        again.wait_for(UP)
        with redis_of(folder) as client:
            assert client.get("kept") == b"1"
        assert again.stop() == 0
