"""Order Completed."""

from __future__ import annotations

import json
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


ORDERS = Table(
    "Order Completed -> POST /purchase",
    "`Completed Order`, the older name, is the same. The email is the event's"
    " (context.traits, properties), else the one learned for this user, else a userId that is one,"
    " else Sailthru's own, by a look-up; an order without any waits for one (`EMAIL_WAIT`). No order ever carries reminder"
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
            "the email may be a property, and is not repeated in vars",
            track("Order Completed", {"order_id": "o1", "products": [GAME], "email": EMAIL}),
            (bought(),),
        ),
        Row(
            "the email of the event comes before the one that Sailthru knows",
            order(),
            (bought(),),
            profile={"keys": {"email": "b@example.com"}},
        ),
        Row(
            "without an email in the event Sailthru is asked",
            track("Order Completed", {"order_id": "o1", "products": [GAME]}),
            (lookup("u1", "keys"), bought()),
            profile={"keys": {"email": EMAIL}},
        ),
        Row(
            "an order without any email waits for one; without one in the end it dies",
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
            "without order_id and checkout_id the purchase key is the messageId",
            order(order_id=None) | {"messageId": "m1"},
            (bought(purchase_keys={"extid": "m1"}),),
        ),
        Row(
            "an order_id may be a number",
            order(order_id=50314),
            (bought(purchase_keys={"extid": "50314"}),),
        ),
        Row(
            "an order_id that cannot be read is left out",
            order(order_id=["o1"], checkout_id="c1"),
            (bought(purchase_keys={"extid": "c1"}, vars={"checkout_id": "c1"}),),
            notes={"properties.order_id": "must be a string"},
        ),
        Row(
            "an order_id that is a placeholder is none",
            order(order_id="undefined", checkout_id="c1"),
            (bought(purchase_keys={"extid": "c1"}, vars={"checkout_id": "c1"}),),
            notes={"properties.order_id": "is a placeholder and not the id of one order"},
        ),
        Row(
            "adjustments are passed on as they are, in cents",
            order(adjustments=[{"title": "Voucher", "price": -500}], tax=1),
            (bought(adjustments=[{"title": "Voucher", "price": -500}], vars={"tax": 1}),),
        ),
        Row(
            "a price among them that is text is a number",
            order(adjustments=[{"title": "Voucher", "price": "-1,299.00"}]),
            (bought(adjustments=[{"title": "Voucher", "price": -1299}]),),
        ),
        Row(
            "without adjustments, shipping, tax and discount become adjustments",
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
            "an amount that cannot be read is left out",
            order(shipping="Free", tax={"vat": 1.2}, discount="10%"),
            (bought(),),
            notes={
                "properties.shipping": "must be a number",
                "properties.tax": "must be a number",
                "properties.discount": "must be a number",
            },
        ),
        Row(
            "nor is what may be thousands or a fraction",
            order(shipping="1,299"),
            (bought(),),
            notes={
                "properties.shipping": "may be thousands or a fraction: write a JSON number, or two"
                " decimals"
            },
        ),
        Row("false is no amount", order(shipping=False, tax=False, adjustments=[]), (bought(),)),
        Row(
            "an adjustment that cannot be read is left out whole",
            order(adjustments=[{"title": "Voucher", "price": "-5 EUR"}, {"price": -500}]),
            (bought(adjustments=[{"price": -500}]),),
            notes={"properties.adjustments.0.price": "must be a number"},
        ),
        Row(
            "the date is the event's own time",
            order() | {"timestamp": "2019-02-21T08:33:46.123Z"},
            (bought(date="Thu, 21 Feb 2019 08:33:46 +0000"),),
        ),
        Row(
            "the date keeps the offset of the event's time",
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
            "the mail that led here may be named by a property, too",
            order(sailthru_bid="bid1"),
            (bought(message_id="bid1"),),
        ),
        Row(
            "a confirmation mail may be asked for",
            order() | {"integrations": options(sendTemplate="Thanks")},
            (bought(send_template="Thanks"),),
        ),
        Row(
            "an option among the properties is no var, however it is spelled",
            order(sendTemplate="Thanks", sailthruBid="bid1", ReminderTime="1 day", coupon="MAY"),
            (bought(send_template="Thanks", message_id="bid1", vars={"coupon": "MAY"}),),
        ),
        Row(
            "what else Sailthru takes is passed on, from options and properties",
            order(
                tenders=[{"title": "Gift card", "price": 1000}, {"title": "Card", "price": 899}],
                channel="App",
                deviceId=77.0,
                userAgent="Shop/1.0",
            )
            | {"integrations": options(appId="a1", cookies={"sailthru_pc": "pc1", "x": False})},
            (
                bought(
                    tenders=[
                        {"title": "Gift card", "price": 1000},
                        {"title": "Card", "price": 899},
                    ],
                    channel="app",
                    app_id="a1",
                    device_id="77",
                    user_agent="Shop/1.0",
                    cookies={"sailthru_pc": "pc1"},
                ),
            ),
        ),
        Row(
            "a property that cannot be read as one is the shop's own",
            order(channel="newsletter", tenders="cash")
            | {"integrations": options(channel="newsletter")},
            (bought(vars={"channel": "newsletter", "tenders": "cash"}),),
            notes={
                "integrations.Sailthru.channel": "must be online or app or offline",
                "properties.channel": "must be online or app or offline",
                "properties.tenders": "must be a list",
            },
        ),
        Row(
            "a template that is no text is left out",
            order(send_template=True, sailthru_bid=False),
            (bought(),),
            notes={"properties.send_template": "must be a string"},
        ),
        Row(
            "an email that cannot be read is left out, and the next place counts",
            track("Order Completed", {"order_id": "o1", "products": [GAME], "email": "none"}),
            (lookup("u1", "keys"), bought()),
            notes={"properties.email": "must be an email address like name@example.com"},
            profile={"keys": {"email": EMAIL}},
        ),
        Row(
            "reminder fields are never sent with an order",
            order(reminder_template="abandoned cart", reminder_time="60 minutes")
            | {"integrations": options(reminder_template="cart", reminder_time="2 weeks")},
            (bought(),),
            settings={"reminder_template": "cart", "reminder_time": "1 day"},
        ),
        Row(
            "an order without products is refused",
            order(products=[]),
            refused=(Reason.UNMAPPABLE, "properties.products"),
        ),
        Row(
            "a hole in the products is left out",
            order(products=[None, GAME]),
            (bought(),),
            notes={"properties.products.0": "must be an object"},
        ),
        Row(
            "products may be an object whose names are numbers, as PHP writes it",
            order(products={"10": GAME | {"product_id": "b"}, "2": GAME}),
            (bought(GAME_ITEM, GAME_ITEM | {"id": "b"}),),
        ),
        Row(
            "or whose names are the products' own",
            order(products={"b": GAME | {"product_id": "b"}, "a": GAME}),
            (bought(GAME_ITEM | {"id": "b"}, GAME_ITEM),),
        ),
        Row(
            "or JSON as text, as a template writes it",
            order(products=json.dumps([GAME])),
            (bought(),),
        ),
        Row("or one product, which is no list", order(products=GAME), (bought(),)),
        Row(
            "a line with a negative price takes something off: it is an adjustment",
            order(discount=1, products=[GAME, {"name": "Loyalty", "price": -2.005, "quantity": 2}]),
            (
                bought(
                    adjustments=[
                        {"title": "discount", "price": -100},
                        {"title": "Loyalty", "price": -402},
                    ]
                ),
            ),
            notes={"properties.products.1.price": "is negative: the line is sent as an adjustment"},
        ),
        Row(
            "an order of nothing else is refused",
            order(products=[GAME | {"price": -2}]),
            refused=(Reason.UNMAPPABLE, "properties.products"),
        ),
        Row(
            "products must be objects",
            order(products=["Monopoly"]),
            refused=(Reason.UNMAPPABLE, "properties.products"),
        ),
    ),
)
