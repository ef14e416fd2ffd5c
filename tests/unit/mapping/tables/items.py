"""The products of an order."""

from __future__ import annotations

from typing import Any

from pipeline.errors import Reason
from tests.unit.mapping.tables.orders import CHECKOUT, GAME, GAME_ITEM, bought, order
from tests.unit.mapping.tables.row import Row, Table, track, with_email

_FIRST = "properties.products.0"


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
        item_row("so is one with thousands", {"price": "1,299.50"}, {"price": 129950}),
        item_row("in any country's way", {"price": "1.299,50"}, {"price": 129950}),
        Row(
            "a price in a currency without decimals is sent in hundredths like any other",
            order(currency="JPY", products=[GAME | {"price": 1500}], shipping=500),
            (
                bought(
                    GAME_ITEM | {"price": 150000},
                    adjustments=[{"title": "shipping", "price": 50000}],
                    vars={"currency": "JPY"},
                ),
            ),
        ),
        Row(
            "or as it is, with ZERO_DECIMAL_PRICES",
            order(currency="jpy", products=[GAME | {"price": "1,500.4"}], shipping=500),
            (
                bought(
                    GAME_ITEM | {"price": 1500},
                    adjustments=[{"title": "shipping", "price": 500}],
                    vars={"currency": "jpy"},
                ),
            ),
            settings={"zero_decimal_prices": "whole"},
        ),
        Row(
            "which does nothing to other currencies",
            order(currency="USD", products=[GAME]),
            (bought(vars={"currency": "USD"}),),
            settings={"zero_decimal_prices": "whole"},
        ),
        item_row("a price of 0 is a price", {"price": 0}, {"price": 0}),
        item_row("no quantity means one", {"quantity": None}, {"qty": 1}),
        item_row("a quantity of false means one", {"quantity": False}, {"qty": 1}),
        item_row("a quantity may be a string", {"quantity": "3"}, {"qty": 3}),
        item_row("2.0 is whole", {"quantity": 2.0}, {"qty": 2}),
        item_row(
            "without product_id the SKU is the id",
            {"product_id": None, "sku": "G-32"},
            {"id": "G-32"},
        ),
        item_row("a number is an id", {"product_id": 88}, {"id": "88"}),
        item_row("a whole number with a point is an id, too", {"product_id": 88.0}, {"id": "88"}),
        item_row("tags are passed on", {"tags": ["fun", "board"]}, {"tags": ["fun", "board"]}),
        item_row(
            "tags as comma-separated text are passed on, too",
            {"tags": "fun,board"},
            {"tags": "fun,board"},
        ),
        item_row(
            "PHP's list with a hole is a list", {"tags": {"0": "a", "2": "b"}}, {"tags": ["a", "b"]}
        ),
        item_row(
            "a tag that is no text is left out",
            {"tags": ["fun", {"id": 3, "name": "Kitchen"}]},
            {"tags": ["fun"]},
            notes={f"{_FIRST}.tags.1": "must be a string"},
        ),
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
        *(
            item_row(
                f"no picture may be written as {written}",
                {"image_url": value, "tags": value, "image_url_thumb": None},
                {},
            )
            for written, value in (("false", False), ("`[]`", []), ("`{}`", {}), ("blank", " "))
        ),
        item_row(
            "of several pictures the first is taken",
            {"image_url": ["https://i.example/1.jpg", "https://i.example/2.jpg"]},
            {"images": {"full": {"url": "https://i.example/1.jpg"}}},
            notes={
                f"{_FIRST}.image_url": "must be one address: only the first of the list is taken"
            },
        ),
        item_row(
            "an address without a scheme gets https: in a mail there is no page to take it from",
            {"url": "//shop.example/monopoly", "image_url": "//cdn.example/1.jpg"},
            {"images": {"full": {"url": "https://cdn.example/1.jpg"}}},
        ),
        item_row(
            "a relative picture starts at PRODUCT_BASE_URL",
            {"image_url": "/img/1.jpg"},
            {"images": {"full": {"url": "https://shop.example/img/1.jpg"}}},
            settings={"product_base_url": "https://shop.example/p"},
        ),
        item_row(
            "without one, and without a page, it leads nowhere and is left out",
            {"image_url": "img/1.jpg"},
            {},
            notes={f"{_FIRST}.image_url": "must be an absolute address"},
        ),
        item_row(
            "a picture that is no address is left out",
            {"image_url": {"src": "https://i.example/1.jpg"}},
            {},
            notes={f"{_FIRST}.image_url": "must be a string"},
        ),
        item_row(
            "a field of an item that holds nothing is no var", {"image_url": "", "sku": False}, {}
        ),
        item_row(
            "other fields of a product are vars of the item",
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
            "an item without a url gets PRODUCT_BASE_URL and its id",
            {"url": None},
            {"url": "https://shop.example/p/507f1f77"},
            settings={"product_base_url": "https://shop.example/p"},
        ),
        Row(
            "an item without a url gets the page's url when there is no PRODUCT_BASE_URL",
            track(
                "Order Completed",
                {"order_id": "o1", "products": [GAME | {"url": None}]},
                context={**with_email(), "page": {"url": CHECKOUT}},
            ),
            (bought(GAME_ITEM | {"url": CHECKOUT}),),
        ),
        Row(
            "a url of false means no url",
            track(
                "Order Completed",
                {"order_id": "o1", "products": [GAME | {"url": False}]},
                context={**with_email(), "page": {"url": CHECKOUT}},
            ),
            (bought(GAME_ITEM | {"url": CHECKOUT}),),
        ),
        Row(
            "a url that is no address is left out",
            track(
                "Order Completed",
                {"order_id": "o1", "products": [GAME | {"url": "mailto:shop"}]},
                context={**with_email(), "page": {"url": CHECKOUT}},
            ),
            (bought(GAME_ITEM | {"url": CHECKOUT}),),
            notes={f"{_FIRST}.url": "must be an absolute address"},
        ),
        item_row(
            "a name is one line, without control characters",
            {"name": "Monopoly:\n3rd \x00Edition\ufeff"},
            {},
        ),
        bad_item("an item without any url is refused", {"url": None}, "url is missing"),
        bad_item("an item without a price is refused", {"price": None}, "price is missing"),
        bad_item("a price of false is no price", {"price": False}, "price is missing"),
        bad_item("an id that is a list is refused", {"product_id": ["a"]}, "product_id must be"),
        bad_item(
            "a name that is no text is refused", {"name": ["Monopoly"]}, "name must be a string"
        ),
        bad_item("an item without a name is refused", {"name": None}, "name is missing"),
        bad_item("an item without an id is refused", {"product_id": None}, "product_id is missing"),
        bad_item(
            "a price with a currency sign is refused", {"price": "$18.99"}, "price must be a number"
        ),
        bad_item(
            "a price that may be thousands or a fraction is refused",
            {"price": "1,299"},
            "price may be thousands",
        ),
        bad_item("an absurd price is refused", {"price": "1e400"}, "price is too large"),
        bad_item(
            "a quantity that cannot be read is refused", {"quantity": "2 pcs"}, "quantity must be a"
        ),
        bad_item(
            "a quantity of half an item is refused", {"quantity": 0.5}, "quantity must be a whole"
        ),
        bad_item("a quantity below one is refused", {"quantity": -1}, "quantity must be a whole"),
        bad_item(
            "an absurdly large quantity is refused", {"quantity": 1e30}, "quantity must be a whole"
        ),
    ),
)
