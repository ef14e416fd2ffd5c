"""The embedded Redis: how it is started, found, waited for, and cleared away.

Append-only (a power cut costs at most the last second) and `noeviction` (a full Redis says no
rather than forget events); full is what this machine or our container has. A file that a crash cut short is repaired by Redis itself while it
loads: `aof-load-truncated`. The file is commands throughout (`aof-use-rdb-preamble no`): snapshots of
Redis and Valkey, and of their releases, are not readable by each other, and which of them is on the
PATH changes. It keeps its port and its password over restarts, so that workers of other processes find
it again.

Any user of the machine reaches a port on loopback. So a client must show the password, which only files
of our user hold, and CONFIG, DEBUG and MODULE, by which a client writes files as our user, do not exist.
"""

from __future__ import annotations

import re
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

import psutil
import redis
import redis.asyncio

from pipeline.addresses import REDIS_FILE, write_address, write_private
from pipeline.clock import Clock, SystemClock
from pipeline.embedded.binary import MIN_VERSION, SERVERS, find_redis_server
from pipeline.embedded.memory import available_memory
from pipeline.errors import ConfigError, SailpipeError
from pipeline.storage.redis_client import open_async_redis

PORT_FILE = "redis.port"
LOGIN_FILE = "redis.password"
FORBIDDEN = ("CONFIG", "DEBUG", "MODULE")
"""Commands that it does not have."""
READY_WITHIN_S = 15.0
"""Until it answers; reading a large file back may take longer and is waited for."""
LEFTOVER_ENDS_WITHIN_S = 5.0
READS_FOLDERS = (7, 0)
"""The Redis that began to append to the files of a folder. An older one does not look there."""
_POLL_S = 0.05


def free_port(preferred: int = 0) -> int:
    """`preferred` if it can be bound on loopback, else any port that can."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SailpipeError("No port on 127.0.0.1 is free: end a program that listens there.")


class EmbeddedRedis:
    """One redis-server with its data in DATA_DIR/redis. The supervisor runs `command`."""

    def __init__(self, data_dir: Path, clock: Clock | None = None) -> None:
        self.directory = data_dir / "redis"
        self.log = self.directory / "redis.log"
        self._data_dir = data_dir
        self._clock = clock or SystemClock()
        self._binary = _find_reader_of(self.directory)
        self.port = 0
        self._password = ""

    @property
    def url(self) -> str:
        """Its address, with the password."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    @property
    def command(self) -> tuple[str, ...]:
        return (self._binary, str(self.directory / "redis.conf"))

    def prepare(self) -> None:
        """End what a killed `up` left, choose a port, write the configuration.

        Raises:
            ConfigError: the directory cannot be written.
        """
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            _end_leftover(self.directory)
            self.port = free_port(self._last_port())
            self._password = self._last_password() or secrets.token_urlsafe(32)
            write_private(self._data_dir / PORT_FILE, f"{self.port}\n")
            write_private(self._data_dir / LOGIN_FILE, f"{self._password}\n")
            configuration = _configuration(self.directory, self.port, self._password)
            write_private(self.directory / "redis.conf", configuration)
        except OSError as error:
            raise ConfigError(
                f"{self.directory} cannot be written: {error.strerror}; set SAILPIPE_DATA_DIR to another folder."
            ) from None

    async def wait_ready(self, alive: Callable[[], bool]) -> None:
        """Return when it answers, and leave its address in DATA_DIR/redis.url.

        Raises:
            SailpipeError: it ended (`alive` says so) or does not answer in time.
        """
        deadline = self._clock.monotonic() + READY_WITHIN_S
        async with open_async_redis(self.url) as client:
            while not await self._answers(client):
                if not alive() or self._clock.monotonic() > deadline:
                    raise SailpipeError(f"The embedded Redis does not start; see {self.log}.")
                await self._clock.sleep(_POLL_S)
        write_address(self._data_dir, REDIS_FILE, self.url)

    async def _answers(self, client: redis.asyncio.Redis) -> bool:
        try:
            while True:
                try:
                    return bool(await client.ping())
                except redis.BusyLoadingError:
                    await self._clock.sleep(_POLL_S)
        except (redis.ConnectionError, redis.TimeoutError):
            return False

    def _last_port(self) -> int:
        try:
            port = int((self._data_dir / PORT_FILE).read_text())
        except (FileNotFoundError, ValueError):
            return 0
        return port if 0 < port < 65536 else 0

    def _last_password(self) -> str:
        """The one that the `up` before chose; '' when there is none, or it is none of ours."""
        try:
            found = (self._data_dir / LOGIN_FILE).read_text().strip()
        except (FileNotFoundError, ValueError):
            return ""
        return found if re.fullmatch(r"[A-Za-z0-9_-]{32,}", found) else ""


def _find_reader_of(directory: Path) -> str:
    """A server that finds what another left in `directory`, and does not start empty beside it."""
    if (directory / "appendonlydir").exists():
        return find_redis_server(READS_FOLDERS, f"as was the one that wrote {directory}")
    return find_redis_server(MIN_VERSION)


def _configuration(directory: Path, port: int, password: str) -> str:
    options = {
        "bind": "127.0.0.1",
        "port": port,
        "requirepass": password,
        "dir": _quoted(directory),
        "pidfile": _quoted(directory / "redis.pid"),
        "logfile": _quoted(directory / "redis.log"),
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "aof-load-truncated": "yes",
        "aof-use-rdb-preamble": "no",
        "save": '""',
        "maxmemory": available_memory(),
        "maxmemory-policy": "noeviction",
        "always-show-logo": "no",
    }
    lines = [f"{name} {value}" for name, value in options.items()]
    lines += [f'rename-command {command} ""' for command in FORBIDDEN]
    return "\n".join([*lines, ""])


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _end_leftover(directory: Path) -> None:
    """End the server that still works in this directory: two would write one file."""
    try:
        process = psutil.Process(int((directory / "redis.pid").read_text()))
        if process.name() not in SERVERS or Path(process.cwd()) != directory.resolve():
            return
        process.terminate()
        try:
            process.wait(LEFTOVER_ENDS_WITHIN_S)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(LEFTOVER_ENDS_WITHIN_S)
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
        return
