"""What `make sample` compares: how the events ended, beside what shop-day.expected.json says of them."""

from __future__ import annotations

from typing import Any

import pytest

from examples.shop_day.ends import Ends, differences

EXPECTED: dict[str, Any] = {
    "enqueued": 8,
    "delivered": 3,
    "duplicates": 1,
    "ignored": {"screens_off": 1},
    "dead": {"a": "too_large", "b": "missing_email", "c": "unknown_user"},
}
DEAD = EXPECTED["dead"]


def ends(dead: dict[str, str], **waiting: int) -> Ends:
    return Ends(3, 1, {"screens_off": 1}, dead, waiting)


@pytest.mark.parametrize(
    "found",
    [
        ends(DEAD),
        ends({"a": "too_large"}, email=1, user=1),
        ends({"a": "too_large", "c": "unknown_user"}, email=1),
    ],
)
def test_events_that_died_or_still_wait_for_what_they_will_die_of_are_as_expected(
    found: Ends,
) -> None:
    """With EMAIL_WAIT as it is by default, an order without an email waits for three days."""
    assert differences(EXPECTED, found) == []
    assert found.through + found.waiting_long == EXPECTED["enqueued"]


@pytest.mark.parametrize(
    ("found", "events", "text"),
    [
        (Ends(2, 1, {"screens_off": 1}, DEAD), 1, "delivered: 2 events, expected 3"),
        (Ends(4, 1, {}, DEAD), 1, "ignored as screens_off: 0 events, expected 1"),
        (Ends(3, 1, {"screens_off": 1, "bot": 1}, DEAD), 0, "ignored as bot: 1 events, expected 0"),
        (ends({**DEAD, "a": "crashed"}), 1, "dead letter a: crashed, expected too_large"),
        (ends({**DEAD, "d": "crashed"}), 0, "dead letter d: crashed, expected no dead letter"),
        (
            ends({"a": "too_large", "c": "unknown_user"}),
            1,
            "dead letters of missing_email: 1 are missing, 0 events wait for it",
        ),
        (ends(DEAD, user=2), 0, "2 events wait (sailpipe waiting --for user)"),
        (
            ends({"b": "missing_email", "c": "unknown_user"}, email=1),
            1,
            "dead letters of too_large: 1 are missing, 0 events wait for it",
        ),
    ],
)
def test_what_ended_in_another_way_is_told_with_what_was_expected(
    found: Ends, events: int, text: str
) -> None:
    told = {one.text: one.events for one in differences(EXPECTED, found)}
    assert told[text] == events
