"""`serve`, `worker`, `splitter`, `sandbox`: one process each, as in a container. `up` runs the same ones."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Annotated

import redis
import typer

from pipeline.addresses import resolve_redis_url, with_addresses
from pipeline.cli import completion
from pipeline.cli.options import HostOption, PortOption, settings_here
from pipeline.cli.output import note
from pipeline.cli.ports import check_port_free
from pipeline.errors import ConfigError
from pipeline.lanes import Lane
from pipeline.observe.logs import set_up_logging
from pipeline.storage.format import check_format
from pipeline.storage.redis_client import open_redis
from pipeline.supervisor.celery_command import celery_command, splitter_command

DEFAULT_CONCURRENCY = 8
"""Wake-ups handled at once by a worker process; its calls to Sailthru are bounded elsewhere."""


def serve(host: HostOption = "127.0.0.1", port: PortOption = 8000) -> None:
    """Take events over HTTP."""
    from pipeline.ingest.server import serve as serve_ingest  # noqa: PLC0415 - the web, only here

    settings = settings_here()
    set_up_logging(form=settings.log_format)
    serve_ingest(settings, host, port)


def sandbox(host: HostOption = "127.0.0.1", port: PortOption = 8100) -> None:
    """Run a stand-in for Sailthru that keeps everything in memory."""
    from pipeline.sandbox.server import serve as serve_sandbox  # noqa: PLC0415 - the web, only here

    check_port_free(host, port)
    set_up_logging()
    note(f"Sandbox on http://{host}:{port}; key and secret are `sandbox`.")
    serve_sandbox(host, port)


def worker(
    lanes: Annotated[
        str,
        typer.Option(help="Comma-separated lanes to deliver.", autocompletion=completion.lanes),
    ] = ",".join(Lane),
    concurrency: Annotated[
        int, typer.Option(min=1, help="Wake-ups handled at once.")
    ] = DEFAULT_CONCURRENCY,
    splitter: Annotated[bool | None, typer.Option("--splitter/--no-splitter", hidden=True)] = None,
) -> None:
    """Deliver what waits: becomes a Celery worker process."""
    if splitter is not None:
        raise ConfigError(
            "--splitter and --no-splitter are gone: a worker delivers, `sailpipe splitter` splits."
        )
    _become(celery_command(_lanes(lanes), concurrency))


def splitter() -> None:
    """Split what was accepted onto the lanes; one works at a time, any others stand by."""
    _become(splitter_command())


def _become(command: list[str]) -> None:
    """Turn this process into a Celery worker, once nothing is wrong that can be said in one sentence."""
    settings = with_addresses(settings_here())
    with contextlib.suppress(redis.RedisError), open_redis(resolve_redis_url(settings)) as client:
        check_format(client, stamp=True)
    sys.stderr.flush()
    os.execv(sys.executable, command)  # noqa: S606 - ourselves, with checked arguments


def _lanes(text: str) -> list[str]:
    wanted = [lane.strip() for lane in text.split(",") if lane.strip()]
    wrong = [lane for lane in wanted if lane not in list(Lane)]
    if wrong or not wanted:
        raise ConfigError(f"--lanes {text}: the lanes are {', '.join(Lane)}.")
    return list(dict.fromkeys(wanted))
