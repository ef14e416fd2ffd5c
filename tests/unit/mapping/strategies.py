"""Events as clients should never send them, and replies as Sailthru might."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

WORDS = ("", " ", "a@example.com", "not@", "https://shop.example/p", "//x", "http://[", "\ud800")
NUMERALS = ("0", "-1", "18.99", "1e400", "nan", "9" * 70, "\uff11", "\u2155", "2 weeks", "\x00")
NUMBERS = (0, -1, 0.5, 1.005, 1e30, 2**63, 10**400, 1e-320, math.inf, math.nan)
FIELDS = (
    *("email", "traits", "page", "url", "list", "tags", "keywords", "total", "key", "id"),
    *("products", "product_id", "name", "price", "quantity", "image_url", "order_id"),
    *("adjustments", "shipping", "tax", "discount", "reminder_time", "reminder_template"),
    *("optoutValue", "defaultListName", "clearIncompleteCartAfterNHours", "schedule_time"),
)
NAMES = (*("Subscribed", "User Deleted", "Registered", "open", " "),)
TYPES = ("identify", "track", "track", "page", "screen", "group", "alias")

scalars = (
    st.sampled_from((*WORDS, *NUMERALS, *NUMBERS, True, False, None))
    | st.text(max_size=40)
    | st.integers()
    | st.floats()
)
json_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=40), inner, max_size=4)
    ),
    max_leaves=10,
)


def mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """`odd` once in ten: an event that is wrong everywhere is refused for its first mistake."""
    return st.integers(0, 9).flatmap(lambda n: odd if n == 9 else usual)


objects = st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=5)
ids = mostly(
    st.sampled_from(("u1", "a1", "guest", 7)),
    st.sampled_from(
        (None, "", "9" * 600, False, [], 7.0, "u\x1f1\n", "\ufeffa1", "u1\ud83d", "\x00")
    ),
)
products = st.fixed_dictionaries(
    {
        "product_id": ids,
        "name": mostly(st.just("n"), scalars),
        "price": mostly(st.sampled_from((18.99, "18.99", 0)), scalars),
        "url": mostly(st.just("https://shop.example/p"), scalars),
    },
    optional={
        "quantity": mostly(st.sampled_from((1, "2")), scalars),
        "tags": mostly(st.just(["a"]), json_values),
        "image_url": scalars,
    },
)
orders = st.fixed_dictionaries(
    {"products": st.lists(products, min_size=1, max_size=3)},
    optional={
        "shipping": scalars,
        "discount": scalars,
        "order_id": ids,
        "adjustments": json_values,
    },
)
people = st.just({"traits": {"email": "a@example.com"}, "page": {"url": "https://shop.example"}})
destinations = st.fixed_dictionaries({}, optional={"Sailthru": objects, "All": scalars})


def _events(
    types: tuple[str, ...], names: tuple[str, ...], properties: st.SearchStrategy[Any]
) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "type": st.sampled_from(types),
            "event": st.sampled_from(names),
            "userId": ids,
            "groupId": ids,
            "previousId": ids,
            "properties": mostly(properties, json_values),
            "context": mostly(people, objects | json_values),
        },
        optional={
            **dict.fromkeys(("anonymousId", "messageId"), ids),
            "traits": mostly(objects, json_values),
            "integrations": mostly(destinations, json_values),
            "timestamp": scalars | st.datetimes().map(str),
        },
    )


events = st.one_of(
    _events(TYPES, NAMES, objects),
    _events(("track",), ("Order Completed", "completed_order", "Order Refunded"), orders),
    _events(("track",), ("Product Added", "Product Removed", "Added Product"), products),
)
carts = st.fixed_dictionaries(
    {"items": st.lists(products | json_values, max_size=3)}, optional={"time": scalars}
)
replies = st.fixed_dictionaries(
    {}, optional={"keys": objects | json_values, "purchase_incomplete": carts | json_values}
)
