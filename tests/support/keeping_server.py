"""A server on loopback that keeps its sockets, and one call to it over the transport alone."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx

from pipeline.sailthru.connection import Departure
from pipeline.sailthru.transport import DEPARTURE, Transport
from tests.support.odd_replies import reply
from tests.support.odd_server import read_request

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For what speaks no TLS; an empty context is quick to make."""
AMPLE_S = 20.0


class Server:
    """Answers every request on a socket with `answer`, and keeps the sockets and the requests it had. `hangs_up`: it
    closes the socket instead."""

    def __init__(self) -> None:
        self.answer = reply()
        self.requests: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.gone = 0
        self.hangs_up = False
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while True:
                self.requests.append(await read_request(reader))
                if self.hangs_up:
                    break
                writer.write(self.answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.transport.abort()
        self.gone += 1


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    server.url = f"http{'s' if tls else ''}://127.0.0.1:{port}/user"
    async with listening:
        yield server
        for writer in server.writers:
            writer.transport.abort()
        await until(lambda: server.gone == len(server.writers))


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(AMPLE_S):
        while not is_so():
            await asyncio.sleep(0.005)


async def call(
    http: Transport, url: str, departure: Departure | None = None, content: bytes = b"json={}"
) -> tuple[int, bytes]:
    extensions = {DEPARTURE: departure} if departure else {}
    request = httpx.Request("POST", url, content=content, extensions=extensions)
    response = await http.handle_async_request(request)
    try:
        return response.status_code, await response.aread()
    finally:
        await response.aclose()
