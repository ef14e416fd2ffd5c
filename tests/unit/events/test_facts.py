"""What an event says to one account, read once: the short ways say what the long ones do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InvalidEvent, Reason
from pipeline.events.emails import read_emails
from pipeline.events.kinds import Kind, kind_of
from pipeline.events.models import Alias, Track, parse_event
from pipeline.events.routing import read_facts, route
from pipeline.settings import AccountSettings
from pipeline.text import mend_id

CHARACTERS = st.characters(exclude_categories=["Cs"]) | st.sampled_from(
    "\x00\x1f\x85\ufeff\u200b \t"
)
EMAILS = st.sampled_from(["ann@example.org", " Bob@Example.org", "none", "", None, 7])
IDS = st.sampled_from(["ann", "ann@example.org", None])
PEOPLE = st.fixed_dictionaries({}, optional={"email": EMAILS, "plan": st.just("gold")})
FIELDS = st.fixed_dictionaries(
    {"anonymousId": st.just("tablet") | st.none()},
    optional={
        "userId": IDS,
        "traits": PEOPLE,
        "context": st.fixed_dictionaries({}, optional={"traits": PEOPLE, "email": EMAILS}),
        "properties": PEOPLE,
        "integrations": st.sampled_from([{}, {"All": False}, {"All": False, "Sailthru": True}]),
    },
)
SHAPES = st.sampled_from(
    [
        {"type": "identify"},
        {"type": "alias", "userId": "ann", "previousId": "phone"},
        *(
            {"type": "track", "event": name}
            for name in ("Seen", "Subscribed", "order completed", "Product_Added", "User Deleted")
        ),
        {"type": "page"},
        {"type": "group", "groupId": "g1"},
    ]
)
SETTINGS = st.sampled_from(
    [AccountSettings(), AccountSettings(mapping="classic"), AccountSettings(customer_id="c")]
)


@given(fields=FIELDS, shape=SHAPES, settings=SETTINGS)
def test_facts_are_what_is_said_when_each_is_asked_for(
    fields: dict[str, Any], shape: dict[str, Any], settings: AccountSettings
) -> None:
    """Kind, lane, emails and ids, of events with and without emails, in both mappings."""
    try:
        event = parse_event(json.dumps(fields | shape).encode())
    except InvalidEvent as refused:
        assert refused.reason is Reason.MISSING_USER_ID  # noqa: PT017 - most examples are valid
        return
    for one in (event, event.without(["user_id"])):
        facts = read_facts(one, settings)
        kind = kind_of(one, settings)
        assert facts[:3] == (kind, route(one, settings), read_emails(one, kind))
        previous = one.previous_id if isinstance(one, Alias) else None
        assert facts.visitors == tuple(name for name in (one.anonymous_id, previous) if name)
        assert facts.ids == tuple(name for name in (one.user_id, *facts.visitors) if name)


@pytest.mark.parametrize("claimed", ["order", "custom", None, 7, {}])
def test_the_kind_of_a_tracked_event_is_in_its_name(claimed: object) -> None:
    """Whatever a client sends in a field that is called so."""
    body = {"type": "track", "event": "ORDER_Completed", "userId": "u1", "kind": claimed}
    event = parse_event(json.dumps(body).encode())
    assert isinstance(event, Track)
    assert (event.kind, "kind" in event.model_dump()) == (Kind.ORDER, False)


@given(text=st.text(CHARACTERS, max_size=8))
def test_an_id_that_needs_no_mending_is_read_as_if_it_were_mended(text: str) -> None:
    body = {"type": "page", "userId": text, "anonymousId": "a"}
    assert parse_event(json.dumps(body).encode()).user_id == (mend_id(text) or None)
