"""Events after what real shops were seen to send, one test a kind of fault, and what is right of each."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.mapping import dry_run
from pipeline.settings import AccountSettings
from tests.unit.mapping.tables.row import JSON, options, page, track, with_email

EMAIL = "buyer@example.com"
SHOP = "https://shop.example"
LAMP = {"product_id": "l1", "name": "Lamp", "price": 12, "url": f"{SHOP}/lamp"}
RUG = {"product_id": "r1", "name": "Rug", "price": "7.50", "url": f"{SHOP}/rug"}


def mapped(event: JSON, profile: JSON | None = None, **settings: Any) -> JSON:
    account = AccountSettings.model_validate({"customer_id": "c1", **settings})
    return dry_run(json.dumps(event).encode(), account, profile)


def order(products: object, **properties: object) -> JSON:
    given = {"order_id": "o1", "products": products, **properties}
    return track("Order Completed", given, context=with_email(EMAIL))


def sent(event: JSON, **settings: Any) -> JSON:
    """The params of the last call, of an event that is delivered."""
    line = mapped(event, **settings)
    assert (line["error"], line["ignored"]) == (None, None)
    params: JSON = line["calls"][-1]["params"]
    return params


def ids(params: JSON) -> list[str]:
    return [item["id"] for item in params["items"]]


SHAPES: dict[str, object] = {
    "list": [LAMP, RUG],
    "map with number keys": {"0": LAMP, "3": RUG},
    "map with names": {"lamp": LAMP, "rug": RUG},
    "JSON text": json.dumps([LAMP, RUG]),
    "JSON text of a map": json.dumps({"1": LAMP, "2": RUG}),
    "list of JSON texts": [json.dumps(LAMP), json.dumps(RUG)],
    "list with holes": [None, LAMP, {}, RUG, False],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_products_in_every_shape_of_a_list_are_the_same_order(shape: str) -> None:
    """A map with number keys, JSON as text, holes of null."""
    params = sent(order(SHAPES[shape]))

    assert ids(params) == ["l1", "r1"]
    assert [item["price"] for item in params["items"]] == [1200, 750]


@pytest.mark.parametrize(
    "products", ["", "[]", "Lamp", 7, [1], ["Lamp"], ["[]"], "[{]", {}, [None]], ids=repr
)
def test_what_is_no_list_of_products_is_no_order(products: object) -> None:
    """It dies with the path of what is wrong."""
    line = mapped(order(products))

    assert line["error"]["reason"] == "unmappable"
    assert "properties.products" in line["error"]["detail"]


def test_shipping_in_words_costs_no_order() -> None:
    """Nor a discount in percent: both are left out, with a note each."""
    line = mapped(order([LAMP], shipping="Free", discount="15 %", tax=False))

    assert "adjustments" not in line["calls"][0]["params"]
    paths = [note["path"] for note in line["notes"]]
    assert paths == ["properties.shipping", "properties.discount"]


def test_the_total_of_an_order_with_a_voucher_line_is_what_was_paid() -> None:
    """Sailthru has no item with a negative price."""
    voucher = {"product_id": "v", "name": "Voucher", "price": "-2,50", "quantity": 2}

    params = sent(order([LAMP, voucher]))

    assert ids(params) == ["l1"]
    assert params["adjustments"] == [{"title": "Voucher", "price": -500}]


@pytest.mark.parametrize(
    "timestamp",
    [
        *(1550738026123, 1550738026, "1550738026", "1550738026.5", "Thu, 21 Feb 2019 08:33:46 GMT"),
        *("2019-02-21 08:33:46 UTC", "2019-02-21T08:33:46.123+0000", "20190221T083346Z"),
        *("2019-02-21 08:33:46 +0000 UTC", "2019-02-21T08:33:46.123456789Z"),
        {"$date": "2019-02-21T08:33:46Z"},
    ],
    ids=repr,
)
def test_an_order_of_years_ago_keeps_its_date(timestamp: object) -> None:
    """In whatever form the shop writes it."""
    params = sent(order([LAMP]) | {"timestamp": timestamp})

    assert params["date"] == "Thu, 21 Feb 2019 08:33:46 +0000"


@pytest.mark.parametrize("timestamp", ["yesterday", "21.02.2019", True, [1550738026], 20190221])
def test_an_order_whose_time_cannot_be_read_is_refused(timestamp: object) -> None:
    """It would be dated today, and a purchase cannot be edited. Other events go out with a note."""
    refused = mapped(order([LAMP]) | {"timestamp": timestamp})
    seen = mapped(track("Seen") | {"timestamp": timestamp})

    assert refused["error"]["reason"] == "unmappable"
    assert refused["error"]["detail"].startswith("timestamp must be")
    assert [note["path"] for note in seen["notes"]] == ["timestamp"]


@pytest.mark.parametrize("price", ["1e999", 1e300, 10**18, "-9999999999999999"], ids=repr)
def test_an_absurd_price_of_an_adjustment_is_left_out(price: object) -> None:
    """With its adjustment, of which half would change the total."""
    line = mapped(order([LAMP], adjustments=[{"title": "Voucher", "price": price}]))

    assert "adjustments" not in line["calls"][0]["params"]
    assert [note["path"] for note in line["notes"]] == ["properties.adjustments.0.price"]


def refund(**properties: object) -> JSON:
    context = {**with_email(EMAIL), "page": {"url": f"{SHOP}/orders/o1"}}
    return track("Order Refunded", {"order_id": "o1", **properties}, context=context)


@given(
    price=st.integers(0, 10**9),
    count=st.integers(1, 1000),
    signs=st.tuples(st.sampled_from((1, -1)), st.sampled_from((1, -1))),
    as_total=st.booleans(),
)
def test_a_refund_pays_back_the_same_whatever_its_signs(
    price: int, count: int, signs: tuple[int, int], *, as_total: bool
) -> None:
    """Of each line, and with a price or a total: no cent is lost, and nothing is charged."""
    amount = signs[0] * price / 100
    line = {**LAMP, "price": amount, "quantity": signs[1] * count}
    if as_total:
        line |= {"price": None, "total": amount}

    items = sent(refund(products=[line]))["items"]

    assert sum(item["qty"] for item in items) == count
    paid_back = sum(item["qty"] * item["price"] for item in items)
    assert paid_back == (price if as_total else price * count)


@pytest.mark.parametrize("total", [-24.0, "24.00", "-24,00", 24])
def test_a_full_refund_is_positive(total: object) -> None:
    """Books write what goes out with a minus."""
    assert sent(refund(total=total))["items"] == [
        {"qty": 1, "price": 2400, "url": f"{SHOP}/orders/o1", "order_id": "o1"}
    ]


def with_id(place: str, value: object) -> JSON:
    """An event whose id in this place is `value`."""
    lamp = {**LAMP, "product_id": value}
    return {
        "userId": {"type": "identify", "userId": value},
        "anonymousId": {"type": "track", "event": "Seen", "anonymousId": value},
        "previousId": {"type": "alias", "userId": "u1", "previousId": value},
        "option": track("Seen", integrations=options(id=value, key="sid")),
        "product_id": order([lamp]),
        "sku": order([{**LAMP, "product_id": None, "sku": value}]),
        "order_id": order([LAMP], order_id=value),
        "checkout_id": order([LAMP], order_id=None, checkout_id=value),
        "messageId": order([LAMP], order_id=None) | {"messageId": value},
        "cart": track("Product Added", lamp, context=with_email(EMAIL)),
        "refund": refund(products=[lamp]),
    }[place]


ID_PLACES = (
    *("userId", "anonymousId", "previousId", "option", "product_id", "sku", "order_id"),
    *("checkout_id", "messageId", "cart", "refund"),
)


@given(place=st.sampled_from(ID_PLACES), number=st.integers(1 - 2**53, 2**53 - 1))
def test_an_id_that_a_spreadsheet_made_a_float_is_the_same_id(place: str, number: int) -> None:
    """10423.0 is 10423, wherever an id may stand. (A checkout_id is a var besides, as it was written.)"""
    if str(number) in AccountSettings().shared_ids:
        return
    whole = mapped(with_id(place, number))

    assert mapped(with_id(place, float(number)))["calls"] == whole["calls"]
    if place != "checkout_id":
        assert mapped(with_id(place, str(number)))["calls"] == whole["calls"]
    assert whole["calls"]


@pytest.mark.parametrize("place", ["userId", "anonymousId", "previousId", "option", "product_id"])
@given(number=st.floats(2.0**53, allow_infinity=False))
def test_a_float_that_may_be_several_ids_is_none(place: str, number: float) -> None:
    """Two customers would be one."""
    line = mapped(with_id(place, number))

    assert (line["calls"], line["error"]["reason"] in {"invalid_event", "unmappable"}) == ([], True)


@pytest.mark.parametrize("nothing", [False, None, "", " ", [], {}], ids=repr)
def test_a_shop_without_pictures_sells_all_the_same(nothing: object) -> None:
    """However its template writes that there is none: no note for each order of the day."""
    fields = ("image_url", "image_url_thumb", "tags", "sku", "coupon")

    line = mapped(order([LAMP | dict.fromkeys(fields, nothing)], tax=nothing, discount=nothing))

    assert (line["error"], line["notes"]) == (None, [])
    assert "images" not in line["calls"][0]["params"]["items"][0]


def test_nothing_where_an_id_email_or_template_would_stand_is_no_reason_to_die() -> None:
    """`false` is what PHP and templates write."""
    visitor = {"type": "track", "event": "Seen", "userId": False, "anonymousId": "a1"}
    nameless = {"type": "identify", "userId": "u1", "traits": {"email": False, "plan": "x"}}
    reader = page({"url": f"{SHOP}/news", "keywords": False, "tags": False})
    cart = track(
        "Product Added",
        {**LAMP, "image_url": False, "reminder_template": False, "sailthru_bid": False},
        context=with_email(EMAIL),
    )

    assert sent(visitor) == {"id": "a1", "key": "extid", "event": "Seen"}
    assert sent(nameless) == {"id": "u1", "key": "extid", "vars": {"plan": "x"}}
    assert "tags" not in sent(reader)
    assert not sent(cart).keys() & {"reminder_template", "reminder_time", "message_id"}


def test_a_shop_whose_addresses_are_relative_sends_whole_ones() -> None:
    """The product's page on the shop's own host, the picture on its CDN."""
    cart = track(
        "Product Added",
        {**LAMP, "url": "/products/lamp", "image_url": "//cdn.example/lamp.jpg"},
        context=with_email(EMAIL),
    )

    [item] = sent(cart, product_base_url="https://tea.example/p")["items"]

    assert item["url"] == "https://tea.example/products/lamp"
    assert item["images"] == {"full": {"url": "https://cdn.example/lamp.jpg"}}


def test_a_guest_whose_user_id_is_the_email_needs_no_look_up() -> None:
    """Small shops and guest checkouts have no other id."""
    bought = order([LAMP]) | {"userId": EMAIL, "context": {}}

    line = mapped(bought)

    assert [call["method"] for call in line["calls"]] == ["POST"]
    assert line["calls"][0]["params"]["email"] == EMAIL
    assert sent({"type": "identify", "userId": EMAIL})["keys"] == {"email": EMAIL}


@pytest.mark.parametrize("typed", ["buyer@examplecom", "buyer@e", "buyer@example", "buyer@"])
def test_an_email_that_nothing_reaches_is_no_key_of_a_profile(typed: str) -> None:
    """Mistyped or half typed: the identify goes out without it."""
    line = mapped({"type": "identify", "userId": "u1", "traits": {"email": typed, "plan": "x"}})

    assert line["calls"][0]["params"] == {"id": "u1", "key": "extid", "vars": {"plan": "x"}}
    assert [note["path"] for note in line["notes"]] == ["traits.email"]


def test_an_invited_friend_is_a_var_and_nothing_else() -> None:
    """The invitation is the inviter's event."""
    assert sent(track("Invite Sent", {"email": "friend@example.net"})) == {
        "id": "u1",
        "key": "extid",
        "event": "Invite Sent",
        "vars": {"email": "friend@example.net"},
    }


def test_a_title_cut_in_an_emoji_is_mended() -> None:
    """It costs neither the event nor the batch around it."""
    params = sent(track("Article Read", {"title": "Ten things \ud83d"}))

    assert params["vars"] == {"title": "Ten things \ufffd"}


def test_a_price_in_yen_is_as_the_docs_say() -> None:
    """In hundredths like any other, or whole."""
    yen = order([LAMP | {"price": 1500}], currency="JPY")

    assert sent(yen)["items"][0]["price"] == 150_000
    assert sent(yen, zero_decimal_prices="whole")["items"][0]["price"] == 1500
    whole = sent(refund(total=-1500, currency="JPY"), zero_decimal_prices="whole")
    assert whole["items"][0]["price"] == 1500


@pytest.mark.parametrize("count", ["2 pcs", "two", 0, 1.5, -1, True])
def test_how_many_were_bought_is_never_guessed(count: object) -> None:
    """A quantity is required to be a number where it is given."""
    line = mapped(order([LAMP | {"quantity": count}]))

    assert line["error"]["detail"].startswith("properties.products.0.quantity must be")
