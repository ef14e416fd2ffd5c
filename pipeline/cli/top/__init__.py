"""`sailpipe top`: the figures of `status`, live in a terminal."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pipeline.cli.completion import accounts
from pipeline.cli.errors import BadInput
from pipeline.cli.session import Session, in_session


def top(
    account: Annotated[
        str | None, typer.Option(help="Only this account.", autocompletion=accounts)
    ] = None,
) -> None:
    """Show lanes, gates, processes and problems live, with keys to pause, resume and look closer.

    ? lists the keys.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise BadInput("top needs a terminal; `sailpipe status --watch` writes to anything.")

    async def work(session: Session) -> None:
        from pipeline.cli.top.app import Top  # noqa: PLC0415 - Textual is slow to import
        from pipeline.cli.top.source import Source  # noqa: PLC0415

        only = None if account is None else [account]
        await Top(Source(session.redis, session.settings, session.redis_url, only)).run_async()

    in_session(account, work)
