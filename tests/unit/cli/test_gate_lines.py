"""What commands print of a closed gate: why it is closed, and what to do about it."""

from __future__ import annotations

import pytest

from pipeline.cli.status import describe_gate


def test_when_sailthru_is_tried_again_is_no_end() -> None:
    """It may fail again; the end of Sailthru's limit is one."""
    gate = {"scope": "api", "reason": "circuit", "since": "T", "until": "U", "detail": ""}
    assert describe_gate(gate).endswith("since T, next try U")
    assert describe_gate(gate | {"reason": "throttled"}).endswith("since T, until U")


@pytest.mark.parametrize(
    ("scope", "reason", "told"),
    [
        ("account", "paused", "Closed: account is paused since T (why); sailpipe resume"),
        (
            "event",
            "brake",
            "Closed: event is stopped by the brake since T (why); sailpipe resume --lane event",
        ),
        ("api", "circuit", "Closed: api is stopped by an outage since T (why)"),
        ("api", "misconfigured", "Closed: api is misconfigured since T (why); sailpipe doctor"),
        ("POST /event", "throttled", "Closed: POST /event is throttled by Sailthru since T (why)"),
    ],
)
def test_a_closed_gate_is_shown_with_what_opens_it(scope: str, reason: str, told: str) -> None:
    """An operator at 3 a.m. knows neither the project's words nor its commands."""
    gate = {"scope": scope, "reason": reason, "since": "T", "until": None, "detail": "why"}
    assert describe_gate(gate) == told
