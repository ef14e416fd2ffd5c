"""Two variants of one product in a cart, as the sandbox has it in the end."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.events.models import validate_event
from pipeline.sandbox.sandbox import Sandbox
from pipeline.settings import AccountSettings
from tests.unit.mapping.delivering import Delivery, end_state

RED = {"product_id": "cap", "sku": "CAP-RED", "variant_id": 11, "variant": "Red", "price": 20}
BLUE = {"product_id": "cap", "sku": "CAP-BLUE", "variant_id": 12, "variant": "Blue", "price": 25}


def event(name: str, product: dict[str, Any], number: int) -> dict[str, Any]:
    page = f"https://shop.example/cap?variant={product['variant_id']}"
    return {
        "type": "track",
        "event": name,
        "userId": "u1",
        "messageId": f"m{number}",
        "properties": {"name": f"Cap {product['variant']}", "url": page, **product},
        "context": {"traits": {"email": "buyer@example.com"}},
    }


def cart_after(*changes: tuple[str, dict[str, Any]], item_id: str) -> list[dict[str, Any]]:
    """The items that are left, with fresh reads."""
    sandbox = Sandbox()
    settings = AccountSettings.model_validate({"cart_item_id": item_id})
    bodies = [event(name, product, number) for number, (name, product) in enumerate(changes)]
    Delivery(sandbox, settings, fold=False).deliver([validate_event(body) for body in bodies])
    items: list[dict[str, Any]] = end_state(sandbox)["profiles"][0]["cart"]
    return items


@pytest.mark.parametrize(("item_id", "left"), [("sku", "CAP-BLUE"), ("variant_id", "12")])
def test_removing_one_variant_leaves_the_other(item_id: str, left: str) -> None:
    """The cart reminder would show the wrong one."""
    changes = [("Product Added", RED), ("Product Added", BLUE), ("Product Removed", RED)]

    [item] = cart_after(*changes, item_id=item_id)

    assert (item["id"], item["title"], item["price"], item["qty"]) == (left, "Cap Blue", 2500, 1)


def test_by_default_a_product_is_one_item_as_it_was_added_last() -> None:
    """Segment's document compares product ids; price, title, url and vars are the newest."""
    changes = [("Product Added", RED), ("Product Added", BLUE), ("Product Removed", RED)]

    [item] = cart_after(*changes, item_id="product_id")

    assert (item["id"], item["title"], item["price"], item["qty"]) == ("cap", "Cap Blue", 2500, 1)
    assert item["url"].endswith("variant=12")
    assert item["vars"] == {"sku": "CAP-BLUE", "variant_id": 12, "variant": "Blue"}
