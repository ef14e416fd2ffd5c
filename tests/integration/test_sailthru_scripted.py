"""Our client against a server whose every byte is written here: cookies, redirects, headers."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from pipeline.lanes import PAGEVIEW_ENDPOINT
from pipeline.sailthru.answers import Accepted, Failed, Failure
from pipeline.sailthru.calls import Call
from pipeline.sailthru.client import Credentials, SailthruClient

POST_USER = Call("POST", "/user", {"id": "usr_42", "key": "extid", "vars": {"a": 1}})
GET_USER = Call("GET", "/user", {"id": "usr_42", "key": "extid"})
PAGEVIEW = Call("POST", PAGEVIEW_ENDPOINT, {"url": "http://shop/1"})


def client_of(server: asyncio.Server, http: httpx.AsyncBaseTransport) -> SailthruClient:
    url = f"http://localhost:{server.sockets[0].getsockname()[1]}"
    credentials = Credentials("key", "secret", url, "customer", url)
    return SailthruClient(credentials, http, timeout_s=5)


async def _scripted(reply: bytes, heads: list[bytes]) -> asyncio.Server:
    """A server that reads one request head, kept in `heads`, and answers with these bytes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        writer.write(reply)
        await writer.drain()
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


async def test_a_cookie_is_not_sent_back(http: httpx.AsyncBaseTransport) -> None:
    """One HTTP client serves every account of a process."""
    heads: list[bytes] = []
    reply = b"HTTP/1.1 200 OK\r\nSet-Cookie: sid=1; Path=/\r\nConnection: close\r\n\r\n{}"
    server = await _scripted(reply, heads)
    async with server:
        client = client_of(server, http)
        for _ in range(2):
            assert isinstance(await client.send(GET_USER), Accepted)
    assert len(heads) == 2
    assert b"sid=1" not in heads[1]


async def test_a_redirect_is_an_answer_and_followed_nowhere(http: httpx.AsyncBaseTransport) -> None:
    """A signed call belongs to the address it was made for."""
    heads: list[bytes] = []
    reply = b"HTTP/1.1 307 T\r\nLocation: /elsewhere\r\nConnection: close\r\n\r\n"
    async with await _scripted(reply, heads) as server:
        client = client_of(server, http)
        for call in (GET_USER, POST_USER):
            answer = await client.send(call)
            assert isinstance(answer, Failed)
            assert (answer.failure, answer.status) == (Failure.UNAVAILABLE, 307)
    assert len(heads) == 2


@pytest.mark.parametrize("call", [POST_USER, GET_USER, PAGEVIEW], ids=["post", "get", "pageview"])
async def test_a_call_has_the_headers_of_its_kind_and_each_of_them_once(
    http: httpx.AsyncBaseTransport, call: Call
) -> None:
    """They are made once for an endpoint: nothing of one call may stay in the next."""
    heads: list[bytes] = []
    reply = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}"
    async with await _scripted(reply, heads) as server:
        port = server.sockets[0].getsockname()[1]
        client = client_of(server, http)
        for _ in range(2):
            assert isinstance(await client.send(call), Accepted)
    kind = "json" if call is PAGEVIEW else "x-www-form-urlencoded"
    expected = {
        "host": f"localhost:{port}",
        "accept": "application/json" if call is PAGEVIEW else "*/*",
        "accept-encoding": "gzip",
        "connection": "keep-alive",
        "user-agent": "sailpipe",
        **({"content-type": f"application/{kind}"} if call.method == "POST" else {}),
        **({"authorization": "Bearer customer"} if call is PAGEVIEW else {}),
    }
    for head in heads:
        _, *lines, _, _ = head.decode().split("\r\n")
        fields = [line.lower().split(": ")[0] for line in lines]
        assert len(set(fields)) == len(fields)
        table = dict(line.split(": ", 1) for line in lines)
        size = table.pop("Content-Length", None)
        assert (size is not None) == (call.method == "POST")
        assert {name.lower(): value for name, value in table.items()} == expected
