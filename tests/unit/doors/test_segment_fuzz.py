"""Whatever JSON arrives, the door either refuses it clearly or passes it on whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import pydantic_core
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.doors.answers import DoorError
from pipeline.doors.bodies import read_object
from pipeline.doors.segment_events import Arrival, batch_events, single_event

T = TypeVar("T")
ARRIVAL = Arrival(1_763_812_800.0, lambda: "fresh")
OURS = {"writeKey", "type", "messageId", "timestamp", "originalTimestamp", "sentAt", "receivedAt"}
"""What the door may write or take away; `context` and `integrations` only in batches."""

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT
TIMES = st.sampled_from(
    ["2026-11-22T11:00:00Z", "0001-01-01", "9999-12-31T23:59:59+14:00", "2026-W47", "now", ""]
)
VALUES = st.recursive(
    SCALARS | TIMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from([*sorted(OURS), "batch", "context", "integrations", "userId"]) | TEXT
BODIES = st.dictionaries(NAMES, VALUES | TIMES, max_size=8)
BATCHES = st.fixed_dictionaries(
    {"batch": st.lists(BODIES, max_size=4)},
    optional={"context": VALUES, "integrations": VALUES, "sentAt": VALUES | TIMES},
)


@settings(max_examples=200)
@given(BODIES)
def test_a_single_event_keeps_all_that_its_producer_wrote(body: dict[str, Any]) -> None:
    """Nothing is lost or changed but what the door says it writes; an id is always there."""
    event = pydantic_core.from_json(single_event(body, "track", ARRIVAL))
    assert event["type"] == "track"
    assert str(event["messageId"]).strip()
    assert {name: value for name, value in event.items() if name not in OURS} == {
        name: value for name, value in body.items() if name not in OURS
    }


@settings(max_examples=200)
@given(BATCHES | BODIES)
def test_a_batch_is_taken_whole_or_refused(body: dict[str, Any]) -> None:
    """As many events as there were objects, each of them JSON; else a 400."""
    found = outcome(lambda: batch_events(body, ARRIVAL))
    if isinstance(found, DoorError):
        assert found.status == 400
    else:
        assert len(found) == len(body["batch"])
        assert all(isinstance(pydantic_core.from_json(raw), dict) for raw in found)


@settings(max_examples=200)
@given(st.binary(max_size=60) | TEXT.map(str.encode) | VALUES.map(json.dumps).map(str.encode))
def test_any_bytes_are_an_object_or_a_400(body: bytes) -> None:
    """The reader has no third way."""
    found = outcome(lambda: read_object(body))
    if isinstance(found, DoorError):
        assert (found.status, found.code) == (400, "invalid_json")
    else:
        assert isinstance(found, dict)


def outcome(act: Callable[[], T]) -> T | DoorError:
    """What the door returns, or its refusal; any other exception fails the test."""
    try:
        return act()
    except DoorError as refusal:
        return refusal
