"""Which connection is closed when requests do not come whole, or when there are too many connections."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clock import ManualClock
from pipeline.ingest.connections import REQUEST_S, SAID_EVERY_S, Senders
from pipeline.observe.logs import Throttle


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
