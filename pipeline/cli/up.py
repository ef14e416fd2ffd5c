"""`sailpipe up`: everything on this machine, supervised."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated

import typer

from pipeline.cli.launcher import Launcher
from pipeline.cli.options import HostOption, PortOption, settings_here
from pipeline.cli.ports import check_port_free
from pipeline.embedded.data_dir import DataDir


def up(
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 1,
) -> None:
    """Run everything on this machine: Redis, HTTP, splitter, workers; without an API key a sandbox."""
    settings = settings_here()
    os.umask(0o077)  # what it and its parts write is customers' data
    with DataDir(settings.data_dir) as data_dir:  # first: a second `up` here is not about ports
        check_port_free(host, port)
        launcher = Launcher(settings, data_dir.path, host=host, port=port, workers=workers)
        asyncio.run(launcher.run())
