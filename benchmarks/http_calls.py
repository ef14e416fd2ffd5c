"""CPU of one call to Sailthru: our client, beside the loops that a competent user would write without it.

`python -m benchmarks.http_calls [ROUNDS] [CALLS]`. Each makes the same signed POST /user over kept sockets, 16 at a
time, to a server in a process of its own that answers at once. Rounds are interleaved; what is printed is the
median of the rounds, in microseconds of this process' CPU a call, and its ratio to the bare loop in the same round.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from pipeline.sailthru.answers import Accepted
from pipeline.sailthru.calls import Call
from pipeline.sailthru.client import Credentials, SailthruClient
from pipeline.sailthru.signing import signed
from pipeline.sailthru.transport import open_http

ROUNDS, CALLS, AT_A_TIME = 9, 2_000, 16
BARE = "httpx over aiohttp"
_KEY, _SECRET = "key-4711", "hush-hush"
_CALL = Call(
    "POST",
    "/user",
    {
        "id": "usr_42",
        "key": "extid",
        "keys": {"email": "zoe@example.org"},
        "keysconflict": "merge",
        "vars": {"first_name": "Zoe", "plan": "gold", "visits": 17, "city": "Bochum"},
    },
)
_REPLY = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Rate-Limit-Limit: 18000\r\n"
    b"X-Rate-Limit-Remaining: 17000\r\nX-Rate-Limit-Reset: 1900000000\r\nContent-Length: 11\r\n\r\n"
    b'{"ok":true}'
)
Make = Callable[[], Awaitable[object]]
"""Makes one call."""


@dataclass(frozen=True, slots=True)
class Row:
    """One way to make a call: microseconds of CPU, and its ratio to the bare loop."""

    way: str
    us: float
    ratio: float


class _Instant(asyncio.Protocol):
    """Answers each request as soon as it is whole."""

    def __init__(self) -> None:
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if len(body) >= length:
            self._got = body[length:]
            if isinstance(self._transport, asyncio.Transport):
                self._transport.write(_REPLY)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Instant, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


@contextlib.asynccontextmanager
async def _server() -> AsyncIterator[str]:
    """The address of a server of our own, in another process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.http_calls",
        "serve",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    if process.stdout is None or process.stdin is None:
        msg = "the server has no pipes"
        raise RuntimeError(msg)
    try:
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}"
    finally:
        process.stdin.close()
        await process.wait()


@contextlib.asynccontextmanager
async def _ways(url: str) -> AsyncIterator[Mapping[str, Make]]:
    connector = aiohttp.TCPConnector(limit=100)
    async with (
        aiohttp.ClientSession() as session,
        httpx.AsyncClient(
            transport=AiohttpTransport(client=aiohttp.ClientSession(connector=connector))
        ) as bare,
        open_http() as own,
    ):
        ours = SailthruClient(Credentials(_KEY, _SECRET, url), own)

        async def by_httpx() -> object:
            reply = await bare.post(f"{url}/user", data=signed(_CALL.params, _KEY, _SECRET))
            reply.raise_for_status()
            return reply.json()

        async def by_aiohttp() -> object:
            fields = signed(_CALL.params, _KEY, _SECRET)
            async with session.post(f"{url}/user", data=fields, raise_for_status=True) as reply:
                return await reply.json()

        async def by_us() -> object:
            answer = await ours.send(_CALL)
            if not isinstance(answer, Accepted):
                raise TypeError(answer)
            return answer.body

        yield {BARE: by_httpx, "aiohttp": by_aiohttp, "sailpipe": by_us}


async def _cpu_of(make: Make, calls: int) -> float:
    """Microseconds of CPU a call."""
    left = iter(range(calls))

    async def work() -> None:
        for _ in left:
            await make()

    before = time.process_time()
    await asyncio.gather(*(work() for _ in range(AT_A_TIME)))
    return (time.process_time() - before) / calls * 1e6


async def measure(rounds: int = ROUNDS, calls: int = CALLS) -> list[Row]:
    """Every way, in as many interleaved rounds."""
    async with _server() as url, _ways(url) as ways:
        for make in ways.values():
            await _cpu_of(make, 4 * AT_A_TIME)
        table = [
            {name: await _cpu_of(make, calls) for name, make in ways.items()} for _ in range(rounds)
        ]
    return [
        Row(
            name,
            statistics.median(one[name] for one in table),
            statistics.median(one[name] / one[BARE] for one in table),
        )
        for name in ways
    ]


def main(arguments: list[str]) -> None:
    """Measure and print, or be the server."""
    if arguments == ["serve"]:
        asyncio.run(_serve())
        return
    rows = asyncio.run(measure(*(int(one) for one in arguments)))

    print(f"{'one call by':20s} {'CPU us':>8s} {'ratio':>6s}")
    for row in rows:
        print(f"{row.way:20s} {row.us:8.0f} {row.ratio:6.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
