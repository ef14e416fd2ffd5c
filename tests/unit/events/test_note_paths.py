"""Notes are counted by path: each path is one of a closed list, whatever senders call their fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.events.note_paths import COUNTED_PATHS, counted_path

NAMES = st.one_of(
    st.sampled_from(
        [*{part.removesuffix("[]") for path in COUNTED_PATHS for part in path.split(".")}]
    ),
    st.sampled_from(("0", "17", "imageUrl", "sailthru v2", "brand", "\N{SUPERSCRIPT TWO}", "")),
    st.text(max_size=5),
)


@pytest.mark.parametrize(
    ("path", "counted"),
    [
        ("properties.products.0.image_url", "properties.products[].image_url"),
        ("properties.products.23.imageUrl", "properties.products[].image_url"),
        ("properties.products.4", "properties.products[]"),
        ("properties.products.4.brand", "properties.products[].*"),
        ("properties.products.lamp.price", "properties.products"),
        ("properties.adjustments.1.price", "properties.adjustments[].price"),
        ("properties.reminderTime", "properties.reminder_time"),
        ("properties.tags.3", "properties.tags"),
        ("properties.login.token", "properties.login"),
        ("properties.card_4111111111111111", "properties.*"),
        ("properties.0", "properties.*"),
        ("traits.address.street", "traits.*"),
        ("context.traits.email", "context.traits.email"),
        ("context.page.url", "context.page.url"),
        ("integrations.sailthru v2.sendTemplate", "integrations.Sailthru.send_template"),
        ("integrations.Sailthru.sendTemplat", "integrations.Sailthru.*"),
        ("timestamp", "timestamp"),
        ("anything", "*"),
    ],
)
def test_a_path_is_counted_without_positions_and_without_names_of_the_senders_choice(
    path: str, counted: str
) -> None:
    """In one spelling, so that one trouble is one row of `status`."""
    assert counted_path(path) == counted


@given(st.lists(NAMES, min_size=1, max_size=8).map(".".join))
def test_whatever_a_sender_sends_the_list_of_counted_paths_grows_by_nothing(path: str) -> None:
    """Each is a field of a hash in Redis and a label of a metric, for good."""
    assert counted_path(path) in COUNTED_PATHS
    assert len(COUNTED_PATHS) < 150
