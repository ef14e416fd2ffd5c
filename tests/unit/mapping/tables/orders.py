"""Orders and their items."""

from __future__ import annotations

from typing import Any

from pipeline.errors import Reason
from tests.unit.mapping.tables.row import (
    Row,
    Table,
    lookup,
    options,
    post_purchase,
    track,
    with_email,
)

EMAIL = "a@example.com"
CHECKOUT = "https://shop.example/checkout"
GAME: dict[str, Any] = {
    "product_id": "507f1f77",
    "name": "Monopoly: 3rd Edition",
    "price": 18.99,
    "quantity": 1,
    "url": "https://shop.example/monopoly",
}
GAME_ITEM: dict[str, Any] = {
    "id": "507f1f77",
    "title": "Monopoly: 3rd Edition",
    "qty": 1,
    "price": 1899,
    "url": "https://shop.example/monopoly",
}
SHOWN: dict[str, Any] = {"context": with_email()}


def order(**properties: Any) -> dict[str, Any]:
    """An Order Completed that shows its email."""
    return track("Order Completed", {"order_id": "o1", "products": [GAME], **properties}, **SHOWN)


def bought(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What is posted for it."""
    params = {"email": EMAIL, "items": list(items or (GAME_ITEM,)), "incomplete": 0}
    return post_purchase(**params, **{"purchase_keys": {"extid": "o1"}, **more})


def item_row(says: str, product: dict[str, Any], item: dict[str, Any], **row: Any) -> Row:
    """An order of one product: GAME with these changes becomes GAME_ITEM with those."""
    expected = {name: one for name, one in (GAME_ITEM | item).items() if one is not None}
    given = {name: one for name, one in (GAME | product).items() if one is not None}
    return Row(says, order(products=[given]), (bought(expected),), **row)


def bad_item(says: str, product: dict[str, Any], detail: str, **row: Any) -> Row:
    """An order that is refused for its second product."""
    given = {name: one for name, one in (GAME | product).items() if one is not None}
    refused = (Reason.UNMAPPABLE, f"properties.products.1.{detail}")
    return Row(says, order(products=[GAME, given]), refused=refused, **row)


ORDERS = Table(
    "Order Completed -> POST /purchase",
    "`Completed Order`, the older name, is the same. The email is the event's (traits,"
    " context.traits, properties), else the one learned for this user, else Sailthru's own, by a"
    " look-up; an order without any waits for one (`EMAIL_WAIT`). No order ever carries reminder"
    " fields: it has been bought.",
    (
        Row("an order with all that is needed", order(), (bought(),)),
        Row(
            "V1's name, product key and order key",
            track(
                "Completed Order",
                {"orderId": "o1", "products": [{**GAME, "product_id": None, "id": "507f1f77"}]},
                **SHOWN,
            ),
            (bought(),),
        ),
        Row(
            "without an email in the event Sailthru is asked",
            track("Order Completed", {"order_id": "o1", "products": [GAME]}),
            (lookup("u1", "keys"), bought()),
            profile={"keys": {"email": EMAIL}},
        ),
        Row(
            "an email that is nowhere is waited for, at last in vain",
            track("Order Completed", {"order_id": "o1", "products": [GAME]}),
            (lookup("u1", "keys"),),
            refused=(Reason.MISSING_EMAIL, "email"),
        ),
        Row(
            "without order_id the purchase key is checkout_id",
            order(order_id=None, checkout_id="c1"),
            (bought(purchase_keys={"extid": "c1"}, vars={"checkout_id": "c1"}),),
        ),
        Row(
            "without both it is the messageId",
            order(order_id=None) | {"messageId": "m1"},
            (bought(purchase_keys={"extid": "m1"}),),
        ),
        Row(
            "a number is an id too",
            order(order_id=50314),
            (bought(purchase_keys={"extid": "50314"}),),
        ),
        Row(
            "adjustments are passed on as they are, in cents",
            order(adjustments=[{"title": "Voucher", "price": -500}], tax=1),
            (bought(adjustments=[{"title": "Voucher", "price": -500}], vars={"tax": 1}),),
        ),
        Row(
            "without them shipping, tax and discount become adjustments",
            order(shipping=3, tax=1.005, discount=2.5),
            (
                bought(
                    adjustments=[
                        {"title": "shipping", "price": 300},
                        {"title": "tax", "price": 101},
                        {"title": "discount", "price": -250},
                    ]
                ),
            ),
        ),
        Row(
            "a discount may be written as a negative number; nothing for zero",
            order(shipping=0, discount="-2.50"),
            (bought(adjustments=[{"title": "discount", "price": -250}]),),
        ),
        Row(
            "the date is the event's own time",
            order() | {"timestamp": "2019-02-21T08:33:46.123Z"},
            (bought(date="Thu, 21 Feb 2019 08:33:46 +0000"),),
        ),
        Row(
            "with its own offset",
            order() | {"timestamp": "2019-02-21T08:33:46-05:00"},
            (bought(date="Thu, 21 Feb 2019 08:33:46 -0500"),),
        ),
        Row(
            "other properties are vars of the order",
            order(total=27.5, coupon="MAY", affiliation={"name": "Shop"}),
            (bought(vars={"total": 27.5, "coupon": "MAY", "affiliation_name": "Shop"}),),
        ),
        Row(
            "the mail that led here is credited (cookie sailthru_bid)",
            order() | {"integrations": options(message_id="bid1")},
            (bought(message_id="bid1"),),
        ),
        Row(
            "it may be a property, too",
            order(sailthru_bid="bid1"),
            (bought(message_id="bid1"),),
        ),
        Row(
            "a confirmation mail may be asked for",
            order() | {"integrations": options(sendTemplate="Thanks")},
            (bought(send_template="Thanks"),),
        ),
        Row(
            "reminder fields are never sent with an order",
            order(reminder_template="abandoned cart", reminder_time="60 minutes")
            | {"integrations": options(reminder_template="cart", reminder_time="2 weeks")},
            (bought(),),
            settings={"reminder_template": "cart", "reminder_time": "1 day"},
        ),
        Row(
            "an order of nothing is refused",
            order(products=[]),
            refused=(Reason.UNMAPPABLE, "properties.products"),
        ),
        Row(
            "products must be objects",
            order(products=["Monopoly"]),
            refused=(Reason.UNMAPPABLE, "properties.products"),
        ),
    ),
)

ITEMS = Table(
    "Products -> items",
    "Sailthru needs all of id, title, qty, price and url. Prices are unit prices in integer cents,"
    " rounded half up from the number as written, never through binary floats. When a product has"
    " no url, Segment takes the page's; on an order that is the checkout, and Sailthru would add it"
    " to the content library, so `PRODUCT_BASE_URL` comes first when it is set.",
    (
        item_row("18.99 is 1899 cents", {"price": 18.99}, {"price": 1899}),
        item_row("1.005 is 101 cents: half up, as written", {"price": 1.005}, {"price": 101}),
        item_row("0.29 is 29 cents", {"price": 0.29}, {"price": 29}),
        item_row("a numeric string is a number", {"price": "18.99"}, {"price": 1899}),
        item_row("free is a price", {"price": 0}, {"price": 0}),
        item_row("no quantity means one", {"quantity": None}, {"qty": 1}),
        item_row("a quantity may be a string", {"quantity": "3"}, {"qty": 3}),
        item_row("2.0 is whole", {"quantity": 2.0}, {"qty": 2}),
        item_row(
            "without product_id the SKU is the id",
            {"product_id": None, "sku": "G-32"},
            {"id": "G-32"},
        ),
        item_row("tags are passed on", {"tags": ["fun", "board"]}, {"tags": ["fun", "board"]}),
        item_row("as comma-separated text, too", {"tags": "fun,board"}, {"tags": "fun,board"}),
        item_row(
            "images are the objects that POST wants",
            {"image_url": "https://i.example/1.jpg", "image_url_thumb": "https://i.example/1s.jpg"},
            {
                "images": {
                    "full": {"url": "https://i.example/1.jpg"},
                    "thumb": {"url": "https://i.example/1s.jpg"},
                }
            },
        ),
        item_row(
            "all else is vars of the item",
            {"brand": "Hasbro", "sku": "G-32", "size": {"w": 10}},
            {"vars": {"brand": "Hasbro", "sku": "G-32", "size_w": 10}},
        ),
        item_row(
            "a relative url starts at PRODUCT_BASE_URL",
            {"url": "/monopoly"},
            {},
            settings={"product_base_url": "https://shop.example"},
        ),
        item_row(
            "no url: PRODUCT_BASE_URL and the id",
            {"url": None},
            {"url": "https://shop.example/p/507f1f77"},
            settings={"product_base_url": "https://shop.example/p"},
        ),
        Row(
            "no url and no base url: the page's url",
            track(
                "Order Completed",
                {"order_id": "o1", "products": [GAME | {"url": None}]},
                context={**with_email(), "page": {"url": CHECKOUT}},
            ),
            (bought(GAME_ITEM | {"url": CHECKOUT}),),
        ),
        bad_item("no url at all is refused", {"url": None}, "url is missing"),
        bad_item("no price is refused", {"price": None}, "price is missing"),
        bad_item("no name is refused", {"name": None}, "name is missing"),
        bad_item("no id is refused", {"product_id": None}, "product_id is missing"),
        bad_item("a negative price is refused", {"price": -1}, "price must not be negative"),
        bad_item("words are no price", {"price": "$18.99"}, "price must be a number"),
        bad_item("an absurd price is refused", {"price": "1e400"}, "price is too large"),
        bad_item("half an item is refused", {"quantity": 0.5}, "quantity must be a whole"),
        bad_item("fewer than one is refused", {"quantity": -1}, "quantity must be a whole"),
        bad_item("so are absurdly many", {"quantity": 1e30}, "quantity must be a whole"),
    ),
)
