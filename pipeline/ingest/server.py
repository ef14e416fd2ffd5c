"""Runs the HTTP server as a process: `sailpipe serve`."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import sys
from collections.abc import AsyncIterator, Coroutine
from importlib.metadata import version
from typing import Any

import uvicorn
from redis.exceptions import RedisError
from starlette.types import ASGIApp

from pipeline.addresses import resolve_redis_url
from pipeline.alerting.watch import watch_alerts
from pipeline.clock import SystemClock
from pipeline.errors import ConfigError
from pipeline.ingest.app import create_app
from pipeline.ingest.connections import KEEP_ALIVE_S, Senders, protocol_for, raise_descriptors
from pipeline.ingest.upstream import Upstream
from pipeline.observe.logs import Throttle, log_event
from pipeline.processes.heartbeat import END_WITHIN_S, Heartbeat
from pipeline.processes.records import ProcessRole, this_process
from pipeline.settings import Settings
from pipeline.storage.format import check_format_async
from pipeline.storage.redis_client import open_async_redis, without_password
from pipeline.storage.redis_watch import RedisWatch

SWITCH_S = 0.001
"""A thread that reads a large body hands the interpreter over after so long, not after Python's 5 ms: a light
request needs it some five times."""
BACKLOG = 128
"""Connections that are accepted at a time, before any of them is counted."""
GRACE_S = 5
"""Seconds that requests under way have to finish when the process is told to stop."""


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM; then finish what is under way, within GRACE_S.

    Raises:
        ConfigError: the port is taken or the host is not this machine's, there is no telling where
            Redis is, or it holds another version's data. A Redis that is merely away is no reason not to start.
    """
    url = resolve_redis_url(settings)
    with _listen(host, port) as listener:
        asyncio.run(_run(settings, url, listener))


async def _run(settings: Settings, redis_url: str, listener: socket.socket) -> None:
    sys.setswitchinterval(SWITCH_S)
    for library in ("asyncio", "uvicorn.error"):
        logging.getLogger(library).addFilter(Throttle())
    clock = SystemClock()
    senders = Senders(raise_descriptors(), clock)
    redis = open_async_redis(redis_url)
    upstream = Upstream(settings, redis)
    app = create_app(settings, redis, upstream=upstream, redis_url=redis_url)
    server = uvicorn.Server(_configuration(app, senders))
    watch = RedisWatch("http", clock)
    address = _address(listener)
    process = this_process(ProcessRole.HTTP, clock, address=address)
    try:
        try:
            await check_format_async(redis, stamp=True)
        except RedisError as error:  # the first request asks again
            watch.away(error)
        log_event(
            "process_started",
            role="http",
            version=version("sailpipe"),
            address=address,
            target=settings.target,
            redis=without_password(redis_url),
        )
        alerts = watch_alerts(redis, settings, clock, watch)
        beats = Heartbeat(redis, process, settings.accounts, clock).run()
        async with _beside(senders.watch(), alerts, beats):
            await server.serve(sockets=[listener])
    finally:
        await upstream.aclose()
        await redis.aclose()


@contextlib.asynccontextmanager
async def _beside(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Does this while the block runs."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=END_WITHIN_S)


def _configuration(app: ASGIApp, senders: Senders) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # it would log a line an event, and paths can carry ids
        lifespan="off",
        server_header=False,
        http=protocol_for(senders),
        ws="none",  # nothing here speaks it, and a half-made handshake would wait for ever
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )


def _listen(host: str, port: int) -> socket.socket:
    """Bound here rather than by uvicorn, which would log a taken port and exit with code 3."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only for sockets that say they are TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigError(_why_not(host, port, error)) from None
    return listener


def _address(listener: socket.socket) -> str:
    """`HOST:PORT`, where it listens; an IPv6 address in brackets."""
    host, port, *_ = listener.getsockname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is taken: choose another with --port."
    return (
        f"Cannot listen on {host} port {port} ({error.strerror or error}): check --host and --port."
    )
