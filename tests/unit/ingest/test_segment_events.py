"""What the Segment API makes of a body: times, merging, ids and limits, without any HTTP."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.ingest.answers import HttpError
from pipeline.ingest.segment_events import (
    MAX_BATCH_EVENTS,
    Arrival,
    batch_events,
    corrected_timestamp,
    forwarded_event,
    single_event,
)

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
ARRIVAL = Arrival(NOON.timestamp(), lambda: "fresh")


def single(body: dict[str, Any], event_type: str = "track") -> dict[str, Any]:
    event: dict[str, Any] = json.loads(single_event(body, event_type, ARRIVAL))
    return event


def batch(**body: Any) -> list[dict[str, Any]]:
    return [json.loads(raw) for raw in batch_events(body, ARRIVAL)]


@pytest.mark.parametrize(
    ("original", "sent_at", "expected"),
    [
        ("2026-11-22T11:00:00Z", "2026-11-22T11:00:10Z", "2026-11-22T11:59:50.000Z"),
        ("2026-11-22T11:00:00+02:00", "2026-11-22T09:00:01Z", "2026-11-22T11:59:59.000Z"),
        ("2009-11-10T23:00:00.123456789Z", "2009-11-10T23:00:00Z", "2026-11-22T12:00:00.123Z"),
        ("2026-11-22T11:00:00", "2026-11-22T11:00:00+00:00", "2026-11-22T12:00:00.000Z"),
        (None, "2026-11-22T11:00:10Z", "2026-11-22T12:00:00.000Z"),
        (None, None, "2026-11-22T12:00:00.000Z"),
        ("2026-11-22T11:00:00Z", None, None),
        ("last Tuesday", "2026-11-22T11:00:10Z", None),
        ("2026-11-22T11:00:00Z", 1795345210, "2026-11-22T11:59:50.000Z"),
        (1795345200_000, "Sun, 22 Nov 2026 11:00:10 GMT", "2026-11-22T11:59:50.000Z"),
        ("2026-11-22T11:00:00Z", True, None),
        ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", "2026-11-22T11:00:10Z", None),
    ],
)
def test_a_timestamp_is_moved_to_the_servers_clock(
    original: object, sent_at: object, expected: str | None
) -> None:
    """timestamp = receivedAt - (sentAt - original); what cannot be read is left alone."""
    assert corrected_timestamp(original, sent_at, NOON) == expected


def test_what_the_producer_wrote_is_kept_beside_the_correction() -> None:
    """originalTimestamp and sentAt are the producer's words; unknown fields stay."""
    event = single(
        {
            "userId": "u1",
            "event": "Registered",
            "timestamp": "2026-11-22T11:00:00Z",
            "sentAt": "2026-11-22T11:00:10Z",
            "odd": {"kept": [1, None]},
        }
    )
    assert event == {
        "userId": "u1",
        "event": "Registered",
        "type": "track",
        "odd": {"kept": [1, None]},
        "messageId": "fresh",
        "originalTimestamp": "2026-11-22T11:00:00Z",
        "sentAt": "2026-11-22T11:00:10Z",
        "receivedAt": "2026-11-22T12:00:00.000Z",
        "timestamp": "2026-11-22T11:59:50.000Z",
    }


def test_the_path_decides_the_type_of_a_single_event() -> None:
    """/v1/identify holds an identify, whatever the body claims."""
    assert single({"userId": "u1", "type": "track"}, "identify")["type"] == "identify"


def test_the_write_key_goes_no_further() -> None:
    """It is a credential: not queued, not shown in a dead letter."""
    assert "writeKey" not in single({"userId": "u1", "writeKey": "k"})
    assert "writeKey" not in batch(batch=[{"type": "page", "writeKey": "k"}], writeKey="k")[0]


def test_a_write_key_removes_no_dead_letter() -> None:
    """An exported line's replay flag; a shop's page shows its write key to everybody."""
    marked = {"type": "page", "messageId": "m1", "sailpipe": {"replay": True}}
    assert "sailpipe" not in single(marked)
    assert "sailpipe" not in batch(batch=[marked])[0]


def test_a_batchs_context_and_integrations_are_merged_and_the_event_wins() -> None:
    """Go's SDK says context.library once for the batch."""
    events = batch(
        context={"library": {"name": "go"}, "locale": "de"},
        integrations={"All": False},
        batch=[
            {"type": "track", "context": {"locale": "fr"}},
            {"type": "track", "context": None, "integrations": {"All": True}},
            {"type": "track", "context": "odd"},
        ],
    )
    assert [event["context"] for event in events] == [
        {"library": {"name": "go"}, "locale": "fr"},
        {"library": {"name": "go"}, "locale": "de"},
        "odd",
    ]
    assert [event["integrations"]["All"] for event in events] == [False, True, False]


def test_a_batchs_sent_at_corrects_each_event() -> None:
    """SDKs write sentAt once, for the batch."""
    (event,) = batch(sentAt="2026-11-22T11:00:10Z", batch=[{"timestamp": "2026-11-22T11:00:00Z"}])
    assert event["timestamp"] == "2026-11-22T11:59:50.000Z"


def test_an_event_keeps_its_own_message_id() -> None:
    """An SDK's retry is recognised by it."""
    assert single({"messageId": "m-1"})["messageId"] == "m-1"
    assert [
        event["messageId"]
        for event in batch(batch=[{"messageId": None}, {"messageId": False}, {"messageId": "m"}])
    ] == ["fresh", "fresh", "m"]


@pytest.mark.parametrize("nothing", [None, False, "", [], {}])
def test_a_time_that_is_nothing_is_the_time_of_arrival(nothing: object) -> None:
    """It counts as absent."""
    event = single({"userId": "u1", "timestamp": nothing, "originalTimestamp": nothing})
    assert event["timestamp"] == "2026-11-22T12:00:00.000Z"
    assert event["originalTimestamp"] == nothing


def test_an_empty_batch_is_a_success() -> None:
    """As at Segment (reference: segment 1.4)."""
    assert batch(batch=[]) == []


@pytest.mark.parametrize("item", [None, 1, "x", True, [{}], 1.5])
def test_what_is_no_object_goes_on_as_it_came_between_the_events_of_its_batch(item: object) -> None:
    """The splitter makes a dead letter of it. Refusing the batch would lose the events in it: SDKs throw it away."""
    context = {"locale": "de"}
    first, odd, last = batch(context=context, batch=[{"type": "page"}, item, {"type": "page"}])
    assert odd == item
    assert first["context"] == last["context"] == context


@pytest.mark.parametrize("value", [None, {}, "x", 1])
def test_a_batch_that_is_no_list_is_refused(value: object) -> None:
    """Whole: what was not understood must not be acknowledged."""
    with pytest.raises(HttpError) as refused:
        batch(batch=value)
    assert (refused.value.status, refused.value.code) == (400, "invalid_batch")


def test_a_batch_is_measured_with_its_context_in_every_event() -> None:
    """Half a megabyte could become hundreds in Redis otherwise; SDKs send far less."""
    context = {"page": {"referrer": "x" * 2000}}
    assert len(batch(context=context, batch=[{}] * 2500)) == 2500
    with pytest.raises(HttpError) as refused:
        batch(context={"x": "x" * 30_000}, batch=[{}] * 1000)
    assert (refused.value.status, refused.value.code) == (400, "too_large")


@pytest.mark.parametrize("item", [{}, {"type": "page"}, None])
def test_a_batch_of_more_than_2500_events_is_refused_with_the_number_beyond(item: object) -> None:
    """The whole batch is refused before its events are checked: more than a hundred thousand fit into a body."""
    assert len(batch(batch=[{}] * MAX_BATCH_EVENTS)) == MAX_BATCH_EVENTS == 2500
    with pytest.raises(HttpError) as refused:
        batch(batch=[item] * 2517)
    assert (refused.value.status, refused.value.code) == (413, "too_many_events")
    assert refused.value.message.startswith("The batch has 2517 events, 17 beyond the 2500")


def test_an_event_over_32_kb_is_refused_alone_and_goes_on_in_a_batch() -> None:
    """Segment's limit for one event; its own bytes count, not our additions. In a batch it becomes a dead letter."""
    padding = "x" * (32 * 1024 - len('{"type":"track","p":""}'))
    assert single({"p": padding})["p"] == padding
    with pytest.raises(HttpError) as refused:
        single({"p": padding + "x"})
    assert (refused.value.status, refused.value.code) == (400, "too_large")
    large = "x" * 40_000
    assert [event["p"] for event in batch(batch=[{"p": large}, {"p": "small"}])] == [large, "small"]


def forwarded(body: dict[str, Any]) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(forwarded_event(body, lambda: "fresh"))
    return event


def test_what_segment_forwards_keeps_the_times_that_segment_gave_it() -> None:
    """They are corrected already."""
    times = {
        "originalTimestamp": "2026-11-22T11:00:00Z",
        "sentAt": "2026-11-22T11:00:10Z",
        "receivedAt": "2026-11-22T11:59:59.000Z",
        "timestamp": "2026-11-22T11:59:49.000Z",
    }
    event = {"type": "page", "userId": "u1", "messageId": "m1", **times}
    assert forwarded(event) == event
    assert forwarded({"type": "page", "userId": "u1"}) == {
        "type": "page",
        "userId": "u1",
        "messageId": "fresh",
    }


@pytest.mark.parametrize(
    ("integrations", "left"),
    [
        ({"All": False, "Webhooks": True}, {"Webhooks": True}),
        ({"all ": False, "Sailthru": {"id": "x"}}, {"Sailthru": {"id": "x"}}),
        ({"Sailthru": False}, {"Sailthru": False}),
        ("odd", "odd"),
    ],
)
def test_what_segment_forwards_has_passed_all(integrations: object, left: object) -> None:
    """`All: false` left other destinations out, as each of Segment's replays does; what names Sailthru holds."""
    assert forwarded({"type": "page", "integrations": integrations})["integrations"] == left


def test_segments_request_to_erase_a_person_is_a_user_deleted() -> None:
    """ALLOW_DELETE decides about it."""
    event = forwarded({"type": "delete", "userId": "u1"})
    assert (event["type"], event["event"], event["userId"]) == ("track", "User Deleted", "u1")


def test_what_segment_forwards_has_neither_a_write_key_nor_a_replay_flag() -> None:
    """As every event that comes over HTTP."""
    event = {"type": "page", "writeKey": "k", "sailpipe": {"replay": True}, "messageId": "m"}
    assert forwarded(event) == {"type": "page", "messageId": "m"}


def test_what_segment_forwards_is_no_call_of_sailthrus_own_api() -> None:
    """Only the account's secret signs one."""
    assert forwarded({"type": "sailthru", "messageId": "m"}) == {"messageId": "m"}
