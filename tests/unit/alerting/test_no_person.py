"""However Sailthru words its refusals, nobody's address is in a log, an alert or the gates of `status`."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from pipeline.alerting.message import body_of
from pipeline.alerting.rules import Bounds, troubles
from pipeline.counters import Counters
from pipeline.observe.logs import set_up_logging
from pipeline.sailthru.answers import Answer
from pipeline.status.report import gate_row
from pipeline.status.snapshot import AccountView, Snapshot
from tests.support.fake_sailthru import no
from tests.support.pipe import open_pipe, track

SAID = 'No template "spring" for ann@example.com, nor for bob%40example.com'
BOUNDS = Bounds(late_s=900.0, letters=1)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    set_up_logging(logging.DEBUG, stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("answer", "reason"), [(no(401, 3, SAID), "misconfigured"), (no(400, 99, SAID), "brake")]
)
async def test_a_gate_that_a_refusal_closes_tells_of_no_person(
    log: io.StringIO, answer: Answer, reason: str
) -> None:
    """Not by Sailthru's words, and not by the messageIds of a producer that takes emails for them."""
    async with open_pipe() as pipe:
        pipe.sailthru.trouble(answer, on="POST /event")
        await pipe.post(
            *(track(f"u{n}") | {"messageId": f"ann+{n}@example.com"} for n in range(40))
        )
        await pipe.run(30)
        closures = await pipe.closures()
        assert reason in {one.reason for one in closures}
        view = AccountView(Counters({"dead:rejected": 1}), closures=closures)
        found = list(troubles(Snapshot(pipe.now_ms(), accounts={"default": view}), 0, BOUNDS))
    assert {one.kind for one in found} >= {reason, "letters_many"}
    told = [body_of(one, "raised", None).decode() for one in found]
    told += [json.dumps(gate_row(one)) for one in closures]
    for text in (*told, log.getvalue()):
        assert "example" not in text
    line = "event_waits" if reason == "misconfigured" else "event_died"
    assert f"event={line} account=default lane=event id=***" in log.getvalue()
