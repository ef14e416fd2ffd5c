"""Order Refunded."""

from __future__ import annotations

from pipeline.errors import Reason
from tests.unit.mapping.tables.orders import CHECKOUT, EMAIL, GAME, SHOWN
from tests.unit.mapping.tables.row import Row, Table, post_return, track, with_email

REFUNDS = Table(
    "Order Refunded -> POST /return",
    "Segment's destinations made it a custom event; Sailthru's returns correct what a customer is"
    " worth. A full refund names no products in Segment's spec: it is one item at the total.",
    (
        Row(
            "a partial refund returns its products",
            track("Order Refunded", {"order_id": "o1", "products": [GAME]}, **SHOWN),
            (
                post_return(
                    email=EMAIL,
                    items=[
                        {
                            "id": "507f1f77",
                            "qty": 1,
                            "price": 1899,
                            "url": "https://shop.example/monopoly",
                            "order_id": "o1",
                        }
                    ],
                ),
            ),
        ),
        Row(
            "a full refund returns the total",
            track(
                "Order Refunded",
                {"order_id": "o1", "total": 27.5},
                context={**with_email(), "page": {"url": CHECKOUT}},
            ),
            (
                post_return(
                    email=EMAIL,
                    items=[{"qty": 1, "price": 2750, "url": CHECKOUT, "order_id": "o1"}],
                ),
            ),
        ),
        Row(
            "a refund without products and without a total is refused",
            track("Order Refunded", {"order_id": "o1"}, **SHOWN),
            refused=(Reason.UNMAPPABLE, "properties.products"),
        ),
        Row(
            "a full refund needs a url, because Sailthru requires one",
            track("Order Refunded", {"order_id": "o1", "total": 1}, **SHOWN),
            refused=(Reason.UNMAPPABLE, "PRODUCT_BASE_URL"),
        ),
    ),
)
