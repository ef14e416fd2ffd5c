"""Order Refunded."""

from __future__ import annotations

from pipeline.errors import Reason
from tests.unit.mapping.tables.orders import CHECKOUT, EMAIL, GAME, SHOWN
from tests.unit.mapping.tables.row import JSON, Row, Table, post_return, track, with_email

_UNPRICED = {name: value for name, value in GAME.items() if name != "price"}


def _returned(*parts: JSON, **part: object) -> JSON:
    """The return of GAME, in one item or several."""
    items = [
        {"id": "507f1f77", "qty": 1, "price": 1899, "url": GAME["url"], "order_id": "o1", **one}
        for one in parts or (part,)
    ]
    return post_return(email=EMAIL, items=items)


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
        *(
            Row(
                f"what is paid back may be written as a negative {written}",
                track("Order Refunded", {"order_id": "o1", "products": [GAME | given]}, **SHOWN),
                (_returned(qty=2),),
            )
            for written, given in (
                ("price", {"price": -18.99, "quantity": 2}),
                ("quantity", {"price": 18.99, "quantity": -2}),
            )
        ),
        Row(
            "or as a negative total",
            track(
                "Order Refunded",
                {"order_id": "o1", "total": "-27,50"},
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
            "a line without a price has a share of its total for each",
            track(
                "Order Refunded",
                {"order_id": "o1", "products": [GAME | {"price": None, "total": 37.98}]},
                **SHOWN,
            ),
            (_returned(price=3798),),
        ),
        Row(
            "no cent is lost where they do not come to the same",
            track(
                "Order Refunded",
                {"order_id": "o1", "products": [{**_UNPRICED, "quantity": 3, "total": 10}]},
                **SHOWN,
            ),
            (_returned({"qty": 2, "price": 333}, {"qty": 1, "price": 334}),),
        ),
        Row(
            "a line with neither a price nor a total is refused",
            track("Order Refunded", {"order_id": "o1", "products": [_UNPRICED]}, **SHOWN),
            refused=(Reason.UNMAPPABLE, "properties.products.0.price is missing, and total too"),
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
