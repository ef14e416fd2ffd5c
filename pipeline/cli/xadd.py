"""`sailpipe xadd`: one raw entry, as a Redis client of any language adds it."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from pipeline.accept import check_producers_format
from pipeline.addresses import resolve_redis_url
from pipeline.cli.errors import BadInput
from pipeline.cli.event_files import STDIN
from pipeline.cli.options import AccountOption, RoleOption, settings_here
from pipeline.cli.output import result
from pipeline.producer import Producer
from pipeline.raw_entries import Labels
from pipeline.roles import Role
from pipeline.storage.redis_client import open_redis


def xadd(
    event: Annotated[str, typer.Argument(help="The event as JSON; - is stdin.")],
    account: AccountOption = "default",
    bulk: Annotated[bool, typer.Option("--bulk", help="Let live events go first.")] = False,
    role: RoleOption = Role.SERVER,
) -> None:
    """Append one event as XADD would, where there is no redis-cli, and print its entry's id.

    The event is not looked at: one that is wrong becomes a dead letter. For many, use enqueue.
    """
    settings = settings_here(account)
    raw = sys.stdin.buffer.read() if event == STDIN else os.fsencode(event)
    if not raw.strip():
        raise BadInput("There is no event: give it as JSON, or - and write it to stdin.")
    with open_redis(resolve_redis_url(settings)) as redis:
        check_producers_format(redis)
        result(Producer(redis).send(raw.strip(), Labels(account, bulk=bulk, role=role)))
