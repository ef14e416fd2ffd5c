"""Which events a look-up is for: when it fails, that is written of those that it covers."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.events.models import validate_event
from pipeline.mapping import plan
from pipeline.mapping.plan import Need, PlanContext
from pipeline.settings import AccountSettings

CONTEXT = PlanContext(now=1_700_000_000.0)
PRODUCT = {"product_id": "p1", "name": "n", "price": 1, "url": "https://shop.example/p1"}
EMAIL = {"email": "ann@example.com"}


def visitor(**fields: Any) -> dict[str, Any]:
    return {"userId": None, "anonymousId": "a1", **fields}


def tracked(event: str, **properties: Any) -> dict[str, Any]:
    return {"type": "track", "event": event, "properties": properties}


IDENTIFY = {"type": "identify"}
ALIAS = {"type": "alias", "previousId": "a1"}
ADDED = tracked("Product Added", **PRODUCT)
ORDER = tracked("Order Completed", order_id="o1", products=[PRODUCT])
REFUND = tracked("Order Refunded", order_id="o1", products=[PRODUCT])
JOINED = tracked("Subscribed", list="L", **EMAIL)


@pytest.mark.parametrize(
    ("body", "what", "covers"),
    [
        (IDENTIFY | {"anonymousId": "a1"}, "merge", 3),
        (IDENTIFY | visitor(traits=EMAIL), "owner", 3),
        (ALIAS, "merge", 1),
        (ALIAS | {"previousId": "z1"}, "merge", 1),
        (ADDED, "cart", 3),
        (ORDER, "email", 1),
        (REFUND, "email", 1),
        (JOINED | visitor(), "owner", 1),
    ],
)
def test_a_look_up_covers_the_first_event_and_what_folds_with_it(
    body: dict[str, Any], what: str, covers: int
) -> None:
    """If it covered none, no try would be counted: an alias whose look-up fails would block its mailbox for ever."""
    events = [validate_event({"userId": "u1", **body}) for _ in range(3)]
    answer = plan(events, CONTEXT, AccountSettings())
    assert isinstance(answer, Need)
    assert (answer.what, answer.covers) == (what, covers)
