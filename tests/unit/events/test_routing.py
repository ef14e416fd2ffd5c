"""Which lane an event goes to. What is ignored stands in the tables of the mapping."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from pipeline.events.kinds import Ignored, Kind, kind_of
from pipeline.events.models import Lane, validate_event
from pipeline.events.routing import route
from pipeline.settings import AccountSettings
from tests.unit.mapping import strategies
from tests.unit.mapping.test_any_event import _valid

SETTINGS = AccountSettings(customer_id="c1", allow_delete=True, track_screens=True)
CLASSIC = AccountSettings(customer_id="c1", mapping="classic")


def _lane(settings: AccountSettings = SETTINGS, **fields: Any) -> Lane | Ignored:
    return route(validate_event({"userId": "u1", **fields}), settings)


@pytest.mark.parametrize(
    ("fields", "lane"),
    [
        ({"type": "identify"}, Lane.USER),
        ({"type": "alias", "previousId": "a1"}, Lane.USER),
        ({"type": "track", "event": "Subscribed", "properties": {"list": "News"}}, Lane.USER),
        ({"type": "track", "event": "Subscribed"}, Lane.EVENT),
        ({"type": "track", "event": "User Deleted"}, Lane.USER),
        ({"type": "track", "event": "Registered"}, Lane.EVENT),
        ({"type": "track", "event": "Order Cancelled"}, Lane.EVENT),
        ({"type": "track", "event": "Order Completed"}, Lane.PURCHASE),
        ({"type": "track", "event": "Order Refunded"}, Lane.PURCHASE),
        ({"type": "track", "event": "Product Added"}, Lane.PURCHASE),
        ({"type": "track", "event": "Product Removed"}, Lane.PURCHASE),
        ({"type": "page"}, Lane.PAGE),
        ({"type": "screen", "properties": {"url": "https://app.example"}}, Lane.PAGE),
        ({"type": "screen", "context": {"page": {"url": "https://app.example"}}}, Lane.PAGE),
    ],
)
def test_each_kind_has_its_lane(fields: dict[str, Any], lane: Lane) -> None:
    """A page without a url is routed, and refused there: its dead letter shows the mistake."""
    assert _lane(**fields) == lane


@pytest.mark.parametrize(
    "name",
    ["Order Completed", "order completed", "ORDER_COMPLETED", "OrderCompleted", "Completed Order"],
)
def test_names_are_read_as_segments_matchers_read_them(name: str) -> None:
    """Any case; words apart by a space, an underscore or nothing; V1's names are the same events."""
    assert _lane(type="track", event=name) == Lane.PURCHASE


@pytest.mark.parametrize("name", ["Order  Completed!", "My Order Completed", "Order-Completed"])
def test_names_that_only_resemble_one_are_custom_events(name: str) -> None:
    """A guess would put a purchase into a customer's history."""
    assert _lane(type="track", event=name) == Lane.EVENT


def test_classic_knows_only_orders() -> None:
    """Carts, refunds and subscriptions were custom events."""
    for name in ("Product Added", "Order Refunded", "Subscribed", "User Deleted"):
        assert _lane(CLASSIC, type="track", event=name) == Lane.EVENT
    assert _lane(CLASSIC, type="track", event="Completed Order") == Lane.PURCHASE


@given(body=strategies.events)
def test_routing_never_fails_and_agrees_with_the_kind(body: dict[str, Any]) -> None:
    """Integrations and properties may hold anything."""
    event = _valid(body)
    if event is None:
        return
    where = route(event, SETTINGS)

    assert isinstance(where, Lane | Ignored)
    if kind_of(event, SETTINGS) is Kind.GROUP:
        assert isinstance(where, Ignored)
