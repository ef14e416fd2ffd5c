"""MAPPING=classic: what Segment's first Sailthru destination did differently."""

from __future__ import annotations

from tests.unit.mapping.tables.orders import CHECKOUT, GAME, GAME_ITEM, bought
from tests.unit.mapping.tables.row import Row, Table, page, post_event, track, with_email

CLASSIC_ON = {"mapping": "classic", "customer_id": "c1"}
U1 = {"id": "u1", "key": "extid"}

CLASSIC = Table(
    "`MAPPING=classic`",
    "Segment's first destination knew identify, track and Order Completed. Its opt-out default"
    " `all` is left to `OPTOUT=all`: no preset writes people's opt-outs.",
    (
        Row(
            "carts are custom events",
            track("Product Added", {"product_id": "p1"}),
            (post_event(**U1, event="Product Added", vars={"product_id": "p1"}),),
            settings=CLASSIC_ON,
        ),
        Row(
            "refunds are custom events",
            track("Order Refunded", {"order_id": "o1"}),
            (post_event(**U1, event="Order Refunded", vars={"order_id": "o1"}),),
            settings=CLASSIC_ON,
        ),
        Row(
            "Subscribed is a custom event",
            track("Subscribed", {"list": "News"}),
            (post_event(**U1, event="Subscribed", vars={"list": "News"}),),
            settings=CLASSIC_ON,
        ),
        Row(
            "orders are purchases, every item with the url of the page",
            track(
                "Order Completed",
                {"order_id": "o1", "products": [GAME]},
                context={**with_email(), "page": {"url": CHECKOUT}},
            ),
            (bought(GAME_ITEM | {"url": CHECKOUT}),),
            settings=CLASSIC_ON,
        ),
        Row(
            "pages are not sent",
            page({"url": "https://news.example/a"}),
            ignored="no_page_in_classic",
            settings=CLASSIC_ON,
        ),
    ),
)
