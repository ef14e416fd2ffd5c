"""What lies in Redis is read, whichever version wrote it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from pipeline.mailbox.claim import Entry
from pipeline.mailbox.history import Attempt, EventState

ATTEMPT = Attempt(n=1, at=1.0, duration_s=0.1, status=503, error="busy", wait_s=2.0)
ENTRY = Entry(id="m1", seq="1-0", at=1, clock=1, raw=b'{"type":"page"}')


def test_fields_of_another_version_are_left_out() -> None:
    """An upgrade or a roll-back would bury every waiting event as `poison` otherwise."""
    row = asdict(ATTEMPT) | {"new": 1}
    state = json.dumps(asdict(EventState(tried=1)) | {"attempts": [row], "asked_at": None})
    assert EventState.decode(state) == EventState(attempts=(ATTEMPT,), tried=1)
    header, _, raw = ENTRY.encode().partition(b"\n")
    newer = json.dumps(json.loads(header) | {"new": {"a": 1}}).encode() + b"\n" + raw
    assert Entry.decode(newer) == ENTRY


def test_a_header_says_nothing_twice() -> None:
    """A million entries may wait. Behind a closed gate alone the lane's clock differs from the wall's."""
    assert ENTRY.encode() == b'{"id":"m1","seq":"1-0"}\n{"type":"page"}'
    held = replace(ENTRY, seq="9-0", at=9, clock=4, shared_ids="user_id", first=3)
    assert Entry.decode(held.encode()) == held
