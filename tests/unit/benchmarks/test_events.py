"""The events of the suite, and what the comparison programs do with them."""

from __future__ import annotations

import json
import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from benchmarks import events
from benchmarks.others.segments_way import changed
from pipeline.events.models import parse_event


def test_every_event_of_a_mixed_day_is_one_that_the_pipeline_reads() -> None:
    day = events.mixed_day(9)
    for event in day:
        parse_event(json.dumps(event).encode())
    kinds = Counter(event.get("event", event["type"]) for event in day)
    assert kinds == {
        "identify": 9,
        "page": 18,
        "Product Viewed": 9,
        "Product Added": 18,
        "Order Completed": 3,
    }


def test_a_burst_has_identifies_and_custom_events_in_the_proportion_of_their_limits() -> None:
    kinds = Counter(event["type"] for event in events.burst(340))
    assert kinds == {"identify": 300, "track": 40}


@given(st.integers(0, 2**32))
def test_a_users_events_keep_their_order_among_those_of_others(seed: int) -> None:
    visits = [[{"user": user, "n": n} for n in range(user + 2)] for user in range(4)]
    mixed = events.interleaved(visits, random.Random(seed))
    for user, visit in enumerate(visits):
        assert [event for event in mixed if event["user"] == user] == visit


@given(st.integers(0, 2**32))
def test_segments_way_arrives_at_the_cart_that_the_changes_come_to(seed: int) -> None:
    changes = [one for one in events.cart_storm(1, 20, seed) if one["userId"] == "s0"]
    cart: list[dict[str, object]] = []
    for change in changes:
        adds = change["event"] == "Product Added"
        cart = [dict(item) for item in changed(cart, change["properties"], adds=adds)]
    assert {str(item["id"]): item["qty"] for item in cart} == events.cart_after(changes)
