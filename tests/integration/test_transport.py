"""The transport's own sockets: what is written when, which socket a call gets, and when sockets are closed."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from pipeline.sailthru import transport as module
from pipeline.sailthru.connection import Departure, Disconnected, Malformed, TooLate
from pipeline.sailthru.transport import KEEPALIVE_S, NAME_S, open_http
from tests.support.keeping_server import NO_TLS, call, serving, until
from tests.support.odd_replies import OK, reply
from tests.support.odd_server import OddServer

# ---- which socket a call gets ------------------------------------------------------------------------


@pytest.mark.parametrize("says", ["408", "end"])
async def test_a_call_takes_no_socket_on_which_something_waits_to_be_read(says: str) -> None:
    """The loop has not read it yet, so no callback has told: the server's goodbye would answer the call."""
    async with serving() as server, open_http(NO_TLS) as http:
        assert await call(http, server.url) == (200, OK)
        if says == "408":
            server.writers[0].write(reply(b"408 T", body=b"late"))
        else:
            server.writers[0].get_extra_info("socket").shutdown(socket.SHUT_WR)
        assert await call(http, server.url) == (200, OK)
        assert (len(server.writers), len(server.requests)) == (2, 2)


async def test_the_socket_that_was_used_last_is_used_next_and_idle_ones_are_closed_in_time() -> (
    None
):
    """A burst leaves many sockets; the few calls after it keep only as many as they need."""
    async with serving() as server, open_http(NO_TLS) as http:
        await asyncio.gather(*(call(http, server.url) for _ in range(4)))
        assert len(http._open) == 4
        newest = next(reversed(next(iter(http._open)).idle))
        await call(http, server.url)
        assert next(reversed(newest.idle)) is newest
        for connection in http._open - {newest}:
            connection.idle_since -= KEEPALIVE_S
        await until(lambda: server.gone == 3)
        assert http._open == {newest}


async def test_a_socket_that_was_idle_for_too_long_is_not_used() -> None:
    """A frozen process wakes up with it before any timer has closed it."""
    async with serving() as server, open_http(NO_TLS) as http:
        await call(http, server.url)
        next(iter(http._open)).idle_since -= KEEPALIVE_S
        await call(http, server.url)
        assert len(server.writers) == 2


@pytest.mark.parametrize(
    "answer",
    [
        reply(b"200 OK", b"Connection: close"),
        reply().replace(b"HTTP/1.1", b"HTTP/1.0"),
        reply() + reply(body=b"second"),
        reply() + reply()[:10],
    ],
    ids=["said to close", "HTTP/1.0", "two replies", "one and a half"],
)
async def test_a_socket_is_not_used_again_after_an_answer_that_forbids_it(answer: bytes) -> None:
    """What the server sends after such an answer is of no call."""
    async with serving() as server, open_http(NO_TLS) as http:
        server.answer = answer
        for _ in range(2):
            assert await call(http, server.url) == (200, OK)
        assert len(server.writers) == 2


async def test_a_socket_is_not_used_again_before_all_of_the_call_is_written() -> None:
    """A server may answer without having read; the rest of the body would stand before the next call."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply(b"413 Too Large"))
        await ended.wait()
        writer.close()

    ended = asyncio.Event()
    server = OddServer()
    async with open_http(NO_TLS) as http:
        with patch.object(server, "_serve", answer):
            await server.__aenter__()
        assert await call(http, server.url, content=b"x" * 50_000_000) == (413, OK)
        assert not any(connection.idle for connection in http._open)
        await until(lambda: not http._open)
        ended.set()
        await server.__aexit__()


async def test_no_more_sockets_are_open_than_may_be() -> None:
    """Calls beyond wait for one; idle sockets of another host make room."""
    with patch.object(module, "MAX_CONNECTIONS", 3):
        async with serving() as first, serving() as second, open_http(NO_TLS) as http:
            for server in (first, second, first):
                answers = await asyncio.gather(*(call(http, server.url) for _ in range(20)))
                assert set(answers) == {(200, OK)}
                assert len(server.writers) <= 6
                await asyncio.sleep(0)  # what was closed for another says so
                assert len(http._open) <= 3
            assert http._busy == 0


@contextmanager
def looked_up() -> Iterator[list[object]]:
    """The names that are looked up meanwhile."""
    loop = asyncio.get_running_loop()
    asked: list[object] = []
    look_up = loop.getaddrinfo

    async def getaddrinfo(host: Any, port: Any, **options: Any) -> Any:
        asked.append(host)
        return await look_up(host, port, **options)

    with patch.object(loop, "getaddrinfo", getaddrinfo):
        yield asked


async def test_a_burst_of_new_sockets_is_one_look_up() -> None:
    """Resolvers refuse a client that asks for the same name a hundred times a second."""
    async with serving() as server, open_http(NO_TLS) as http:
        url = server.url.replace("127.0.0.1", "localhost")
        with looked_up() as asked:
            await asyncio.gather(*(call(http, url) for _ in range(30)))
        assert asked == ["localhost"]


async def test_a_name_is_looked_up_again_when_its_addresses_may_have_changed() -> None:
    """A server that has moved would be called at its old address for ever. The loop's clock is moved by hand."""
    loop = asyncio.get_running_loop()
    now = began = loop.time()
    async with serving() as server, open_http(NO_TLS) as http:
        url = server.url.replace("127.0.0.1", "localhost")
        server.answer = reply(b"200 OK", b"Connection: close")
        with looked_up() as asked, patch.object(loop, "time", lambda: now):
            for after_s, look_ups in ((0.0, 1), (NAME_S - 0.5, 1), (NAME_S, 2), (2.1 * NAME_S, 3)):
                now = began + after_s
                await call(http, url)
                assert len(asked) == look_ups, after_s


# ---- what leaves, and when -----------------------------------------------------------------------------


async def test_head_and_body_leave_in_one_write_after_the_last_question() -> None:
    """Whether the call has left is then exact: no byte before it, all of them handed over with it."""
    order: list[str] = []

    def is_over() -> bool:
        order.append("asked")
        return False

    departure = Departure(is_over)
    written = asyncio.selector_events._SelectorSocketTransport.write  # type: ignore[attr-defined]

    def write(transport: asyncio.Transport, data: bytes) -> None:
        if data.startswith(b"POST"):
            order.append(f"written, left is {departure.left}")
        written(transport, data)

    async with serving() as server, open_http(NO_TLS) as http:
        for _ in range(2):
            order.clear()
            with patch("asyncio.selector_events._SelectorSocketTransport.write", write):
                await call(http, server.url, departure)
            assert order[-2:] == ["asked", "written, left is True"]
            assert sum(one.startswith("written") for one in order) == 1


async def test_a_call_that_is_over_costs_its_socket_and_no_more() -> None:
    """It is over between the first question and the last."""
    answers = iter([False, True])
    departure = Departure(lambda: next(answers))
    async with serving() as server, open_http(NO_TLS) as http:
        with pytest.raises(TooLate):
            await call(http, server.url, departure)
        assert (departure.left, http._busy) == (False, 0)
        assert await call(http, server.url) == (200, OK)
        assert (len(server.requests), len(http._open)) == (1, 1)


async def test_a_server_that_closes_a_kept_socket_is_not_called_twice() -> None:
    """It may have carried the call out before it closed: repeating is the caller's decision."""
    async with serving() as server, open_http(NO_TLS) as http:
        assert await call(http, server.url) == (200, OK)
        departure = Departure(lambda: False)
        server.hangs_up = True
        with pytest.raises(Disconnected):
            await call(http, server.url, departure)
        assert departure.left
        assert (len(server.writers), len(server.requests)) == (1, 2)


@pytest.mark.parametrize("during", ["head", "body"])
async def test_a_call_that_is_cancelled_closes_its_socket(during: str) -> None:
    """Its answer may still come, and must answer no other call."""
    async with serving() as server, open_http(NO_TLS) as http:
        server.answer = b"HTTP/1.1 200 OK\r\n" if during == "head" else reply(length=100)
        task = asyncio.create_task(call(http, server.url))
        await until(lambda: bool(server.requests))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: server.gone == 1)
        assert (http._open, http._busy) == (set(), 0)


async def test_a_response_that_is_closed_unread_closes_its_socket() -> None:
    """The rest of the body would have to be read first."""
    async with serving() as server, open_http(NO_TLS) as http:
        server.answer = reply(length=100)
        request = httpx.Request("POST", server.url, content=b"x")
        await (await http.handle_async_request(request)).aclose()
        await until(lambda: server.gone == 1)
        assert (http._open, http._busy) == (set(), 0)


async def test_closing_the_transport_ends_the_calls_under_way() -> None:
    """Each of them hears of it at once."""
    async with serving() as server:
        http = open_http(NO_TLS)
        server.answer = b""
        task = asyncio.create_task(call(http, server.url))
        await until(lambda: bool(server.requests))
        await http.aclose()
        with pytest.raises(Disconnected):
            await task
        with pytest.raises(RuntimeError, match="closed"):
            await call(http, server.url)


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "http://" + "a" * 70 + ".example/", "http://127.0.0.1:1/"]
)
async def test_an_address_that_cannot_be_called_is_a_transport_error(url: str) -> None:
    """A scheme without HTTP, a label that no name can have, a port without a server."""
    async with open_http(NO_TLS) as http:
        with pytest.raises(httpx.TransportError):
            await call(http, url)
        assert http._busy == 0


# ---- what is written -----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\nb", "a\rb"])
async def test_a_header_of_more_than_one_line_is_a_mistake_and_not_sent(value: str) -> None:
    """A customer id with a line break would otherwise write headers of its own."""
    async with serving() as server, open_http(NO_TLS) as http:
        request = httpx.Request("POST", server.url, headers={"Authorization": value}, content=b"x")
        with pytest.raises(ValueError, match="more than one line"):
            await http.handle_async_request(request)
        assert server.writers == []


async def test_user_and_password_of_an_address_are_sent_as_such() -> None:
    """ALERT_URL may hold them."""
    async with serving() as server, open_http(NO_TLS) as http:
        await call(http, server.url.replace("127", "zo%C3%AB:a%40b@127"))
        expected = b"Authorization: Basic " + base64.b64encode("zoë:a@b".encode())
        assert expected in server.requests[0].split(b"\r\n")
        assert b"@" not in server.requests[0]


async def test_a_body_of_unknown_length_is_sent_with_its_length() -> None:
    """Two ways to say where a body ends are one too many."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    async with serving() as server, open_http(NO_TLS) as http:
        request = httpx.Request("POST", server.url, content=parts())
        await (await http.handle_async_request(request)).aclose()
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        assert (body, b"Content-Length: 7" in head) == (b"one two", True)
        assert b"chunked" not in head


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000,
        reply(b"200 OK", *[b"X: y"] * 300),
        b"HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n" * 10_000,
    ],
    ids=["one long header", "many headers", "interim ones without end"],
)
async def test_a_head_without_end_is_read_no_further(answer: bytes) -> None:
    """It costs memory for as long as it comes."""
    async with serving() as server, open_http(NO_TLS) as http:
        server.answer = answer
        with pytest.raises(Malformed):
            await call(http, server.url)
        await until(lambda: not http._open)
