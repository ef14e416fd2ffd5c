"""However much goes wrong, a log has few lines of one kind."""

from __future__ import annotations

import io
import logging
import threading
from collections import Counter
from collections.abc import Callable

from pipeline.errors import Reason
from pipeline.observe.budget import EVERY_S, LINES, LineBudget
from pipeline.observe.logs import log_event
from tests.support.fake_sailthru import BAD_GATEWAY
from tests.support.pipe import open_pipe, order, track

MANY = 120
FEW = 70
"""Of all kinds together."""


class Budget:
    """A budget with a clock that is moved, and what it said."""

    def __init__(self) -> None:
        self.now = 0.0
        self.said: list[tuple[int, str]] = []
        self.due: list[tuple[float, Callable[[], None]]] = []
        self._filter = LineBudget(
            lambda lines, kinds: self.said.append((lines, kinds)),
            monotonic=lambda: self.now,
            later=lambda seconds, call: self.due.append((seconds, call)),
        )

    def passes(self, message: object, logger: str = "sailpipe", level: int = logging.INFO) -> bool:
        return self._filter.filter(logging.LogRecord(logger, level, "", 0, message, (), None))

    def passed(self, message: object, times: int = 2 * LINES, logger: str = "sailpipe") -> int:
        return sum(self.passes(message, logger) for _ in range(times))


def test_of_each_kind_so_many_lines_pass_in_a_minute() -> None:
    """One of ours by its name; a library's lines by their logger, however they read."""
    budget = Budget()
    assert budget.passed({"event": "event_died"}) == LINES
    assert budget.passed({"event": "event_waits"}) == LINES
    lines = [budget.passes(f"lost connection {n}", "kombu.connection") for n in range(2 * LINES)]
    assert sum(lines) == LINES
    budget.now = EVERY_S
    assert budget.passed({"event": "event_died"}) == LINES


def test_a_librarys_warnings_hide_no_error_of_it_and_no_act_of_an_operator_is_left_out() -> None:
    budget = Budget()
    for n in range(2 * LINES):
        budget.passes(f"lost connection {n}", "kombu", logging.WARNING)
    assert budget.passes("unrecoverable", "kombu", logging.CRITICAL)
    assert budget.passed({"event": "operator_acted"}) == 2 * LINES


def test_what_was_left_out_is_said_once_a_minute_after_the_first_of_it() -> None:
    """All kinds together; with nothing more, nothing is said."""
    budget = Budget()
    budget.passed({"event": "event_died"}, LINES + 7)
    budget.passed("odd", LINES + 2, "library")
    [(after, flush)] = budget.due
    assert after == EVERY_S
    flush()
    flush()
    assert budget.said == [(9, "event_died:7 library/info:2")]
    budget.passed({"event": "event_died"}, 1)
    assert len(budget.due) == 2


def test_threads_that_log_at_once_share_one_budget() -> None:
    """A worker's loop and Celery's threads."""
    budget, passed = Budget(), Counter[int]()

    def log(number: int) -> None:
        passed[number] = budget.passed({"event": "event_died"}, 200)

    threads = [threading.Thread(target=log, args=(n,)) for n in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    budget.due[0][1]()
    assert (passed.total(), len(budget.due)) == (LINES, 1)
    assert budget.said[0][0] == 800 - LINES


def test_the_end_of_a_process_says_what_was_left_out_till_then(log: io.StringIO) -> None:
    """It may come within the minute."""
    for _ in range(LINES + 5):
        log_event("event_died")
    [handler] = [one for one in logging.getLogger().handlers if getattr(one, "stream", 0) is log]
    handler.close()
    *lines, last = log.getvalue().splitlines()
    assert len(lines) == LINES
    assert "event=lines_left_out lines=5 kinds=event_died:5" in last


async def test_hundreds_of_events_that_die_are_a_few_lines_with_their_ids(log: io.StringIO) -> None:
    """The first ones are named, for a person who looks; never their users."""
    async with open_pipe() as pipe:
        nothing = {"products": [], "email": "ann@example.com"}
        await pipe.post(
            *(
                order(f"u{n}", f"o{n}") | {"properties": {"order_id": f"o{n}", **nothing}}
                for n in range(MANY)
            )
        )
        await pipe.run(120)
        assert await pipe.reasons() == [Reason.UNMAPPABLE] * MANY
    lines = log.getvalue().splitlines()
    assert 0 < len(lines) <= FEW
    [first, *_] = [line for line in lines if "event=event_died" in line]
    assert "account=default lane=purchase id=m1 reason=unmappable" in first
    assert "u0" not in first
    assert "@" not in log.getvalue()


async def test_an_outage_of_hundreds_of_events_is_a_few_lines(log: io.StringIO) -> None:
    """However often each of them is tried."""
    async with open_pipe() as pipe:
        pipe.sailthru.trouble(BAD_GATEWAY)
        await pipe.post(*(track(f"u{n}") for n in range(MANY)))
        await pipe.run(120)
        assert (await pipe.counts())["waiting:event"] == MANY
    assert 0 < len(log.getvalue().splitlines()) <= FEW
