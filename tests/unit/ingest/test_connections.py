"""Which connection is closed when requests do not come whole, or when there are too many connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response
from uvicorn.server import ServerState

from pipeline.clock import ManualClock
from pipeline.ingest.connections import REQUEST_S, SAID_EVERY_S, Senders, protocol_for
from pipeline.ingest.server import _configuration
from pipeline.observe.logs import Throttle
from tests.support.commands import DEADLINE_S


class Connection:
    """A transport that only knows whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    def abort(self) -> None:
        self.closed = True


def connect(senders: Senders) -> Any:
    connection = Connection()
    senders.connected(cast("asyncio.Transport", connection))
    return connection


def test_of_too_many_connections_the_one_that_has_owed_longest_is_closed() -> None:
    """Its request may have been under way for long, or have never begun."""
    senders = Senders(2, ManualClock())
    first, second = connect(senders), connect(senders)
    senders.has_sent(first)
    third = connect(senders)
    assert (first.closed, second.closed, third.closed) == (False, True, False)


def test_an_idle_connection_ends_later_than_its_client_ends_it_and_before_it_is_cut_off() -> None:
    """uvicorn's own 5 s are httpx's as well, and proxies keep theirs for 60: now and then a request met the end."""
    config = _configuration(Response(), Senders(9, ManualClock()))
    assert 60 < config.timeout_keep_alive < REQUEST_S


def test_a_newcomer_has_to_go_when_all_others_have_sent() -> None:
    """What is being worked on is answered."""
    senders = Senders(1, ManualClock())
    busy = connect(senders)
    senders.has_sent(busy)
    assert connect(senders).closed
    assert not busy.closed


def test_a_request_that_does_not_end_is_cut_off_in_time() -> None:
    """However regularly another byte of it comes."""
    clock = ManualClock()
    senders = Senders(10, clock)
    slow, quick = connect(senders), connect(senders)
    clock.advance(REQUEST_S / 2)
    senders.has_sent(quick)
    senders.owes(quick)
    clock.advance(REQUEST_S / 2)
    senders.close_overdue()
    assert (slow.closed, quick.closed) == (True, False)


@given(
    st.lists(
        st.tuples(st.sampled_from(["connected", "owes", "has_sent", "gone"]), st.integers(0, 4))
    )
)
def test_no_more_are_open_than_may_be_whatever_happens(steps: list[tuple[str, int]]) -> None:
    """And nothing that ended is remembered."""
    senders, made = Senders(3, ManualClock()), list[Any]()
    for what, number in steps:
        if what == "connected":
            connect_one = Connection()
            made.append(connect_one)
            senders.connected(cast("asyncio.Transport", connect_one))
        elif number < len(made) and not made[number].closed:
            getattr(senders, what)(made[number])
            made[number].closed = what == "gone"
        assert sum(not one.closed for one in made) <= 3
        assert set(senders._owing) <= senders._open == {one for one in made if not one.closed}


def test_it_is_said_once_a_minute_how_many_were_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An attack must not fill the disk with its log."""
    said: list[int] = []
    monkeypatch.setattr(
        "pipeline.ingest.connections.log_event",
        lambda _event, _level, connections: said.append(connections),
    )
    clock = ManualClock()
    senders = Senders(0, clock)
    for _ in range(500):
        connect(senders)
    clock.advance(SAID_EVERY_S)
    connect(senders)
    assert said == [1, 500]


def test_a_library_that_repeats_itself_is_heard_once_a_minute() -> None:
    """By its words before the arguments, so that each of many kinds is heard."""
    now = 0.0
    throttle = Throttle(60, lambda: now)

    def passes(text: str, error: BaseException | None = None) -> bool:
        about = None if error is None else (type(error), error, None)
        return bool(throttle.filter(logging.LogRecord("uvicorn.error", 30, "", 0, text, (), about)))

    heard = [passes("Invalid HTTP request received.") for _ in range(3)]
    assert heard == [True, False, False]
    assert passes("Exception in ASGI application\n", ValueError())
    assert passes("Exception in ASGI application\n", KeyError())
    now = 60.0
    assert passes("Invalid HTTP request received.")


@asynccontextmanager
async def serving(senders: Senders, app: Any) -> AsyncIterator[int]:
    """The port of a server of this app."""
    configuration, state = uvicorn.Config(app, log_config=None), ServerState()
    configuration.load()
    counted: Any = protocol_for(senders)

    def protocol() -> asyncio.Protocol:
        made: asyncio.Protocol = counted(configuration, state, {})
        return made

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for transport in senders._open:
            transport.abort()


async def test_a_client_that_reads_no_answer_makes_room_like_one_that_sends_no_request() -> None:
    """It sends request behind request, each of them whole; as many of these as there may be would keep all others out."""
    clock = ManualClock()
    senders = Senders(10, clock)
    async with asyncio.timeout(DEADLINE_S), serving(senders, Response(b"x" * 1_000_000)) as port:
        _, deaf = await asyncio.open_connection("127.0.0.1", port, limit=1)
        deaf.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        while not all(one.get_write_buffer_size() for one in senders._open) or not senders._open:
            await asyncio.sleep(0.01)
        clock.advance(REQUEST_S)
        senders.close_overdue()
        assert not senders._open
        deaf.transport.abort()


async def test_a_client_that_reads_late_is_no_longer_waited_for_once_it_has_read() -> None:
    """Its next request is."""
    senders = Senders(10, ManualClock())
    async with asyncio.timeout(DEADLINE_S), serving(senders, Response(b"x" * 20_000_000)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        while not any(one.get_write_buffer_size() for one in senders._open):
            await asyncio.sleep(0.01)
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(20_000_000)
        while any(one.get_write_buffer_size() for one in senders._open):
            await asyncio.sleep(0.01)
        assert len(senders._open) == len(senders._owing) == 1
        writer.close()
