"""MAPPING=classic: what Segment's first Sailthru destination did differently."""

from __future__ import annotations

from tests.unit.mapping.tables.orders import CHECKOUT, GAME, GAME_ITEM, bought, order
from tests.unit.mapping.tables.row import (
    Row,
    Table,
    identify,
    page,
    post_event,
    post_user,
    track,
    with_email,
)

CLASSIC_ON = {"mapping": "classic", "customer_id": "c1"}
U1 = {"id": "u1", "key": "extid"}

CLASSIC = Table(
    "`MAPPING=classic`",
    "Segment's first destination knew identify, track and Order Completed. An event of another"
    " kind than identify has no opt-out; the default `all` is left to `OPTOUT=all`: no preset writes people's opt-outs.",
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
            "tags, pictures and adjustments are vars like all that has no field",
            order(
                tax=1,
                adjustments=[{"title": "Voucher", "price": -500}],
                products=[GAME | {"tags": ["fun"], "image_url": "https://i.example/1.jpg"}],
            ),
            (
                bought(
                    GAME_ITEM | {"vars": {"tags_0": "fun", "image_url": "https://i.example/1.jpg"}},
                    vars={
                        "tax": 1,
                        "adjustments_0_title": "Voucher",
                        "adjustments_0_price": -500,
                    },
                ),
            ),
            settings=CLASSIC_ON,
        ),
        Row(
            "both ids of an identify are no reason to merge",
            identify(anonymousId="anon-1", traits={"plan": "gold"}),
            (post_user(**U1, vars={"plan": "gold"}),),
            profile={"keys": {"extid": "anon-1"}},
            settings=CLASSIC_ON,
        ),
        Row(
            "an alias is ignored",
            {"type": "alias", "userId": "u1", "previousId": "anon-1"},
            ignored="unsupported_type",
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
