"""`sailpipe metrics`: what Prometheus would read, once."""

from __future__ import annotations

from pipeline.cli.output import result
from pipeline.cli.session import Session, in_session


def metrics() -> None:
    """Show the metrics of all processes as Prometheus reads them."""

    async def work(session: Session) -> bytes:
        from pipeline.metrics.collector import metrics_text  # noqa: PLC0415 - only this command

        return await metrics_text(session.redis, session.settings)

    result(in_session(None, work).decode().rstrip("\n"))
