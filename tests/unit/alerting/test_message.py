"""How an alert reads: our own JSON, and what a template makes of it."""

from __future__ import annotations

import json

import pytest

from pipeline.alerting.message import body_of
from pipeline.alerting.rules import Trouble
from pipeline.errors import ConfigError
from pipeline.settings import Settings, load_settings

TROUBLE = Trouble("brake", "default", "event", 'no template "x"\n', 1_700_000_000_000)
SLACK = '{"text": "$summary"}'
PAGERDUTY = (
    '{"routing_key": "KEY$$1", "event_action": "$action", "dedup_key": "$id", "payload":'
    ' {"summary": "$summary", "source": "sailpipe", "severity": "$severity"}}'
)


def test_an_alert_has_these_keys() -> None:
    """Receivers are built on them: they are added, never renamed."""
    assert json.loads(body_of(TROUBLE, "raised", None)) == {
        "kind": "brake",
        "account": "default",
        "scope": "event",
        "detail": 'no template "x"\n',
        "since": "2023-11-14T22:13:20.000+00:00",
        "state": "raised",
        "id": "brake|default|event",
        "severity": "critical",
        "summary": 'sailpipe: brake (default event). no template "x"\n',
    }


def test_a_template_makes_it_slacks() -> None:
    """Whatever a detail quotes stays within its text."""
    body = json.loads(body_of(TROUBLE, "resolved", SLACK))
    assert body == {"text": 'sailpipe: brake (default event) is over. no template "x"\n'}


def test_a_template_makes_it_pagerdutys() -> None:
    raised, resolved = (
        json.loads(body_of(TROUBLE, one, PAGERDUTY)) for one in ("raised", "resolved")
    )
    assert (raised["event_action"], resolved["event_action"]) == ("trigger", "resolve")
    assert raised["dedup_key"] == resolved["dedup_key"] == TROUBLE.id
    assert raised["routing_key"] == "KEY$1"


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{'text': 1}", "not JSON"),
        ('{"a": $kind}', "not JSON"),
        ('{"a": "$what"}', "the names are"),
    ],
)
def test_a_template_that_cannot_be_filled_in_is_refused_at_the_start(
    template: str, says: str
) -> None:
    """And not when the first alert is due."""
    with pytest.raises(ConfigError, match=says):
        load_settings({"SAILPIPE_ALERT_TEMPLATE": template})


def test_a_template_never_shows_in_settings() -> None:
    """It may hold a routing key."""
    assert "KEY" not in repr(Settings(alert_template=PAGERDUTY))
