"""`sailpipe healthcheck`: whether what runs in this container works, as an orchestrator asks."""

from __future__ import annotations

import http
import http.client
import socket
from typing import Annotated
from urllib.parse import urlsplit

import typer

from pipeline.cli.announcement import reachable
from pipeline.cli.errors import BadInput
from pipeline.cli.output import result
from pipeline.cli.session import Session, in_session
from pipeline.errors import SailpipeError
from pipeline.processes.heartbeat import ALIVE_MS

WITHIN_S = 4.0
"""Seconds an HTTP server has for its answer."""


def healthcheck(
    url: Annotated[
        str | None, typer.Option(help="Ask this address alone: it must answer with status 200.")
    ] = None,
) -> None:
    """Say whether the processes of this host work: a sign of life of each, and an answer where one serves HTTP.

    For a container's health check. Ends with 1 when none gives a sign of life, or an answer is not 200.
    """
    if url is not None:
        check_answers(url)
        result(f"{url} answers.")
        return
    found = in_session(None, _alive_here)
    if not found:
        raise SailpipeError(
            f"No process of host {socket.gethostname()} has given a sign of life for {ALIVE_MS // 1000} s; `sailpipe status` names all."
        )
    for role, address in found:
        if address is not None:
            host, _, port = address.rpartition(":")
            name = reachable(host.strip("[]"))
            check_answers(
                f"http://[{name}]:{port}/readyz" if ":" in name else f"http://{name}:{port}/readyz"
            )
        result(f"{role}: alive")


def check_answers(url: str) -> None:
    """Raises SailpipeError unless a GET of `url` is answered with 200 in time; no proxy is asked."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise BadInput(f"--url {url}: an address such as http://127.0.0.1:8000/readyz.")
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=WITHIN_S)
    try:
        connection.request("GET", parts.path or "/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise SailpipeError(f"{url} does not answer: {error or type(error).__name__}.") from None
    finally:
        connection.close()
    if status != http.HTTPStatus.OK:
        raise SailpipeError(f"{url} answers with status {status}, not 200.")


async def _alive_here(session: Session) -> list[tuple[str, str | None]]:
    from pipeline.status.fleet import read_fleet  # noqa: PLC0415 - only without --url

    here = socket.gethostname()
    fleet = await read_fleet(session.redis)
    return [
        (one.process.role.value, one.process.address)
        for one in fleet.alive
        if one.process.host == here
    ]
