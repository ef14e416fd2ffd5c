"""Carts, orders, returns, events and pageviews in the sandbox (reference: sailthru-api 2.2-2.5)."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.replies import Reply
from pipeline.sandbox.sandbox import PAGEVIEW_ENDPOINT, Sandbox

NOW = 1_600_000_000.0
EMAIL = "zoe@example.com"
ITEM = {"id": "1", "title": "T", "price": 1899, "qty": 2, "url": "http://x/1"}
OTHER_ITEM = {"id": "2", "title": "U", "price": "100", "qty": "1", "url": "http://x/2"}


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox()


def purchase(sandbox: Sandbox, items: Any, now: float = NOW, **params: Any) -> Reply:
    params = {"email": EMAIL, "items": items, **params}
    return sandbox.handle("POST", "/purchase", params, now)


def cart(sandbox: Sandbox, now: float = NOW) -> Any:
    params = {"id": EMAIL, "key": "email", "fields": {"purchase_incomplete": 1}}
    return sandbox.handle("GET", "/user", params, now).body.get("purchase_incomplete")


def order(sandbox: Sandbox, extid: str, now: float = NOW) -> Reply:
    params = {"purchase_id": extid, "purchase_key": "extid"}
    return sandbox.handle("GET", "/purchase", params, now)


def test_a_cart_is_replaced_whole_and_totalled(sandbox: Sandbox) -> None:
    """One cart a user: the second POST forgets the first."""
    purchase(sandbox, [ITEM], incomplete=1)
    purchase(sandbox, [ITEM, OTHER_ITEM], incomplete=1)
    found = cart(sandbox)
    assert found["items"] == [ITEM, OTHER_ITEM]
    assert (found["qty"], found["price"]) == (3, 3898)


def test_an_empty_cart_clears(sandbox: Sandbox) -> None:
    """items [] with incomplete 1; the reminder goes too."""
    purchase(sandbox, [ITEM], incomplete=1, reminder_template="r", reminder_time="+1 hour")
    assert purchase(sandbox, [], incomplete=1).status == 200
    assert cart(sandbox) is None
    assert sandbox.state.as_json()["profiles"][0]["reminder"] is None


def test_a_reminder_waits_and_starts_again_with_each_change(sandbox: Sandbox) -> None:
    """Its timer restarts at each cart update (reference: 2.3)."""
    reminder = {"reminder_template": "r", "reminder_time": "+1 hour"}
    purchase(sandbox, [ITEM], NOW, incomplete=1, **reminder)
    purchase(sandbox, [ITEM], NOW + 5, incomplete=1, **reminder)
    waiting = sandbox.state.as_json()["profiles"][0]["reminder"]
    assert waiting == {"template": "r", "time": "+1 hour", "set_at": NOW + 5}


def test_an_order_empties_the_cart_and_is_found_by_its_ids(sandbox: Sandbox) -> None:
    """By the shop's id and by Sailthru's."""
    purchase(sandbox, [ITEM], incomplete=1, reminder_template="r")
    body = purchase(sandbox, [ITEM], purchase_keys={"extid": "o-1"}).body["purchase"]
    assert cart(sandbox) is None
    assert sandbox.state.as_json()["profiles"][0]["reminder"] is None
    assert order(sandbox, "o-1").body == body
    by_sid = {"purchase_id": body["_id"], "purchase_key": "sid"}
    assert sandbox.handle("GET", "/purchase", by_sid, NOW).body == body


def test_a_doubled_order_shows(sandbox: Sandbox) -> None:
    """De-duplication by extid is undocumented, so the sandbox does none: a test can see two."""
    for _ in range(2):
        purchase(sandbox, [ITEM], purchase_keys={"extid": "o-1"})
    assert [found.extid for found in sandbox.state.purchases] == ["o-1", "o-1"]


def test_an_order_is_looked_up_only_after_the_lag() -> None:
    """Reads lag; an order just posted isn't there yet."""
    sandbox = Sandbox(SandboxOptions(lag_s=3))
    purchase(sandbox, [ITEM], purchase_keys={"extid": "o-1"})
    assert order(sandbox, "o-1", NOW + 2).status == 404
    assert order(sandbox, "o-1", NOW + 3).status == 200


def test_images_come_back_as_strings(sandbox: Sandbox) -> None:
    """They are posted as objects (reference: 2.1, the captured cart)."""
    images = {"full": {"url": "http://x/1.jpg"}}
    purchase(sandbox, [{**ITEM, "images": images}], incomplete=1)
    assert cart(sandbox)["items"][0]["images"] == {"full": "http://x/1.jpg"}


@pytest.mark.parametrize("field", list(ITEM))
def test_an_item_needs_every_field(sandbox: Sandbox, field: str) -> None:
    """id, title, price, qty and url are required; nothing is stored without."""
    item = {name: value for name, value in ITEM.items() if name != field}
    reply = purchase(sandbox, [ITEM, item])
    assert (reply.status, reply.body["error"]) == (400, 99)
    assert field in reply.body["errormsg"]
    assert sandbox.state.purchases == []


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"email": None}, 2),
        ({"email": "zoe"}, 11),
        ({"items": []}, 99),
        ({"items": {}}, 99),
        ({"items": "x"}, 99),
        ({"items": ["x"]}, 99),
        ({"items": [{**ITEM, "price": 18.99}]}, 99),
        ({"items": [{**ITEM, "qty": True}]}, 99),
        ({"items": [{**ITEM, "images": {"full": {}}}]}, 99),
    ],
)
def test_a_wrong_purchase_is_refused_with_its_code(
    sandbox: Sandbox, params: dict[str, Any], code: int
) -> None:
    """Prices are integer cents, and an order has items."""
    reply = purchase(sandbox, **{"items": [ITEM], **params})
    assert (reply.status, reply.body["error"]) == (400, code)
    assert list(sandbox.state.profiles) == []


def test_a_return_is_recorded(sandbox: Sandbox) -> None:
    """qty, price and url are required."""
    item = {"qty": 1, "price": 5, "url": "http://x"}
    assert sandbox.handle("POST", "/return", {"email": EMAIL, "items": [item]}, NOW).status == 200
    assert sandbox.state.returns[0]["params"]["items"] == [item]
    refused = sandbox.handle("POST", "/return", {"email": EMAIL, "items": [{"qty": 1}]}, NOW)
    assert refused.status == 400


def event(sandbox: Sandbox, **params: Any) -> Reply:
    sandbox.handle("POST", "/user", {"id": "42", "key": "extid"}, NOW)
    params = {"id": "42", "key": "extid", "event": "Registered", **params}
    return sandbox.handle("POST", "/event", params, NOW)


def test_an_event_of_a_known_user_is_recorded(sandbox: Sandbox) -> None:
    """With its vars and its profile."""
    assert event(sandbox, vars={"plan": "pro"}) == (200, {"ok": True})
    assert sandbox.state.events[0]["vars"] == {"plan": "pro"}


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"event": ""}, 2),
        ({"event": "purchase"}, 99),
        ({"event": " Click "}, 99),
        ({"vars": {"v" * 33: 1}}, 99),
        ({"id": "43"}, 99),
    ],
)
def test_a_wrong_event_is_refused_with_its_code(
    sandbox: Sandbox, params: dict[str, Any], code: int
) -> None:
    """Reserved names, long var names, unknown users."""
    reply = event(sandbox, **params)
    assert (reply.status, reply.body["error"]) == (400, code)
    assert sandbox.state.events == []


def test_an_event_of_an_unknown_user_may_be_taken() -> None:
    """What Sailthru does is undocumented: the sandbox can do both."""
    sandbox = Sandbox(SandboxOptions(unknown_user_on_event=False))
    assert event(sandbox, id="43").status == 200
    assert sandbox.state.events[0]["sid"] is None


@pytest.mark.parametrize(
    ("bearer", "params", "status"),
    [
        ("cust", {"url": "http://x"}, 200),
        ("other", {"url": "http://x"}, 401),
        ("", {"url": "http://x"}, 401),
        ("cust", {}, 400),
    ],
)
def test_a_pageview_needs_the_customer_and_a_url(
    bearer: str, params: dict[str, Any], status: int
) -> None:
    """It is not signed; the customer id is its bearer token."""
    sandbox = Sandbox(SandboxOptions(customer_id="cust"))
    reply = sandbox.handle("POST", PAGEVIEW_ENDPOINT, params, NOW, bearer=bearer)
    assert reply.status == status
    assert len(sandbox.state.pageviews) == (status == 200)
