"""What a process says of itself survives Redis, and a version that is to come."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pipeline.clock import ManualClock
from pipeline.events.models import Lane
from pipeline.processes.records import HeadersSeen, ProcessRole, read_record, this_process

WORKER = this_process(ProcessRole.WORKER, ManualClock(), lanes=[Lane.USER, Lane.PAGE])


def test_a_record_is_read_as_it_was_written() -> None:
    seen = HeadersSeen("default", "POST /event", 2400, 7, 1_700_000_060.0, 1.5)
    told = replace(WORKER, headers=(seen,))
    assert read_record(f"1 {told.encode()}".encode()) == (1, told)
    assert read_record(f"1700 {WORKER.encode()}".encode()) == (1700, WORKER)
    assert WORKER.since_ms == 1_000_000_000_000


def test_what_a_newer_version_says_besides_is_left_out() -> None:
    more = json.loads(WORKER.encode()) | {"mood": "good"}
    assert read_record(f"1 {json.dumps(more)}".encode()) == (1, WORKER)


@pytest.mark.parametrize("stored", [b"", b"1", b"1 {}", b'1 {"role":"cook"}', b"x {}", b"1 \xff"])
def test_what_is_no_record_is_refused(stored: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        read_record(stored)


def test_a_worker_is_its_lanes_and_another_process_its_role() -> None:
    assert WORKER.parts == ("user", "page")
    assert this_process(ProcessRole.SPLITTER, ManualClock(), identity="t").parts == ("splitter",)
