"""Whose something is, by what it says itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.forget.person import Person, Whose
from pipeline.trace.names import person_name
from pipeline.trace.records import Fate, Record

ANN = Person(("u-42", "Ann@Example.org", "dev-7", "77", "event", "reason"), frozenset({"guest"}))
TRACK = {"type": "track", "event": "Seen"}
IDENTIFY = {"type": "identify"}


@pytest.mark.parametrize(
    ("event", "whose"),
    [
        (TRACK | {"userId": "u-42"}, Whose.THEIRS),
        (TRACK | {"userId": 77}, Whose.THEIRS),
        (TRACK | {"userId": "u-4"}, Whose.NEITHER),
        (TRACK | {"userId": "u-421"}, Whose.NEITHER),
        (TRACK | {"anonymousId": "dev-7"}, Whose.THEIRS),
        (TRACK | {"userId": "bob", "anonymousId": "dev-7"}, Whose.NAMED),
        (TRACK | {"userId": "guest", "anonymousId": "dev-7"}, Whose.THEIRS),
        (IDENTIFY | {"traits": {"email": "ANN@example.ORG"}, "anonymousId": "x"}, Whose.NAMED),
        (TRACK | {"properties": {"email": "ann@example.org"}}, Whose.THEIRS),
        (TRACK | {"userId": "bob", "properties": {"to": "<Ann@Example.org>"}}, Whose.NAMED),
        (TRACK | {"userId": "bob", "properties": {"quantity": 77, "id": "77"}}, Whose.NEITHER),
        ({"type": "alias", "userId": "bob", "previousId": "u-42"}, Whose.NAMED),
        ({"type": "nonsense", "userId": "u-42"}, Whose.THEIRS),
        ({"type": "nonsense", "userId": "bob", "to": "ann@example.org"}, Whose.NAMED),
        ({"type": "nonsense", "to": "ann@example.org"}, Whose.THEIRS),
        ([], Whose.NEITHER),
    ],
)
def test_an_event_is_its_userids_else_its_devices_else_its_emails(event: Any, whose: Whose) -> None:
    """What names the person and is another's stays with that one."""
    assert ANN.whose(json.dumps(event).encode()) is whose


@pytest.mark.parametrize(
    ("raw", "whose"),
    [
        (b'{"type":"track","event":"Seen","userId":"u\\u002d42"}', Whose.THEIRS),
        (b'{"type":"identify","traits":{"email":"ann\\u0040example.org"}}', Whose.THEIRS),
        (b'{"userId": "u-42", broken', Whose.THEIRS),
        (b"mail ANN@example.org broken", Whose.THEIRS),
        (b'{"userId": "u-421", broken', Whose.NEITHER),
        (b"\xff\xfe", Whose.NEITHER),
    ],
)
def test_escapes_and_broken_json_hide_nobody(raw: bytes, whose: Whose) -> None:
    assert ANN.whose(raw) is whose


@given(
    user=st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8),
    ascii_only=st.booleans(),
    noise=st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=3),
)
def test_an_event_of_any_id_is_found_however_it_is_written(
    user: str, ascii_only: bool, noise: dict[str, str]
) -> None:
    """The look at the bytes that saves reading most events passes none of theirs over."""
    raw = json.dumps(TRACK | {"userId": user, "properties": noise}, ensure_ascii=ascii_only)
    assert Person((user,)).whose(raw.encode()) is Whose.THEIRS


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("user u-42, since 7d", "user ***, since 7d"),
        ("u-421 and u-4 stay", "u-421 and u-4 stay"),
        ("ANN@EXAMPLE.ORG has asked.", "*** has asked."),
        ("joann@example.org stays", "joann@example.org stays"),
        ("77 letters of dev-7", "77 letters of ***"),
        ("a reason why the lane event waits", "a reason why the lane event waits"),
    ],
)
def test_ids_are_replaced_in_what_people_wrote(text: str, without: str) -> None:
    """Whole words alone; a number and what filters are made of stay."""
    assert ANN.redact(text) == without
    assert ANN.redact(without) == without


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("reason rejected, lane event, user 77", "reason rejected, lane event, user ***"),
        ("lane event, code 77, event reason", "lane event, code 77, event reason"),
        ("lane event, user event, order 77", "lane event, user ***, order ***"),
        ("lane event, match event", "lane event, match event"),
        ("lane event, match 77", "lane event, match ***"),
        ("match mails of u-42 to event: set vars.x", "match mails of *** to event: set vars.x"),
        ("event dev-7, code 7", "event dev-7, code 7"),
        ("code 77, event ann@example.ORG, code 7", "code 77, event ***, code 7"),
        ("user u-421, order 777", "user u-421, order 777"),
        ("event", "event"),
    ],
)
def test_ids_are_replaced_in_filters_where_a_filter_names_a_person(text: str, without: str) -> None:
    """Somebody's id may be the name of a lane, or a number: what filters say of others stays as it was."""
    assert ANN.redact_filter(text) == without
    assert ANN.redact_filter(without) == without


def test_a_record_is_its_mailboxs_or_where_it_had_none_of_whom_it_names() -> None:
    """An order that another has paid for names two people."""
    names = [person_name("ann@example.org"), person_name("bob")]
    assert ANN.has(Record("m", Fate.DELIVERED, user="u-42"))
    assert not ANN.has(Record("m", Fate.DELIVERED, user="bob", names=names))
    assert ANN.has(Record("m", Fate.IGNORED, names=names))
