"""`sailpipe up` on an empty machine: everything comes up, stays up, and leaves nothing behind."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
import redis

from pipeline.embedded.binary import SERVERS
from pipeline.storage.redis_client import open_redis
from tests.support.commands import Running, running, sailpipe, wait_until
from tests.support.redis_server import free_port

pytestmark = pytest.mark.long

UP = "Ctrl-C stops"


@dataclass(frozen=True)
class Launcher:
    """A running `up`: where it works, and on which port it takes events."""

    up: Running
    folder: Path
    port: int


@contextmanager
def launcher_in(folder: Path, **environment: str) -> Iterator[Launcher]:
    port = free_port()
    with running("up", "--port", str(port), directory=folder, **environment) as up:
        up.wait_for(UP)
        yield Launcher(up, folder, port)


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """One `up` for the tests that leave it running."""
    with launcher_in(tmp_path_factory.mktemp("machine")) as launcher:
        yield launcher
        assert launcher.up.stop() == 0


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


def keep(client: redis.Redis) -> None:
    """Set a key; returns when it has been written to the file, so that a killed server finds it."""
    client.set("kept", "1")
    wait_until(lambda: client.info("persistence")["aof_buffer_length"] == 0, "it is written")


def track(port: int, key: str) -> int:
    """The status an event is answered with; 0 when nothing answers."""
    url = f"http://127.0.0.1:{port}/v1/track"
    event = {"userId": "u1", "event": "Signed Up"}
    try:
        return httpx.post(url, json=event, auth=(key, ""), trust_env=False).status_code
    except httpx.HTTPError:
        return 0


def test_up_says_where_it_is_and_what_it_delivers_to(launcher: Launcher) -> None:
    """Where HTTP is, its key, and that it is the sandbox because no API key is set."""
    assert f"http://127.0.0.1:{launcher.port}" in launcher.up.output
    assert "Write keys  sandbox" in launcher.up.output
    assert "sandbox in memory, because no API key is set" in launcher.up.output
    assert (track(launcher.port, "sandbox"), track(launcher.port, "wrong")) == (200, 401)


def test_commands_in_the_same_folder_find_a_running_up(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no REDIS_URL every command finds the embedded Redis, and the sandbox."""
    monkeypatch.chdir(launcher.folder)
    joined = sailpipe("enqueue", "-", stdin=b'{"type":"page","userId":"u1"}\n')
    assert (joined.returncode, joined.stdout) == (0, b"Enqueued: 1.\n")
    assert b"default credentials: the sandbox accepts them" in sailpipe("doctor").stdout


def test_a_second_up_says_what_is_in_its_way(
    launcher: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One `up` per data directory, one server per port: a sentence each, and nothing started."""
    monkeypatch.chdir(launcher.folder)
    same_folder = sailpipe("up", "--port", str(launcher.port))
    assert same_folder.returncode == 2
    told = f"already runs for {launcher.folder}/.sailpipe (process {launcher.up.process.pid})"
    assert told.encode() in same_folder.stderr
    monkeypatch.chdir(tmp_path)
    same_port = sailpipe("up", "--port", str(launcher.port))
    assert same_port.returncode == 1
    assert f"port {launcher.port} (address already in use)".encode() in same_port.stderr


def test_a_process_of_up_that_is_killed_is_started_again(launcher: Launcher) -> None:
    """The HTTP server by itself, Redis with what it kept."""
    with redis_of(launcher.folder) as client:
        keep(client)
    child(launcher.up, "serve").kill()
    launcher.up.wait_for("http     | exited (SIGKILL)")
    wait_until(lambda: track(launcher.port, "sandbox") == 200, "the server is up again")
    [server] = [p for p in processes_of(launcher.folder) if p.name() in SERVERS]
    server.kill()
    launcher.up.wait_for("redis    | exited (SIGKILL)")
    wait_until(lambda: track(launcher.port, "sandbox") == 200, "Redis takes events again")
    with redis_of(launcher.folder) as client:
        assert client.get("kept") == b"1"


def test_what_was_queued_survives_a_killed_up_and_ctrl_c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL of `up` ends all it started, the next one goes on with what was kept and says what it has not, and after
    Ctrl-C nothing is left running and no command is sent to where Redis was."""
    monkeypatch.chdir(tmp_path)
    with launcher_in(tmp_path) as first:
        assert "starts empty" not in first.up.output
        assert track(first.port, "sandbox") == 200
        with redis_of(tmp_path) as client:
            keep(client)
        first.up.stop(signal.SIGKILL)
    with launcher_in(tmp_path) as second:
        with redis_of(tmp_path) as client:
            assert client.get("kept") == b"1"
        assert "The sandbox starts empty" in second.up.output
        assert second.up.stop(signal.SIGINT) == 0
        assert second.up.lines[-1] == "Stopped; what waits is kept."
    assert processes_of(tmp_path) == []
    told = sailpipe("enqueue", "-", stdin=b"{}\n")
    assert (told.returncode, b"There is no Redis" in told.stderr) == (2, True)


def test_with_a_redis_of_its_own_no_other_is_started(tmp_path: Path, redis_url: str) -> None:
    """REDIS_URL set: `up` uses that one, and leaves it running."""
    with launcher_in(tmp_path, SAILPIPE_REDIS_URL=redis_url) as launcher:
        assert track(launcher.port, "sandbox") == 200
        assert not (tmp_path / ".sailpipe" / "redis").exists()
        assert launcher.up.stop() == 0
    with open_redis(redis_url) as client:
        assert client.ping()
