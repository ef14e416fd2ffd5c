"""What goes to the log: one line an event, and no person's address in it."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import get_args

import pytest

from pipeline.observe.logs import log_event, set_up_logging
from pipeline.observe.names import LogEvent
from tests.support.fake_sailthru import no
from tests.support.pipe import identify, open_pipe, order, track


def test_an_event_is_one_line_of_names_and_values(log: io.StringIO) -> None:
    """`key=value` can be searched by people and parsed by every log store."""
    log_event("gate_closed", account="default", lane="user", reason="throttled")
    [line] = log.getvalue().splitlines()
    assert " level=info event=gate_closed account=default lane=user reason=throttled" in line
    assert line.startswith("timestamp=")


async def test_an_event_that_waits_is_no_line_and_one_that_fails_is(log: io.StringIO) -> None:
    """For its email, or its user, a shop's events wait all day; each look at them would be a line."""
    async with open_pipe() as pipe:
        await pipe.post(order("u1", "o1", email=False), track("u2"), identify("u3"))
        await pipe.run(600)
        assert await pipe.counts() == {"delivered": 1, "waiting:purchase": 1, "waiting:event": 1}
        assert "event_waits" not in log.getvalue()
        pipe.sailthru.trouble(no(500, 9, "try again"), on="POST /event")
        await pipe.post(track("u3"))
        await pipe.run(30)
    assert "event=event_waits account=default lane=event" in log.getvalue()


def test_a_line_may_be_json(log: io.StringIO) -> None:
    """For log stores that read nothing else; libraries' lines are, too."""
    set_up_logging(stream=log, form="json")
    log_event("gate_closed", account="default", lane="user", detail='a "quote" of ann@example.com')
    logging.getLogger("library").warning("odd: %s", {"a": 1})
    ours, other = map(json.loads, log.getvalue().splitlines())
    assert (ours["event"], ours["level"], ours["lane"]) == ("gate_closed", "info", "user")
    assert ours["detail"] == 'a "quote" of ***'
    assert other["event"] == "odd: {'a': 1}"


@pytest.mark.parametrize(
    "said",
    [
        "no user ann.o'neil+x@example.co.uk here",
        '{"email":"ann@example.com"}',
        "GET /user?id=ann%40example.com&key=email",
    ],
)
def test_an_email_address_never_reaches_the_log(log: io.StringIO, said: str) -> None:
    """Libraries quote what they were given; that is masked, too."""
    logging.getLogger("library").warning("failed: %s", said)
    log_event("event_died", reason=said)
    assert "example" not in log.getvalue()
    assert log.getvalue().count("***") == 2


def test_an_email_address_in_an_exception_never_reaches_the_log(log: io.StringIO) -> None:
    """Tracebacks end with the message, and messages quote values."""
    try:
        int("ann@example.com")
    except ValueError:
        logging.getLogger("library").exception("crashed")
    assert "ValueError" in log.getvalue()
    assert "example" not in log.getvalue()


def test_logging_that_is_set_up_twice_writes_each_line_once(log: io.StringIO) -> None:
    """Celery sets up logging too; the last set-up wins, and no line is doubled."""
    set_up_logging(stream=log)
    logging.getLogger("library").warning("once")
    assert log.getvalue().count("once") == 1


def test_every_name_of_a_log_event_is_used() -> None:
    """A name that nothing logs would be an alert that never comes."""
    root = Path(__file__).parents[2]
    sources = [*root.glob("pipeline/**/*.py"), *root.glob("workers/*.py")]
    said = "".join(path.read_text() for path in sources if path.name != "names.py")
    assert [name for name in get_args(LogEvent) if f'"{name}"' not in said] == []
