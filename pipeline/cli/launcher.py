"""Starts and stops the processes of `sailpipe up`: which, in which order, with which settings."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import redis
import redis.asyncio

from pipeline.addresses import (
    REDIS_FILE,
    SANDBOX_FILE,
    needs_sandbox,
    withdraw_address,
    write_address,
)
from pipeline.cli.announcement import Started, reachable
from pipeline.cli.output import note, result
from pipeline.clock import Clock, SystemClock
from pipeline.embedded.redis_server import EmbeddedRedis, free_port
from pipeline.errors import SailpipeError
from pipeline.events.models import Lane
from pipeline.ownership.accounts import removed_accounts
from pipeline.settings import DEFAULT_ACCOUNT, Settings
from pipeline.status.owners import read_standings
from pipeline.storage import keys
from pipeline.storage.format import check_format_async
from pipeline.storage.redis_client import open_async_redis
from pipeline.storage.redis_errors import describe
from pipeline.supervisor import Service, Stage, Supervisor

READY_WITHIN_S = 30.0
"""Seconds each process has to start; on an idle machine all of them start within 5 s."""
WORKERS_STOP_WITHIN_S = 10.0
"""More than the HTTP timeout: a call under way is finished, what comes back is settled."""
LEASE_ENDS_WITHIN_S = 6.0
"""A splitter's lease that no process renews has expired by then."""
_WORKER, _SPLITTER = "worker", "splitter"
_POLL_S = 0.05
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Launcher:
    """One `sailpipe up`: starts its processes in order, waits for a signal, stops them in reverse order."""

    def __init__(
        self,
        settings: Settings,
        data_dir: Path,
        *,
        host: str,
        port: int,
        workers: int,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._data_dir = data_dir
        self._host, self._port, self._workers = host, port, workers
        self._clock = clock or SystemClock()
        self._redis_url = ""
        self._has_events = self._is_foreign = False
        self._stop_requested = asyncio.Event()
        self._supervisor = Supervisor()

    async def run(self) -> None:
        """Run until SIGINT, SIGTERM or SIGHUP; a second one cuts the workers' grace short.

        Raises:
            SailpipeError: a part does not start; the others have been stopped by then.
        """
        for one in _SIGNALS:
            if one is not signal.SIGHUP or signal.getsignal(one) is not signal.SIG_IGN:  # nohup
                asyncio.get_running_loop().add_signal_handler(one, self._on_signal)
        is_up = False
        try:
            is_up = await self._start()
            if is_up:
                self._announce()
                await self._stop_requested.wait()
                note("Stopping: HTTP, splitter and workers, Redis ... (again to hurry)")
        finally:
            await self._supervisor.stop()
            withdraw_address(self._data_dir, SANDBOX_FILE)
            withdraw_address(self._data_dir, REDIS_FILE)
        if is_up:
            note("Stopped; what waits is kept.")

    def _on_signal(self) -> None:
        if self._stop_requested.is_set():
            self._supervisor.hurry()
        self._stop_requested.set()

    async def _start(self) -> bool:
        """Start all parts. False when a signal came before they were up."""
        starting = asyncio.ensure_future(self._start_parts())
        stop = asyncio.ensure_future(self._stop_requested.wait())
        await asyncio.wait({starting, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if starting.done():
            starting.result()
            return True
        starting.cancel()
        await asyncio.wait({starting})
        return False

    async def _start_parts(self) -> None:
        note("Starting Redis, splitter, workers and HTTP: some seconds ...")
        await self._start_redis()
        await self._look_into_redis()
        if needs_sandbox(self._settings):
            await self._start_sandbox()
        async with open_async_redis(self._redis_url) as client:
            splits, wakes = await self._splitting(client), await self._waking(client)
            await self._supervisor.start(self._celery(_SPLITTER, _SPLITTER))
            for number in range(self._workers):
                name = f"{_WORKER}-{number + 1}" if number else _WORKER
                await self._supervisor.start(self._celery(name, _WORKER))
            http = self._part("http", Stage.INGEST, "serve", self._host, self._port)
            await self._supervisor.start(http)
            await self._wait("http", lambda: _listens(self._host, self._port))
            await self._wait(_SPLITTER, splits)
            await self._wait(_WORKER, wakes)

    async def _splitting(self, client: redis.asyncio.Redis) -> Callable[[], Awaitable[bool]]:
        """Whether a splitter works: it holds a lease that is not the one a killed `up` may have left."""
        before = await client.get(keys.SPLITTER)
        outlived = self._clock.monotonic() + LEASE_ENDS_WITHIN_S

        async def splits() -> bool:
            lease = await client.get(keys.SPLITTER)
            renewed = self._clock.monotonic() > outlived  # by a splitter that is not ours
            return lease is not None and (lease != before or renewed)

        return splits

    async def _waking(self, client: redis.asyncio.Redis) -> Callable[[], Awaitable[bool]]:
        """Whether a worker looks for what is due: a lane has been ticked since."""
        lane = keys.lane(next(iter(self._settings.accounts)), Lane.USER)
        before = await client.hget(lane, "tick")

        async def wakes() -> bool:
            return bool(await client.hget(lane, "tick") != before)

        return wakes

    async def _start_redis(self) -> None:
        if self._settings.redis_url:
            self._redis_url = self._settings.redis_url
            await _check_reachable(self._redis_url)
            return
        embedded = EmbeddedRedis(self._data_dir, self._clock)
        embedded.prepare()
        service = Service("redis", embedded.command, Stage.REDIS, stop_within_s=30.0)
        await self._supervisor.start(service)
        await embedded.wait_ready(lambda: self._supervisor.restarts("redis") == 0)
        self._redis_url = embedded.url

    async def _look_into_redis(self) -> None:
        """Refuse another version's data, and say whose events will not be delivered.

        Both are said before anything starts, because they are easy to miss later.
        """
        async with open_async_redis(self._redis_url) as client:
            await check_format_async(client, stamp=True)
            standings = await read_standings(client, self._settings)
            removed = await removed_accounts(client, self._settings.accounts)
        foreign = [one for one in standings.values() if one.is_foreign]
        self._has_events = any(one.accepted for one in standings.values())
        self._is_foreign = standings[DEFAULT_ACCOUNT].is_foreign
        for why, fix in [(one.why, one.fix) for one in foreign] + [
            (one.why, one.fix) for one in removed
        ]:
            note(f"Not delivered: {why}.")
            note(f"  To go on, {fix}.")

    async def _start_sandbox(self) -> None:
        port = free_port()
        await self._supervisor.start(
            self._part("sandbox", Stage.SANDBOX, "sandbox", "127.0.0.1", port)
        )
        await self._wait("sandbox", lambda: _listens("127.0.0.1", port))
        write_address(self._data_dir, SANDBOX_FILE, f"http://127.0.0.1:{port}")

    def _part(self, name: str, stage: Stage, command: str, host: str, port: int) -> Service:
        words = (command, "--host", host, "--port", str(port))
        return Service(name, _sailpipe(*words), stage, self._environment())

    def _environment(self) -> dict[str, str]:
        return {
            "SAILPIPE_DATA_DIR": str(self._data_dir),
            "SAILPIPE_REDIS_URL": self._redis_url,
        }

    def _celery(self, name: str, command: str) -> Service:
        return Service(
            name,
            _sailpipe(command),
            Stage.WORKERS,
            self._environment(),
            stop_within_s=WORKERS_STOP_WITHIN_S,
        )

    async def _wait(self, name: str, ready: Callable[[], Awaitable[object]]) -> None:
        deadline = self._clock.monotonic() + READY_WITHIN_S
        while not await ready():
            if self._supervisor.restarts(name) or self._clock.monotonic() > deadline:
                raise SailpipeError(f"{name} does not start; its output is above.")
            await self._clock.sleep(_POLL_S)

    def _announce(self) -> None:
        started = Started(
            self._settings,
            self._data_dir,
            self._host,
            self._port,
            program=_program(),
            has_events=self._has_events,
            is_foreign=self._is_foreign,
            has_sample=Path("examples", "sample.py").is_file() and Path("Makefile").is_file(),
        )
        for line in started.lines():
            result(line)
        sys.stdout.flush()


def _program() -> str:
    """How the person who started this process calls sailpipe."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "sailpipe" and called.parent.parts else "sailpipe"


def _sailpipe(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "pipeline.cli", *words)


async def _check_reachable(url: str) -> None:
    try:
        async with open_async_redis(url) as client:
            await client.ping()
    except redis.RedisError as error:
        raise SailpipeError(describe(error, url)) from None


async def _listens(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(reachable(host), port)
    except OSError:
        return False
    writer.close()
    return True
