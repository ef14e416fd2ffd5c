"""A server on loopback that answers whatever it is asked with the bytes that a test gives it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Ending = Literal["close", "half-close", "reset", "hang"]
ENDINGS: tuple[Ending, ...] = ("close", "half-close", "reset", "hang")
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger."""


@dataclass(frozen=True, slots=True)
class Script:
    """What is said, piece by piece, and how the connection ends. `hang`: the other side ends it.

    apart: whether who shares this loop is to have read each piece before the next is written.
    """

    pieces: Sequence[bytes]
    ending: Ending = "close"
    apart: bool = False


class OddServer:
    """Follows `script` after each whole request it has read; `got` counts these. `port` 0: a free one."""

    def __init__(self, port: int = 0) -> None:
        self.script = Script([b""])
        self._port = port
        self.got = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> OddServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await read_request(reader)
            self.got += 1
            await self._follow(self.script, reader, writer)
        writer.close()

    async def _follow(
        self, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        for piece in script.pieces:
            writer.write(piece)
            await writer.drain()
            for _ in range(2 if script.apart else 1):  # the other side reads in the first turn
                await asyncio.sleep(0)
        if script.ending == "reset":
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        if script.ending == "half-close":
            writer.write_eof()
        if script.ending in ("half-close", "hang"):
            await reader.read()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """One request, head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
    return head + await reader.readexactly(int(fields.get(b"content-length", b"0")))
