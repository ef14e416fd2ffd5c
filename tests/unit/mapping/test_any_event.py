"""Nothing in an event's body makes the mapping raise anything but its own refusals.

`make test-random` tries 10,000 events, four at a time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InvalidEvent, MappingRejected
from pipeline.events.models import Event, Lane, validate_event
from pipeline.events.routing import route
from pipeline.mapping import dry_run, plan, read_profile
from pipeline.mapping.flatten import MAX_NAME_CHARS
from pipeline.mapping.plan import Need, PlanContext, Send, answered
from pipeline.settings import AccountSettings
from tests.unit.mapping import strategies

EXAMPLES = 2_500 if settings.get_current_profile_name() == "deep" else 100
ACCOUNTS = [
    AccountSettings(customer_id="c1", allow_delete=True, track_screens=True),
    AccountSettings(mapping="classic", var_names="as_is", product_base_url="https://shop.example"),
]


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    events=st.lists(strategies.events, min_size=4, max_size=4),
    reply=st.none() | strategies.replies,
    account=st.sampled_from(ACCOUNTS),
)
def test_an_event_is_mapped_or_refused_whatever_it_holds(
    events: list[dict[str, Any]], reply: dict[str, Any] | None, account: AccountSettings
) -> None:
    """What is sent is strict JSON in UTF-8 and keeps Sailthru's rules for names and prices."""
    valid = [event for event in map(_valid, events) if event is not None]
    for start, event in enumerate(valid):
        if isinstance(route(event, account), Lane):
            _check(_answer(valid[start:], reply, account), account)


@settings(max_examples=EXAMPLES, deadline=None)
@given(raw=st.binary(max_size=80) | strategies.events.map(json.dumps).map(str.encode))
def test_any_bytes_are_answered(raw: bytes) -> None:
    """`sailpipe map` is fed files that people wrote."""
    line = dry_run(raw, ACCOUNTS[0], None)

    assert line["error"] or line["ignored"] or line["calls"]


@settings(max_examples=EXAMPLES, deadline=None)
@given(body=strategies.replies)
def test_any_reply_is_read(body: dict[str, Any]) -> None:
    """PHP writes empty objects as lists, and carts were seen as objects and as lists."""
    profile = read_profile(True, body)

    for item in profile.cart.items if profile.cart else ():
        assert isinstance(item["id"], str)
        assert item["qty"] >= 1


def _valid(body: dict[str, Any]) -> Event | None:
    try:
        return validate_event(body)
    except InvalidEvent:
        return None


def _answer(events: list[Event], reply: dict[str, Any] | None, account: AccountSettings) -> Any:
    found = read_profile(reply is not None, reply or {})
    context = PlanContext(now=1_700_000_000.0)
    try:
        answer = plan(events, context, account)
        while isinstance(answer, Need):
            _check_json(answer.call.params)
            assert 1 <= answer.covers <= len(events)  # who is covered by none fails for ever
            context = answered(context, answer, found)
            answer = plan(events, context, account)
    except MappingRejected as refusal:
        return refusal
    assert 1 <= answer.covers <= len(events)
    return answer


def _check(answer: Any, account: AccountSettings) -> None:
    if not isinstance(answer, Send):
        return
    params = answer.call.params
    _check_json(params)
    if account.var_names == "clean":
        assert all(len(name) <= MAX_NAME_CHARS for name in params.get("vars", {}))
    if answer.call.endpoint == "/purchase" and not params["incomplete"]:
        for item in params["items"]:
            assert isinstance(item["price"], int)
            assert item["price"] >= 0
            assert {"id", "title", "qty", "url"} <= item.keys()
        assert not {"reminder_time", "reminder_template"} & params.keys()


def _check_json(params: Mapping[str, Any]) -> None:
    json.dumps(params, allow_nan=False, ensure_ascii=False).encode()
